//! What a node tells of its links.

use super::OwnLink;
use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, time::Duration};

/// Begins the keys under which a node tells of its links.
const KEY: &str = "link/";
/// Links that a node tells of, first those that it keeps, then the quickest: with a key of 21 bytes and a value of at
/// most 20, a node tells 1.3 KiB in all, and over a quicker link its far nodes are reached anyway.
const TOLD_MAX: usize = 32;
/// What is measured anew and differs by less from what was told is no news: paths are chosen with more leeway than
/// that.
const NEWS_SHARE: f64 = 0.08;
/// Below this, what is measured is the host's scheduler and not the way.
const NEWS_MIN: Duration = Duration::from_micros(500);
/// A change of loss that is news, in thousandths.
const NEWS_LOSS: u16 = 10;
/// A change of what jitter costs that is news: it is a mean over 30 s, and others hear of it as late.
const NEWS_JITTER: Duration = Duration::from_millis(5);
/// Jitter that costs nothing, in microseconds, if a quarter of the round trip is not more: what a busy host adds to
/// pings, which says nothing of the way.
const JITTER_FREE_US: u32 = 10_000;
/// What jitter beyond that costs: who waits for several answers waits for the last one, which is late by about twice
/// what two of them differ by.
const JITTER_DEVIATIONS: u64 = 2;
/// What the loss of a packet costs, in round trips: it is noticed after about two, and most of what is asked takes a
/// few packets.
const LOSS_ROUND_TRIPS: f64 = 8.0;

/// How a link is, as the node at its one end finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkMetric {
    /// The round trip, in microseconds.
    pub(crate) rtt_us: u32,
    /// The share of packets that are lost, in thousandths.
    pub(crate) loss: u16,
    /// By how much round trips differ from one to the next, in the mean; in microseconds.
    pub(crate) jitter_us: u32,
}

impl LinkMetric {
    pub(crate) fn new(rtt: Duration, jitter: Duration, loss: f64) -> Self {
        let us = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let loss = (loss.clamp(0.0, 1.0) * 1000.0).round() as u16;
        LinkMetric { rtt_us: us(rtt), loss, jitter_us: us(jitter) }
    }

    pub(crate) fn rtt(self) -> Duration {
        Duration::from_micros(self.rtt_us.into())
    }

    /// The share of packets that are lost, from 0 to 1.
    pub(crate) fn loss(self) -> f64 {
        f64::from(self.loss) / 1000.0
    }

    /// By how much round trips differ from one to the next, in the mean.
    pub(crate) fn jitter(self) -> Duration {
        Duration::from_micros(self.jitter_us.into())
    }

    /// What it costs to go over this link, in microseconds: its round trip, what is lost, which has to be sent again,
    /// and what is late.
    pub(crate) fn cost(self) -> u64 {
        (f64::from(self.rtt_us) * (1.0 + LOSS_ROUND_TRIPS * self.loss())) as u64 + self.jitter_cost()
    }

    /// The part of the cost that is for jitter, in microseconds.
    pub(crate) fn jitter_cost(self) -> u64 {
        let free = JITTER_FREE_US.max(self.rtt_us / 4);
        u64::from(self.jitter_us.saturating_sub(free)) * JITTER_DEVIATIONS
    }

    /// Whether others should hear of this who were told `before`.
    pub(super) fn is_news(self, before: LinkMetric) -> bool {
        let change = Duration::from_micros(self.rtt_us.abs_diff(before.rtt_us).into());
        let share = Duration::from_micros(before.rtt_us.into()).mul_f64(NEWS_SHARE);
        let jitter = self.jitter_cost().abs_diff(before.jitter_cost());
        let late = Duration::from_micros(jitter) > share.max(NEWS_JITTER);
        change > share.max(NEWS_MIN) || self.loss.abs_diff(before.loss) >= NEWS_LOSS || late
    }

    fn text(self) -> String {
        format!("{},{},{}", self.rtt_us, self.loss, self.jitter_us)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let (rtt_us, loss) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        // Nodes of an earlier version don't tell it.
        let jitter_us = parts.next().map_or(Some(0), |jitter| jitter.parse().ok())?;
        (loss <= 1000).then_some(LinkMetric { rtt_us, loss, jitter_us })
    }
}

/// What one node tells of its links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkMetrics(pub(crate) BTreeMap<NodeId, LinkMetric>);

impl LinkMetrics {
    /// What a node has told, among all that it tells.
    pub(crate) fn heard(values: &BTreeMap<String, String>) -> Self {
        let links = values.range(KEY.to_owned()..).take_while(|(key, _)| key.starts_with(KEY));
        let read =
            |(key, text): (&String, &String)| Some((key[KEY.len()..].parse().ok()?, LinkMetric::read(text)?));
        LinkMetrics(links.filter_map(read).take(TOLD_MAX).collect())
    }

