//! Everything that a service needs, in one `use`.

pub use crate::{
    serve::{Ctx, Result, serve},
    wire::{Code, Fault},
};
pub use micro_sdk_macros::{main, message, service};
