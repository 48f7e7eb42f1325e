//! Which instance gets a call.
//!
//! ```text
//! all ─► those of the route ─► those that may be called ─► the nearest, unless they are slow ─► the better of two
//! ```
//!
//! Calls with a key go to the instance that comes first in an order of their own, which all nodes agree on.

use super::{breaker::Admission, outlook::Outlook};
use crate::{
    policy::{Policy, WeightedRoute},
    registry::NodeTraits,
};
use micro_mesh::Place;
use micro_sdk::wire::{Instance, InstanceId};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How far an instance is, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Distance {
    Node,
    Zone,
    Region,
    Cloud,
    Far,
}

impl Distance {
    /// From one place to another. Where nothing is said of a place, it is in the same cloud, region and zone as the
    /// others.
    pub fn between(here: &Place, there: &Place) -> Self {
        match () {
            () if here.cloud != there.cloud => Distance::Far,
            () if here.region != there.region => Distance::Cloud,
            () if here.zone != there.zone => Distance::Region,
            () => Distance::Zone,
        }
    }

    /// How long the way there and back usually takes, for as long as there is no link on which it was measured: what
    /// clouds publish of themselves, in round numbers.
    pub fn usual(self) -> Duration {
        Duration::from_micros(match self {
            Distance::Node => 0,
            Distance::Zone => 300,
            Distance::Region => 1_000,
            Distance::Cloud => 30_000,
            Distance::Far => 60_000,
        })
    }
}

/// An instance that could get the call.
pub(super) struct Seat {
    pub instance: Arc<Instance>,
    /// What its node is like.
    pub traits: Arc<NodeTraits>,
    pub distance: Distance,
    /// How long the way there and back takes.
    pub way: Duration,
    pub outlook: Arc<Outlook>,
}

/// What comes of a choice.
pub(super) enum Chosen<'s> {
    Seat(&'s Seat),
    /// Each that is left gets no calls for a while: the first does again after so long.
    Open(Duration),
    /// All were tried.
    None,
}

/// How the instance of one call is chosen, and of its further attempts.
pub(super) struct Choice<'s> {
    seats: &'s [Seat],
    policy: &'s Policy,
    route: Option<&'s WeightedRoute>,
    key: Option<u64>,
}

impl<'s> Choice<'s> {
    /// For a call with this key, if it has one. `chance` decides what it is one of.
    pub fn new(seats: &'s [Seat], policy: &'s Policy, key: Option<&str>, chance: u64) -> Self {
        let key = key.map(|key| spread(key.as_bytes(), 0));
        // Those with the same key are of the same share.
        let route = weighed(seats, &policy.routes, key.unwrap_or(chance));
        Choice { seats, policy, route, key }
    }

