//! Programs that are attached as another instance than before: they tell something else, or something else is told of
//! them. Other nodes hear of it by gossip, and until then call the instance that was.

use super::{Attachment, Registry};
use micro_sdk::wire::InstanceId;
use std::collections::VecDeque;

/// How many are remembered: gossip has told all nodes long before as many programs have changed.
const REMEMBERED_MAX: usize = 256;

/// The instances that were, each with the one that its program is now.
#[derive(Default)]
pub(super) struct Successions(VecDeque<(InstanceId, InstanceId)>);

impl Successions {
    fn note(&mut self, before: InstanceId, after: InstanceId) {
        self.0.iter_mut().filter(|(_, known)| *known == before).for_each(|(_, known)| *known = after);
        self.0.truncate(REMEMBERED_MAX - 1);
        self.0.push_front((before, after));
    }

    fn after(&self, before: InstanceId) -> Option<InstanceId> {
        self.0.iter().find(|(known, _)| *known == before).map(|(_, after)| *after)
    }
}

impl Registry {
    /// The instance that a program is now which others may still take for this one.
    pub(crate) fn present(&self, id: InstanceId) -> InstanceId {
        let successions = self.0.successions.lock().expect("no code panics while it holds them");
        successions.after(id).unwrap_or(id)
    }

    /// Takes note that an instance has gone, if its program is another by now.
    pub(super) fn note_succession(&self, gone: &Attachment) {
        let is_same = |other: &Attachment| {
            let (own, other_own) = (&gone.instance, &other.instance);
            (&own.namespace, &own.service) == (&other_own.namespace, &other_own.service)
                && gone.address.is_some()
                && gone.address == other.address
        };
        if let Some(after) = self.attached().iter().find(|other| is_same(other)) {
            let mut successions = self.0.successions.lock().expect("no code panics while it holds them");
            successions.note(gone.instance.id, after.instance.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_line_is_the_present_one() {
        let mut successions = Successions::default();
        successions.note(1, 2);
        successions.note(2, 3);
        assert_eq!([1, 2, 3].map(|id| successions.after(id)), [Some(3), Some(3), None]);
        (10..10 + REMEMBERED_MAX as u64).for_each(|id| successions.note(id, 1000));
        assert_eq!(successions.after(1), None);
        assert_eq!(successions.0.len(), REMEMBERED_MAX);
    }
}
