//! What a node does with its blobs before it leaves for good: each gets as many copies elsewhere as are wanted, or as
//! there can be. And what is looked at when it leaves: whether all have.

use super::{
    BlobService,
    gap::Gap,
    limits::COMMIT,
    name::name_in,
    record::{Copies, copies, decode},
    seats::Seats,
};
use crate::store::{Glimpse, ListOrder, RecordRange};
use futures::{StreamExt, stream};
use micro_sdk::wire::{Code, Fault, NodeId};
use std::collections::{BTreeSet, VecDeque};
use tokio::time::Instant;

/// Blobs whose records are read at once.
const PAGE: usize = 64;
/// Blobs that are copied at once, between two looks at how far it has got.
const AT_ONCE: usize = 4;
/// How many are named in a refusal: whom they belong to can be told from a few.
const NAMED: usize = 3;

/// How far a node has got with handing over its blobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// How many it had when it began.
    pub blobs: u64,
    /// How many were looked at.
    pub done: u64,
    /// How many of them have too few copies elsewhere all the same.
    pub stuck: u64,
}

/// A node on its way out hands its blobs over. Dropped, it stops, and nothing is lost.
pub struct HandOver {
    service: BlobService,
    waiting: VecDeque<Gap>,
    /// The key of the last record that was read; none before the first.
    after: Option<String>,
    so_far: HandedOver,
}

impl BlobService {
    /// Begins to hand this node's blobs over to others. It goes on as [`HandOver::next`] is called.
    pub fn hand_over(&self) -> HandOver {
        HandOver {
            service: self.clone(),
            waiting: VecDeque::new(),
            after: None,
            so_far: HandedOver::default(),
        }
    }

    /// Refuses that `node` goes, if blobs would have too few copies then: fewer than are wanted of one that `can_copy`
    /// them, and none at all of one that can't.
    ///
    /// # Errors
    /// [`Code::Conflict`] with how many and which, or why the records can't be read.
    pub(crate) async fn check_spared(
        &self,
        node: NodeId,
        can_copy: bool,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let mut others = self.parts.members();
        others.remove(&node);
        let up: BTreeSet<NodeId> = others.iter().copied().filter(|other| self.parts.is_up(*other)).collect();
        let look = move |glimpse: &Glimpse<'_>| {
            let (mut count, mut names) = (0_u64, Vec::new());
            glimpse.records(&RecordRange::table(copies()), ListOrder::Ascending, |record| {
                let copies: Copies = decode(&record)?;
                let there = match can_copy {
                    true => copies.holders.iter().filter(|holder| up.contains(holder)).count(),
                    false => copies.holders.iter().filter(|holder| others.contains(holder)).count(),
                };
                let needed = if can_copy { (copies.wanted as usize).min(others.len()) } else { 1 };
                if copies.holders.contains(&node) && there < needed {
                    count += 1;
                    if names.len() < NAMED {
                        names.push(format!("{:?}", name_in(&record.key)));
                    }
                }
                Ok(true)
            })?;
            Ok((count, names))
        };
        let (count, names) = self.store.glimpse(false, deadline, look).await?;
        match count {
            0 => Ok(()),
            _ => Err(not_spared(&self.node_name(node), can_copy, count, &names)),
        }
    }
}

fn not_spared(node: &str, can_copy: bool, count: u64, names: &[String]) -> Fault {
    let blobs = if count == 1 { "1 blob".to_owned() } else { format!("{count} blobs") };
    let among = if count == 1 { names.join("") } else { format!("among them {}", names.join(", ")) };
    let all_the_same = "to give them up, say --even-if-blobs-are-lost";
    if can_copy {
        let message = format!("without node {node}, {blobs} would have too few copies: {among}");
        return Fault::new(Code::Conflict, message)
            .help("`micro-node leave` has them copied first: other nodes must be up, and have room")
            .help(all_the_same);
    }
    let message = format!("the only known copies of {blobs} are on node {node}: {among}");
    Fault::new(Code::Conflict, message)
        .help("if its disk can be read, start it, and let it go itself: `micro-node leave` on its host")
        .help(all_the_same)
}

impl HandOver {
    /// Goes on for some blobs, and tells how far it has got; none at the end. Takes as long as it takes to copy them.
    ///
    /// # Errors
    /// Why the records can't be read.
    pub async fn next(&mut self) -> Result<Option<HandedOver>, Fault> {
        if self.waiting.is_empty() {
            let page = self.page().await?;
            if let Some(last) = page.last() {
                self.after = Some(last.key.clone());
            }
            self.waiting = page.into();
        }
        let some: Vec<Gap> = self.waiting.drain(..self.waiting.len().min(AT_ONCE)).collect();
        if some.is_empty() {
            return Ok(None);
        }
        self.so_far.done += some.len() as u64;
        let service = &self.service;
        let seats = &Seats::new(service.parts.here());
        let handed = stream::iter(some)
            .map(|gap| async move { gap.hand_over(service, seats).await })
            .buffer_unordered(AT_ONCE)
            .filter(|enough| std::future::ready(!enough));
        self.so_far.stuck += handed.count().await as u64;
        Ok(Some(self.so_far.clone()))
    }

    /// The next blobs that the records say are here. The first time all are counted.
    async fn page(&mut self) -> Result<Vec<Gap>, Fault> {
        let (here, after) = (self.service.parts.here(), self.after.clone());
        let counts = after.is_none();
        let look = move |glimpse: &Glimpse<'_>| {
            let (mut page, mut count) = (Vec::new(), 0_u64);
            let mut range = RecordRange::table(copies());
            // Behind a key is from that key with the least of all characters on.
            range.from = after.map(|after| format!("{after}\0")).unwrap_or_default();
            glimpse.records(&range, ListOrder::Ascending, |record| {
                let copies: Copies = decode(&record)?;
                if copies.holders.contains(&here) {
                    count += 1;
                    if page.len() < PAGE {
                        let (key, version) = (record.key, record.version);
                        page.push(Gap { key, version, copies, here: false, short: true, tried: false });
                    }
                }
                Ok(counts || page.len() < PAGE)
            })?;
            Ok((page, count))
        };
        let (page, count) = self.service.store.glimpse(false, Instant::now() + COMMIT, look).await?;
        if counts {
            self.so_far.blobs = count;
        }
        Ok(page)
    }
}
