//! The same refusal over and over is told once, and then how often: whoever floods a door must not push everything else
//! out of the log.

use micro_actors::audit::{AuditEvent, Verdict};
use std::{collections::BTreeMap, net::IpAddr};

use super::Entry;

/// How many different refusals are known at once; further ones are told each.
const KNOWN_MAX: usize = 1024;

/// What is the same: who, what, of what and what of it, where, from which address.
type Key = (String, &'static str, String, Option<String>, &'static str, Option<IpAddr>);

/// The refusals since the last [`settle`](Self::settle).
#[derive(Default)]
pub(super) struct Repeats(BTreeMap<Key, (Option<Entry>, u64)>);

impl Repeats {
    /// The entry for an event; none if the same was told just now.
    pub fn tell(&mut self, event: AuditEvent) -> Option<Entry> {
        if event.verdict == Verdict::Allowed {
            return Some(Entry::decision(event));
        }
        let who = event.account.clone().unwrap_or_else(|| event.caller.to_owned());
        let (resource, about) = (event.resource.clone(), event.about.clone());
        let key = (who, event.action, resource, about, event.origin.door(), event.origin.ip());
        match self.0.get_mut(&key) {
            Some((last, count)) => {
                *count += 1;
                *last = Some(Entry::decision(event));
                None
            }
            None => {
                if self.0.len() < KNOWN_MAX {
                    self.0.insert(key, (None, 0));
                }
                Some(Entry::decision(event))
            }
        }
    }

    /// The entries that say how often what was told has come again, each as it was the last time.
    pub fn settle(&mut self) -> Vec<Entry> {
        let known = std::mem::take(&mut self.0);
        let repeated = known.into_values().filter_map(|(last, count)| Some((last?, count)));
        repeated.map(|(last, count)| Entry { count: Some(count), ..last }).collect()
    }

    /// Whether there is nothing to settle.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_actors::audit::{Asker, Origin};
    use micro_sdk::wire::Caller;

    #[test]
    fn a_flood_is_two_entries() {
        let mut repeats = Repeats::default();
        let refused = |host: u8, port: u16, what: &str| {
            let origin = Origin::Api(([10, 0, 0, host], port).into());
            AuditEvent::refused(Asker { origin, ..Asker::of(&Caller::Stranger) }, "enter", what, "no")
        };
        let mut told = Vec::new();
        for port in 1..=100 {
            told.extend(repeats.tell(refused(1, port, "/a")));
        }
        told.extend(repeats.tell(refused(1, 1, "/b")));
        told.extend(repeats.tell(refused(2, 1, "/a")));
        let names: Vec<_> = told.iter().map(|entry| (entry.resource.as_str(), entry.count)).collect();
        assert_eq!(names, [("/a", None), ("/b", None), ("/a", None)]);
        let settled = repeats.settle();
        assert_eq!(settled.len(), 1);
        assert_eq!((settled[0].count, settled[0].peer.as_deref()), (Some(99), Some("10.0.0.1:100")));
        assert!(repeats.is_empty() && repeats.tell(refused(1, 1, "/a")).is_some());
        let allowed = |_| AuditEvent { verdict: Verdict::Allowed, ..refused(1, 1, "/a") };
        assert_eq!((0..9).map(allowed).filter_map(|event| repeats.tell(event)).count(), 9);
    }
}
