//! What the disk remembers of damage to the state.

use super::disk::Handle;
use crate::{
    StorageError,
    fence::{Aside, Damage, DamageNotes},
};

impl DamageNotes for Handle {
    fn note(&self, damage: &Damage) -> Result<(), StorageError> {
        self.lock_to_write()?.damage.get_or_insert_with(|| damage.clone());
        Ok(())
    }

    fn aside(&self) -> Result<Vec<Aside>, StorageError> {
        Ok(self.lock()?.aside.clone())
    }
}
