//! Records by index: entries in their order, then the records that they lead to, all as of one revision.

use super::{Entity, Index, Model, change::holder, scope::Scope, value::IndexValue};
use crate::{
    client::{List, Order, Page, Record},
    wire::{Code, Fault},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, future::BoxFuture, stream};
use std::{collections::VecDeque, fmt, ops::RangeBounds};

/// How many records of a page are read at once, and how many are deleted: enough to keep a node busy, few enough to
/// leave room for others.
const AT_ONCE: usize = 32;
/// How often a first page is asked for again when the revision that it was to show was compacted meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// A query that is being made up. Await it to send it, which gives a page in the order of the index; all of a page,
/// and of the pages that follow it, is as of one moment.
#[must_use = "a query is sent when it is awaited"]
pub struct Query<T> {
    model: Model<T>,
    /// None for all records, by id.
    scope: Result<Option<Scope>, Fault>,
    order: Order,
    limit: u32,
    page: Bytes,
}

impl<T: Entity> Query<T> {
    pub(super) fn all(model: Model<T>) -> Query<T> {
        Query { model, scope: Ok(None), order: Order::Ascending, limit: 0, page: Bytes::new() }
    }

    pub(super) fn by(model: Model<T>, index: &str) -> Query<T> {
        let scope = Scope::of(&model, index).map(Some);
        Query { scope, ..Query::all(model) }
    }

    /// Only records whose indexed value equals `value`. Of an index of pairs, the first part may be given alone, and
    /// the next one after it.
    pub fn equals<V: IndexValue>(self, value: V) -> Query<T> {
        self.narrow(|scope, index| scope.equals(index, &value))
    }

    /// Only records whose indexed value lies in `range`; of an index of pairs, the first part, or the second behind
    /// [`equals`](Self::equals).
    pub fn range<V: IndexValue>(self, range: impl RangeBounds<V>) -> Query<T> {
        self.narrow(|scope, index| Ok(scope.range(index, &range)?.close(index)))
    }

    /// Only records whose indexed value is a text that begins so.
    pub fn starts_with(self, text: &str) -> Query<T> {
        self.narrow(|scope, index| Ok(scope.starts_with(index, text)?.close(index)))
    }

    /// From the last to the first.
    pub fn descending(self) -> Query<T> {
        Query { order: Order::Descending, ..self }
    }

    /// At most this many in a page; 0 means 1000, which is also the most.
    pub fn limit(self, limit: u32) -> Query<T> {
        Query { limit, ..self }
    }

    /// The page that an earlier one named as its next. The rest must be as it was.
    pub fn page(self, page: Bytes) -> Query<T> {
        Query { page, ..self }
    }

    /// The only record, if there is one.
    ///
    /// # Errors
    /// `Conflict` if there are several; else as for a page.
    pub async fn one(self) -> Result<Option<Record<T>>, Fault> {
        let what = self.to_string();
        let mut records = self.limit(2).read().await?.records.into_iter();
        match (records.next(), records.next()) {
            (only, None) => Ok(only),
            (_, Some(_)) => {
                let fault =
                    Fault::new(Code::Conflict, format!("multiple records where one was asked for: {what}"));
                Err(fault.help("ask for a page of them, or make the index a unique one"))
            }
        }
    }

    /// The first record, if there is one.
    ///
    /// # Errors
    /// As for a page.
    pub async fn first(self) -> Result<Option<Record<T>>, Fault> {
        Ok(self.limit(1).read().await?.records.into_iter().next())
    }

    /// How many there are, beyond any limit: what the index says.
    ///
    /// # Errors
    /// As for a page.
    pub async fn count(self) -> Result<u64, Fault> {
        match self.checked().await? {
            None => self.model.records.store().list("").count().await,
            Some(scope) => self.entries(&scope).count().await,
        }
    }

    /// All of them, page after page, as of one moment. The stream ends after an error.
    pub fn stream(self) -> impl Stream<Item = Result<Record<T>, Fault>> + Send {
        let begin = (Some(self), VecDeque::new());
        stream::try_unfold(begin, |(mut query, mut waiting)| async move {
            loop {
                if let Some(record) = waiting.pop_front() {
                    return Ok(Some((record, (query, waiting))));
                }
                let Some(asked) = query.take() else { return Ok(None) };
                let page = asked.read().await?;
                waiting.extend(page.records);
                query = page.next.map(|next| asked.page(next));
            }
        })
    }

