//! Rules of this tree that matter enough to be tests.

mod dependencies;
mod floors;
mod sources;
pub(crate) mod tree;
