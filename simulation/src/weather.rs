//! What the network does to datagrams on their way: which pairs can't talk, and how much is lost or doubled.
//!
//! Latency and held links are turmoil's. This stands before it, so that faults of several kinds on one link
//! add up and each is taken back alone.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

/// What becomes of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on its way.
    Sent,
    /// It is gone.
    Lost,
    /// It goes on its way twice.
    Doubled,
}

/// The weather on all links. Clones share it.
#[derive(Clone)]
pub struct Weather {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// By sender and receiver: how many faults block the way.
    blocked: BTreeMap<(IpAddr, IpAddr), u32>,
    /// By host: the share of what it sends or receives that is lost, and that is doubled.
    rough: BTreeMap<IpAddr, (f64, f64)>,
    rng: SmallRng,
}

impl Weather {
    /// Fair weather. Chance comes from `seed`.
    pub fn new(seed: u64) -> Self {
        let inner =
            Inner { blocked: BTreeMap::new(), rough: BTreeMap::new(), rng: SmallRng::seed_from_u64(seed) };
        Weather { inner: Arc::new(Mutex::new(inner)) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the weather")
    }

    /// Nothing gets from `from` to `to` any more. Counted: each block is taken back by one
    /// [`unblock`](Self::unblock).
    pub fn block(&self, from: IpAddr, to: IpAddr) {
        *self.inner().blocked.entry((from, to)).or_default() += 1;
    }

    /// Takes one block back.
    pub fn unblock(&self, from: IpAddr, to: IpAddr) {
        let mut inner = self.inner();
        if let Some(count) = inner.blocked.get_mut(&(from, to)) {
            *count = count.saturating_sub(1);
        }
        inner.blocked.retain(|_, count| *count > 0);
    }

    /// Whether nothing gets from `from` to `to`.
    pub fn is_blocked(&self, from: IpAddr, to: IpAddr) -> bool {
        self.inner().blocked.contains_key(&(from, to))
    }

    /// Loses and doubles a share of what `host` sends and receives; 0 and 0 are fair weather.
    pub fn set_rough(&self, host: IpAddr, lost: f64, doubled: f64) {
        let mut inner = self.inner();
        if lost == 0.0 && doubled == 0.0 {
            inner.rough.remove(&host);
        } else {
            inner.rough.insert(host, (lost, doubled));
        }
    }

    /// What becomes of the next datagram from `from` to `to`.
    pub fn fate(&self, from: IpAddr, to: IpAddr) -> Fate {
        let mut guard = self.inner();
        let inner = &mut *guard;
        if inner.blocked.contains_key(&(from, to)) {
            return Fate::Lost;
        }
        for host in [from, to] {
            let Some((lost, doubled)) = inner.rough.get(&host).copied() else { continue };
            let draw: f64 = inner.rng.random();
            if draw < lost {
                return Fate::Lost;
            }
            if draw < lost + doubled {
                return Fate::Doubled;
            }
        }
        Fate::Sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_one_way_and_add_up() {
        let weather = Weather::new(1);
        let [a, b] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        weather.block(a, b);
        weather.block(a, b);
        assert_eq!((weather.fate(a, b), weather.fate(b, a)), (Fate::Lost, Fate::Sent));
        weather.unblock(a, b);
        assert_eq!(weather.fate(a, b), Fate::Lost);
        weather.unblock(a, b);
        assert_eq!(weather.fate(a, b), Fate::Sent);
    }

    #[test]
    fn rough_weather_loses_its_share() {
        let weather = Weather::new(1);
        let [a, b] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        weather.set_rough(a, 0.2, 0.1);
        let lost = (0..10_000).filter(|_| weather.fate(a, b) == Fate::Lost).count();
        assert!((1_800..2_200).contains(&lost), "{lost} of 10000 lost");
        weather.set_rough(a, 0.0, 0.0);
        assert!((0..1_000).all(|_| weather.fate(b, a) == Fate::Sent));
    }
}
