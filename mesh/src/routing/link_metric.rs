//! What a node tells of its links.

use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, time::Duration};

/// Begins the keys under which a node tells of its links.
const KEY: &str = "link/";
/// Links that a node tells of, the quickest: with a key of 21 bytes and a value of at most 12, a node tells 1 KiB in
/// all, and over a quicker link its far nodes are reached anyway.
const TOLD_MAX: usize = 32;
/// What is measured anew and differs by less from what was told is no news: paths are chosen with more leeway than
/// that.
const NEWS_SHARE: f64 = 0.08;
/// Below this, what is measured is the host's scheduler and not the way.
const NEWS_MIN: Duration = Duration::from_micros(500);
/// A change of loss that is news, in thousandths.
const NEWS_LOSS: u16 = 10;
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
}

impl LinkMetric {
    pub(crate) fn new(rtt: Duration, loss: f64) -> Self {
        let rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        LinkMetric { rtt_us, loss: (loss.clamp(0.0, 1.0) * 1000.0).round() as u16 }
    }

    pub(crate) fn rtt(self) -> Duration {
        Duration::from_micros(self.rtt_us.into())
    }

    /// The share of packets that are lost, from 0 to 1.
    pub(crate) fn loss(self) -> f64 {
        f64::from(self.loss) / 1000.0
    }

    /// What it costs to go over this link, in microseconds: its round trip, and what is lost, which has to be sent
    /// again.
    pub(crate) fn cost(self) -> u64 {
        (f64::from(self.rtt_us) * (1.0 + LOSS_ROUND_TRIPS * self.loss())) as u64
    }

    /// Whether others should hear of this who were told `before`.
    fn is_news(self, before: LinkMetric) -> bool {
        let change = Duration::from_micros(self.rtt_us.abs_diff(before.rtt_us).into());
        let share = Duration::from_micros(before.rtt_us.into()).mul_f64(NEWS_SHARE);
        change > share.max(NEWS_MIN) || self.loss.abs_diff(before.loss) >= NEWS_LOSS
    }

    fn text(self) -> String {
        format!("{},{}", self.rtt_us, self.loss)
    }

    fn read(text: &str) -> Option<Self> {
        let (rtt_us, loss) = text.split_once(',')?;
        Some(LinkMetric {
            rtt_us: rtt_us.parse().ok()?,
            loss: loss.parse().ok().filter(|loss| *loss <= 1000)?,
        })
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
    pub(crate) fn update(&mut self, found: &BTreeMap<NodeId, LinkMetric>) -> Vec<(String, Option<String>)> {
        let mut quickest: Vec<(NodeId, LinkMetric)> =
            found.iter().map(|(node, state)| (*node, *state)).collect();
        // Those that are told of already stay, where two are much alike.
        quickest.sort_by_key(|(node, state)| (self.0.get(node).copied().unwrap_or(*state).cost(), *node));
        quickest.truncate(TOLD_MAX);
        let mut changes = Vec::new();
        self.0.retain(|node, _| {
            let stays = quickest.iter().any(|(kept, _)| kept == node);
            if !stays {
                changes.push((key(*node), None));
            }
            stays
        });
        for (node, state) in quickest {
            if self.0.get(&node).is_none_or(|before| state.is_news(*before)) {
                self.0.insert(node, state);
                changes.push((key(node), Some(state.text())));
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
        LinkMetric { rtt_us, loss }
    }

    fn found(links: &[(u64, LinkMetric)]) -> BTreeMap<NodeId, LinkMetric> {
        links.iter().map(|(node, state)| (NodeId(*node), *state)).collect()
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
        let values = [("link/x", "1,2"), ("link/0000000000000001", "1"), ("link/0000000000000002", "1,1001")];
        let values = values.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(LinkMetrics::heard(&values), LinkMetrics::default());
    }

    #[test]
    fn loss_makes_a_link_costly() {
        assert_eq!(state(1000, 0).cost(), 1000);
        assert_eq!(state(1000, 250).cost(), 3000);
        assert_eq!(LinkMetric::new(Duration::from_millis(3), 0.0215), state(3000, 22));
    }
}