    /// Deletes all of them, each with its entries. One that is changed meanwhile, so that it would not be found any
    /// more, stays. Tells how many were deleted.
    ///
    /// # Errors
    /// `Failed` if a record is no `T`; those of a write. Some may be deleted then.
    pub async fn delete(self) -> Result<u64, Fault> {
        let (model, scope) = (self.model.clone(), self.checked().await?);
        let deleted = self.stream().map(|record| {
            let (model, scope) = (&model, &scope);
            async move {
                let wanted = |record: &Record| match scope {
                    None => Ok(true),
                    Some(scope) => model.bears(scope, &record.json()?, &record.key),
                };
                model.delete_if(&record?.key, wanted).await
            }
        });
        let deleted = deleted.buffer_unordered(AT_ONCE);
        deleted.try_fold(0, |sum, deleted| async move { Ok(sum + u64::from(deleted)) }).await
    }

    fn narrow(self, narrow: impl FnOnce(Scope, &Index<T>) -> Result<Scope, Fault>) -> Query<T> {
        let scope = self.scope.and_then(|scope| match scope {
            Some(scope) => {
                let index = &self.model.indexes[scope.index];
                narrow(scope, index).map(Some)
            }
            None => {
                let fault = Fault::new(Code::Usage, format!("all {} are asked for, and only some", T::NAME));
                Err(fault.help("name the index that has the value: by(INDEX)"))
            }
        });
        Query { scope, ..self }
    }

    /// The scope, if it makes sense and its index is built.
    async fn checked(&self) -> Result<Option<Scope>, Fault> {
        let scope = self.scope.clone()?;
        if let Some(scope) = &scope {
            self.model.require(&self.model.indexes[scope.index].label()).await?;
        }
        Ok(scope)
    }

    /// The entries in the scope.
    fn entries(&self, scope: &Scope) -> List {
        let list = self.model.entries.list(&scope.prefix).starting_at(&scope.from).before(&scope.to);
        list.order(self.order).limit(self.limit)
    }

    async fn read(&self) -> Result<Page<T>, Fault> {
        let Some(scope) = self.checked().await? else {
            let list = self.model.records.list("").order(self.order).limit(self.limit);
            return list.page(self.page.clone()).await;
        };
        let mut attempt = 1;
        loop {
            match self.look_up(&scope).await {
                // Of a first page, a later moment is as good. One that follows has to show the moment of the first.
                Err(fault)
                    if fault.code == Code::Compacted && self.page.is_empty() && attempt < ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                page => return page,
            }
        }
    }

    async fn look_up(&self, scope: &Scope) -> Result<Page<T>, Fault> {
        let Page { records: entries, more, next, revision, age } =
            self.entries(scope).page(self.page.clone()).await?;
        let records = stream::iter(entries).map(|entry| self.follow(scope, entry, revision));
        let records = records.buffered(AT_ONCE).try_filter_map(|record| async move { Ok(record) });
        Ok(Page { records: records.try_collect().await?, more, next, revision, age })
    }

    /// The record that an entry leads to, as of this revision. An entry that its record does not bear was made by
    /// somebody with another index, or the record was changed past the model: it leads to none.
    async fn follow(&self, scope: &Scope, entry: Record, revision: u64) -> Result<Option<Record<T>>, Fault> {
        let (id, index) = (holder(&entry)?, &self.model.indexes[scope.index]);
        let Some(record) = self.model.records.get(&id).at(revision).await? else { return Ok(None) };
        let borne = index.entry(&record.value, &id)?.is_some_and(|key| key == entry.key);
        Ok(borne.then_some(record))
    }
}

impl<T: Entity> Model<T> {
    /// Whether a record with this value has an entry in the scope.
    fn bears(&self, scope: &Scope, value: &T, id: &str) -> Result<bool, Fault> {
        let entry = self.indexes[scope.index].entry(value, id)?;
        Ok(entry.is_some_and(|key| scope.holds(&key)))
    }
}

impl<T: Entity> IntoFuture for Query<T> {
    type Output = Result<Page<T>, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the query; gives a page. Errors: `Usage` if there is no such index, or it holds other values;
    /// `Unavailable` if it is not built, or without quorum; `Failed` if a record is no `T`; `Conflict` if the moment
    /// of the first page was compacted.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.read().await })
    }
}

impl<T: Entity> fmt::Display for Query<T> {
    /// What is asked for, without values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Ok(Some(scope)) => write!(f, "{} by {}", T::NAME, self.model.indexes[scope.index].name()),
            _ => write!(f, "all {}", T::NAME),
        }
    }
}

impl<T: Entity> fmt::Debug for Query<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({self})")
    }
}
