//! Which instances have a staged change, and what others have changed under it.

use crate::config::{
    ConfigPath, EditView,
    leaf::{Leaf, MASK},
    record::Canary,
    tree::{Edit, Tree},
};
use micro_sdk::wire::{Fault, InstanceId};
use ring::digest::{SHA256, digest};

impl Canary {
    /// Those of `instances`, all of one service, that have it: its share of them, and at least one. Each instance has a
    /// rank that depends on nothing but its id and the canary, so that one that comes or goes changes little for
    /// others. With another canary the ranks are others.
    pub fn holders(&self, instances: impl IntoIterator<Item = InstanceId>) -> Vec<InstanceId> {
        let mut ranked: Vec<([u8; 32], InstanceId)> =
            instances.into_iter().map(|instance| (self.rank(instance), instance)).collect();
        ranked.sort_unstable();
        let wanted = (ranked.len() * self.percent as usize).div_ceil(100).max(1);
        ranked.into_iter().take(wanted).map(|(_, instance)| instance).collect()
    }

    /// The first place of this change that one of `edits` touches too, if any does.
    ///
    /// # Errors
    /// What is kept is no path.
    pub fn touched_by(&self, edits: &[Edit]) -> Result<Option<ConfigPath>, Fault> {
        let paths = |edits: &[Edit]| -> Result<Vec<ConfigPath>, Fault> {
            edits.iter().map(|edit| ConfigPath::parse(&edit.path)).collect()
        };
        let others = paths(edits)?;
        Ok(paths(&self.edits)?.into_iter().find(|path| others.iter().any(|other| other.meets(path))))
    }

    /// What others have set or removed since it was staged, and a promotion would take away: what was there then, and
    /// what is there now. What is the same again is no loss.
    pub fn overtaken(&self, tree: &Tree) -> Vec<EditView> {
        let mut promoted = tree.clone();
        promoted.lay_over(&self.edits);
        let view = |edit: Edit| {
            let staged = self.edits.iter().find(|staged| staged.path == edit.path);
            let (then, now) = (staged.and_then(|staged| staged.before.clone()), edit.before);
            if same(then.as_ref(), now.as_ref()) {
                return None;
            }
            let mut view = Edit { path: edit.path, before: then, after: now }.view();
            if edit.after.is_some_and(|after| after.content.is_secret()) {
                // What is to become a secret may be one already.
                view.secret = true;
                [&mut view.before, &mut view.after]
                    .into_iter()
                    .flatten()
                    .for_each(|text| *text = MASK.to_owned());
            }
            Some(view)
        };
        tree.difference(&promoted).into_iter().filter_map(view).collect()
    }

    fn rank(&self, instance: InstanceId) -> [u8; 32] {
        let bytes = [self.number.to_be_bytes(), instance.to_be_bytes()].concat();
        digest(&SHA256, &bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// Whether a leaf is what it was: a rotation of keys seals it anew, but leaves its version.
fn same(then: Option<&Leaf>, now: Option<&Leaf>) -> bool {
    match (then, now) {
        (None, None) => true,
        (Some(then), Some(now)) => then.version == now.version || then.content == now.content,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(number: u64, percent: u32) -> Canary {
        let (who, reason, service) = (String::new(), String::new(), "shop".to_owned());
        Canary { number, time_ms: 0, who, reason, percent, service, edits: Vec::new() }
    }

    #[test]
    fn its_share_has_it_and_at_least_one() {
        for (count, percent, holders) in
            [(0, 10, 0), (1, 1, 1), (3, 10, 1), (10, 10, 1), (11, 10, 2), (10, 25, 3), (10, 100, 10)]
        {
            let found = canary(7, percent).holders(0..count);
            assert_eq!(found.len(), holders, "{percent} % of {count}");
        }
    }

    #[test]
    fn who_comes_takes_it_from_few() {
        let before = canary(7, 20).holders(0..100);
        let after = canary(7, 20).holders(0..101);
        let kept = before.iter().filter(|instance| after.contains(instance)).count();
        assert!(kept >= 19, "{kept} of 20 kept it");
        assert_ne!(before, canary(8, 20).holders(0..100), "another canary is on others");
        let shuffled: Vec<_> = (0..100).rev().collect();
        assert_eq!(before, canary(7, 20).holders(shuffled));
    }
}