    /// Takes note of what was `found` now, and gives what to tell others of it, by key: a text, or nothing any more.
    pub(crate) fn update(&mut self, found: &BTreeMap<NodeId, OwnLink>) -> Vec<(String, Option<String>)> {
        let steady = found.iter().filter(|(_, link)| link.steady);
        let mut best: Vec<(NodeId, OwnLink)> = steady.map(|(node, link)| (*node, *link)).collect();
        // Those that are told of already stay, where two are much alike.
        best.sort_by_key(|(node, link)| {
            (!link.kept, self.0.get(node).copied().unwrap_or(link.metric).cost(), *node)
        });
        best.truncate(TOLD_MAX);
        let mut changes = Vec::new();
        self.0.retain(|node, _| {
            let stays = best.iter().any(|(told, _)| told == node);
            if !stays {
                changes.push((key(*node), None));
            }
            stays
        });
        for (node, OwnLink { metric, .. }) in best {
            if self.0.get(&node).is_none_or(|before| metric.is_news(*before)) {
                self.0.insert(node, metric);
                changes.push((key(node), Some(metric.text())));
            }
        }
        changes
    }
}

fn key(node: NodeId) -> String {
    format!("{KEY}{node}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(rtt_us: u32, loss: u16) -> LinkMetric {
        LinkMetric { rtt_us, loss, jitter_us: 0 }
    }

    fn found(links: &[(u64, LinkMetric)]) -> BTreeMap<NodeId, OwnLink> {
        let own = |metric: LinkMetric| OwnLink { metric, kept: true, steady: true };
        links.iter().map(|(node, metric)| (NodeId(*node), own(*metric))).collect()
    }

    #[test]
    fn only_what_has_changed_is_told_and_what_is_told_is_heard() {
        let mut own = LinkMetrics::default();
        let mut told =
            BTreeMap::from([("name".to_owned(), "n1".to_owned()), ("zone".to_owned(), String::new())]);
        let mut tell = |links: &[(u64, LinkMetric)]| {
            let changes = own.update(&found(links));
            for (key, value) in &changes {
                match value {
                    Some(value) => told.insert(key.clone(), value.clone()),
                    None => told.remove(key),
                };
            }
            assert_eq!(LinkMetrics::heard(&told), own);
            changes.len()
        };
        assert_eq!(tell(&[(2, state(80_000, 0)), (3, state(400, 0))]), 2);
        assert_eq!(tell(&[(2, state(84_000, 5)), (3, state(800, 0))]), 0, "no news");
        assert_eq!(tell(&[(2, state(90_000, 0)), (3, state(400, 20))]), 2);
        assert_eq!(tell(&[(3, state(400, 20))]), 1, "one is gone");
    }

    #[test]
    fn what_is_told_has_a_bound_and_what_is_heard_is_checked() {
        let mut own = LinkMetrics::default();
        let links: Vec<(u64, LinkMetric)> =
            (0..200).map(|node| (node, state(1000 * (200 - node as u32), 0))).collect();
        assert_eq!(own.update(&found(&links)).len(), TOLD_MAX);
        assert_eq!(own.0.keys().next(), Some(&NodeId(200 - TOLD_MAX as u64)), "the quickest");
        let values = [
            ("link/x", "1,2,3"),
            ("link/0000000000000001", "1"),
            ("link/0000000000000002", "1,1001,1"),
            ("link/0000000000000003", "1,1,x"),
        ];
        let values = values.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(LinkMetrics::heard(&values), LinkMetrics::default());
        let values = [("link/0000000000000001".to_owned(), "5,1".to_owned())].into();
        assert_eq!(LinkMetrics::heard(&values).0[&NodeId(1)], state(5, 1), "of an earlier version");
    }

    #[test]
    fn links_that_are_kept_are_told_first_and_those_that_may_go_soon_are_not() {
        let mut own = LinkMetrics::default();
        let mut links: BTreeMap<NodeId, OwnLink> =
            found(&(0..40).map(|node| (node, state(1000, 0))).collect::<Vec<_>>());
        let link = |kept, steady| OwnLink { metric: state(90_000, 0), kept, steady };
        links.values_mut().for_each(|link| link.kept = false);
        links.extend([(NodeId(70), link(true, true)), (NodeId(71), link(false, false))]);
        assert_eq!(own.update(&links).len(), TOLD_MAX);
        assert!(own.0.contains_key(&NodeId(70)) && !own.0.contains_key(&NodeId(71)));
    }

    #[test]
    fn loss_makes_a_link_costly() {
        assert_eq!(state(1000, 0).cost(), 1000);
        assert_eq!(state(1000, 250).cost(), 3000);
        assert_eq!(LinkMetric::new(Duration::from_millis(3), Duration::ZERO, 0.0215), state(3000, 22));
    }

    #[test]
    fn jitter_costs_where_it_is_more_than_a_busy_host_adds() {
        let late = |rtt_us, jitter_us| LinkMetric { rtt_us, loss: 0, jitter_us };
        assert_eq!(late(1000, 10_000).cost(), 1000);
        assert_eq!(late(1000, 30_000).cost(), 41_000);
        assert_eq!(late(80_000, 20_000).cost(), 80_000);
        assert!(late(1000, 30_000).is_news(late(1000, 12_000)) && !late(1000, 9_000).is_news(late(1000, 0)));
    }
}
