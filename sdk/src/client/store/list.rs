//! Records by key: page by page, or all of them as a stream.

use super::{super::node::Stake, Record, Store, range::Range, record::Reading};
use crate::{proto, wire::Fault};
use bytes::Bytes;
use futures::{Stream, future::BoxFuture, stream};
use std::{collections::VecDeque, time::Duration};

/// In which order records are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By key, from the first.
    #[default]
    Ascending,
    /// By key, from the last.
    Descending,
}

/// A listing that is being made up. Await it to send it, which gives a page; [`List::scan`] gives all pages.
#[derive(Clone, Debug)]
#[must_use = "a listing is sent when it is awaited"]
pub struct List<V = Bytes> {
    pub(super) store: Store,
    pub(super) range: Range,
    pub(super) limit: u32,
    suffix: String,
    after: String,
    offset: u64,
    order: Order,
    keys_only: bool,
    page: Bytes,
    at: Option<u64>,
    stale: bool,
    timeout: Duration,
    reading: Reading<V>,
}

/// A page of records, in the order of their keys' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<V = Bytes> {
    /// The records.
    pub records: Vec<Record<V>>,
    /// Whether there are more after the last.
    pub more: bool,
    /// Asks for the next page, with [`List::page`].
    pub next: Option<Bytes>,
    /// The page shows the records as of this revision: whoever [watches](Store::watch) from behind it misses nothing.
    pub revision: u64,
    /// Of a stale listing: how long ago the node's replica is known to have been current; none if that can't be said.
    pub age: Option<Duration>,
}

/// How many records there are, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// They were counted as of this revision.
    pub revision: u64,
    /// Of a stale count: how long ago the node's replica is known to have been current; none if that can't be said.
    pub age: Option<Duration>,
}

impl<V> List<V> {
    pub(super) fn new(store: Store, prefix: String, reading: Reading<V>) -> List<V> {
        List {
            timeout: store.node.timeout(),
            store,
            range: Range::prefix(prefix),
            limit: 0,
            suffix: String::new(),
            after: String::new(),
            offset: 0,
            order: Order::Ascending,
            keys_only: false,
            page: Bytes::new(),
            at: None,
            stale: false,
            reading,
        }
    }

    /// Only keys from this one on.
    pub fn starting_at(mut self, key: impl Into<String>) -> List<V> {
        self.range.from = key.into();
        self
    }

    /// Only keys before this one.
    pub fn before(mut self, key: impl Into<String>) -> List<V> {
        self.range.to = key.into();
        self
    }

    /// Only keys that end with `suffix`.
    pub fn suffix(mut self, suffix: impl Into<String>) -> List<V> {
        self.suffix = suffix.into();
        self
    }

    /// Starts behind `key` in the order of the listing.
    pub fn after(mut self, key: impl Into<String>) -> List<V> {
        self.after = key.into();
        self
    }

    /// Gives at most this many in a page; 0 means 1000, which is also the most.
    pub fn limit(mut self, limit: u32) -> List<V> {
        self.limit = limit;
        self
    }

    /// Leaves out this many first.
    pub fn offset(mut self, offset: u64) -> List<V> {
        self.offset = offset;
        self
    }

    /// Lists in this order.
    pub fn order(mut self, order: Order) -> List<V> {
        self.order = order;
        self
    }

    /// The page that an earlier one named as its next. The rest must be as it was; all pages show the records as of the
    /// moment of the first.
    pub fn page(mut self, page: Bytes) -> List<V> {
        self.page = page;
        self
    }

    /// Lists the records as they were at this revision.
    pub fn at(mut self, revision: u64) -> List<V> {
        self.at = Some(revision);
        self
    }

    /// Answers from the node's own replica, as it is: faster, also without quorum, and maybe old.
    pub fn stale(mut self) -> List<V> {
        self.stale = true;
        self
    }

    /// Waits no longer than `timeout` for a page.
    pub fn timeout(mut self, timeout: Duration) -> List<V> {
        self.timeout = timeout;
        self
    }

    /// How many records there are, beyond any limit.
    ///
    /// # Errors
    /// As for a page.
    pub async fn count(self) -> Result<u64, Fault> {
        Ok(self.counted().await?.count)
    }

    /// The same, and of which moment that is.
    ///
    /// # Errors
    /// As for a page.
    pub async fn counted(self) -> Result<Counted, Fault> {
        let response = self.ask(true).await?;
        Ok(Counted {
            count: response.count,
            revision: response.revision,
            age: response.age_ms.map(Duration::from_millis),
        })
    }

    /// All records, page after page, as of one moment. The stream ends after an error.
    pub fn scan(self) -> impl Stream<Item = Result<Record<V>, Fault>> + Send
    where
        V: Send + 'static,
    {
        let begin = (Some(self), VecDeque::new());
        stream::try_unfold(begin, |(mut list, mut waiting)| async move {
            loop {
                if let Some(record) = waiting.pop_front() {
                    return Ok(Some((record, (list, waiting))));
                }
                let Some(asked) = list.take() else { return Ok(None) };
                let page = asked.again().read().await?;
                waiting.extend(page.records);
                list = page.next.map(|next| asked.page(next));
            }
        })
    }

    /// The same once more.
    fn again(&self) -> List<V> {
        List {
            store: self.store.clone(),
            range: self.range.clone(),
            suffix: self.suffix.clone(),
            after: self.after.clone(),
            page: self.page.clone(),
            ..*self
        }
    }

    async fn read(self) -> Result<Page<V>, Fault> {
        let reading = self.reading;
        let response = self.ask(false).await?;
        let records = response.records.into_iter().map(Record::from).map(reading);
        Ok(Page {
            records: records.collect::<Result<_, _>>()?,
            more: response.more,
            next: (!response.page.is_empty()).then_some(response.page),
            revision: response.revision,
            age: response.age_ms.map(Duration::from_millis),
        })
    }

    async fn ask(self, count_only: bool) -> Result<proto::ListResponse, Fault> {
        let order = match self.order {
            Order::Ascending => proto::ListOrder::Ascending,
            Order::Descending => proto::ListOrder::Descending,
        };
        let message = proto::ListRequest {
            place: self.store.place(),
            prefix: self.range.prefix,
            after: self.after,
            limit: self.limit,
            stale: self.stale,
            from: self.range.from,
            to: self.range.to,
            suffix: self.suffix,
            offset: self.offset,
            order: order.into(),
            keys_only: self.keys_only,
            count_only,
            page: self.page,
            at: self.at,
        };
        let node = self.store.node;
        let mut client = node.records();
        let sent = |request| async move { client.list(request).await };
        node.ask(Stake::Read, self.timeout, message, sent).await
    }
}

impl List {
    /// Without values and metadata.
    pub fn keys_only(mut self) -> List {
        self.keys_only = true;
        self
    }
}

impl<V: Send + 'static> IntoFuture for List<V> {
    type Output = Result<Page<V>, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the listing; gives a page. Errors: `Compacted` if the revision is; `Unavailable` without quorum;
    /// `Timeout`; `Failed` if a value is not what is expected.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.read())
    }
}