    /// The instance of the next attempt.
    pub fn next(&self, tried: &[InstanceId], chance: u64, now: Instant) -> Chosen<'s> {
        // Most services of a small mesh have one, and there is nothing to choose.
        if let [only] = self.seats {
            return match only.outlook.admission(now) {
                _ if tried.contains(&only.instance.id) => Chosen::None,
                Admission::Refused(wait) => Chosen::Open(wait),
                Admission::Open | Admission::Trial => Chosen::Seat(only),
            };
        }
        let left = |seat: &&Seat| !tried.contains(&seat.instance.id);
        let of_route: Vec<&Seat> =
            self.seats.iter().filter(left).filter(|seat| meant(self.route, seat)).collect();
        // If nobody of the route is left, others are better than none.
        let left = match of_route.is_empty() {
            true => self.seats.iter().filter(left).collect(),
            false => of_route,
        };
        let mut soonest = None;
        let mut may: Vec<&Seat> = Vec::with_capacity(left.len());
        for seat in left {
            match seat.outlook.admission(now) {
                Admission::Open => may.push(seat),
                // Whoever has been away for a while is tried by the first that comes, or nobody ever would.
                Admission::Trial => return Chosen::Seat(seat),
                Admission::Refused(wait) => {
                    soonest = Some(soonest.map_or(wait, |soonest: Duration| soonest.min(wait)))
                }
            }
        }
        self.pass_over_outliers(&mut may, now);
        let chosen = match self.key {
            Some(key) => may.into_iter().max_by_key(|seat| spread(&seat.instance.id.to_le_bytes(), key)),
            None => self.nearest(&may, chance, now),
        };
        match (chosen, soonest) {
            (Some(seat), _) => Chosen::Seat(seat),
            (None, Some(wait)) => Chosen::Open(wait),
            (None, None) => Chosen::None,
        }
    }

    /// Those that fail most of their calls are passed over, if the others do not, and not too many of them at once.
    /// Others that had no call lately have shown nothing: they get some, and then it is seen whether it is the calls.
    fn pass_over_outliers(&self, may: &mut Vec<&Seat>, now: Instant) {
        let outliers = self.outliers(may, now);
        may.retain(|seat| !outliers.contains(&seat.instance.id));
    }

    /// Those of them that are passed over.
    pub fn outliers(&self, may: &[&Seat], now: Instant) -> Vec<InstanceId> {
        let policy = &self.policy.breaker;
        let most = (policy.ejected * self.seats.len() as f64) as usize;
        if may.len() < 2 || most == 0 {
            return Vec::new();
        }
        let shares: Vec<(u32, f64)> = may.iter().map(|seat| failing(seat, now)).collect();
        let outlying = |(calls, share): &(u32, f64)| *calls >= policy.least_calls && *share >= policy.failing;
        if !shares.iter().any(outlying) {
            return Vec::new();
        }
        let others = shares.iter().filter(|share| !outlying(share));
        let (calls, failed) = others.fold((0.0, 0.0), |(calls, failed), (of, share)| {
            (calls + f64::from(*of), failed + f64::from(*of) * share)
        });
        let healthy = calls == 0.0 || failed / calls < policy.failing / 2.0;
        let outliers = may.iter().zip(&shares).filter(|(_, share)| outlying(share));
        let outliers: Vec<InstanceId> = outliers.map(|(seat, _)| seat.instance.id).collect();
        if healthy && outliers.len() <= most { outliers } else { Vec::new() }
    }

    /// The better of two of the nearest; or of those farther away, if that is worth it.
    fn nearest(&self, may: &[&'s Seat], chance: u64, now: Instant) -> Option<&'s Seat> {
        if !self.policy.locality.enabled {
            return better_of_two(may, chance, now);
        }
        let near = may.iter().map(|seat| seat.distance).min()?;
        let (near, far): (Vec<&Seat>, Vec<&Seat>) = may.iter().partition(|seat| seat.distance == near);
        let here = better_of_two(&near, chance, now)?;
        let Some(there) = better_of_two(&far, chance.rotate_left(32), now) else { return Some(here) };
        Some(if self.spills(here, there, may, now) { there } else { here })
    }

    /// Whether a near instance is so slow that a call goes to one farther away.
    fn spills(&self, here: &Seat, there: &Seat, may: &[&Seat], now: Instant) -> bool {
        let policy = &self.policy.locality;
        let Some(takes) = here.outlook.average(here.way, now) else { return false };
        // Of one that was not measured it is expected what the quickest takes, and the way.
        let quickest = || may.iter().filter_map(|seat| seat.outlook.average(Duration::ZERO, now)).min();
        let other = there.outlook.average(there.way, now);
        let other = other.unwrap_or_else(|| quickest().unwrap_or_default() + there.way);
        takes > other.mul_f64(policy.spill) && takes > other + policy.least
    }
}

/// The share of its calls that an instance fails, and of how many.
fn failing(seat: &Seat, now: Instant) -> (u32, f64) {
    let (calls, failed) = seat.outlook.failing(now);
    (calls, f64::from(failed) / f64::from(calls.max(1)))
}

/// Two of them by chance, of which the one with less load: nearly as good as the best of all, and no herd runs to it.
fn better_of_two<'s>(of: &[&'s Seat], chance: u64, now: Instant) -> Option<&'s Seat> {
    let one = *of.get(chance as usize % of.len().max(1))?;
    if of.len() == 1 {
        return Some(one);
    }
    // Another one than the first.
    let step = 1 + (chance >> 32) as usize % (of.len() - 1);
    let two = of[(chance as usize % of.len() + step) % of.len()];
    Some(if two.outlook.load(two.way, now) < one.outlook.load(one.way, now) { two } else { one })
}

/// Whether a route means an instance; without a route, each is meant.
fn meant(route: Option<&WeightedRoute>, Seat { instance, traits, .. }: &Seat) -> bool {
    route.is_none_or(|route| {
        let version = route.version.as_ref().is_none_or(|version| version.matches(&instance.version));
        let label = |(name, value): (&String, &String)| instance.metadata.get(name) == Some(value);
        let node = route.node.as_ref().is_none_or(|node| node.means(traits));
        version && node && route.labels.iter().all(label)
    })
}

/// One of the routes that mean somebody who is there, as often as its weight says.
fn weighed<'p>(seats: &[Seat], routes: &'p [WeightedRoute], chance: u64) -> Option<&'p WeightedRoute> {
    let there = || {
        let routes = routes.iter().filter(|route| route.weight > 0);
        routes.filter(|route| seats.iter().any(|seat| meant(Some(route), seat)))
    };
    let sum: u64 = there().map(|route| u64::from(route.weight)).sum();
    let mut left = spread(&chance.to_le_bytes(), 1) % sum.max(1);
    there().find(|route| {
        let weight = u64::from(route.weight);
        let found = left < weight;
        left = left.saturating_sub(weight);
        found
    })
}

/// A number for these bytes that says nothing of them, the same on every node and of every build: for highest random
/// weights (D. Thaler, C. Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996). FNV-1a, then the finalizer of
/// SplitMix64, without which the last bytes would hardly matter.
fn spread(bytes: &[u8], seed: u64) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
