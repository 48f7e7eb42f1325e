//! Everything that a service needs, in one `use`.

pub use crate::{
    serve::{Ctx, Result, Streaming, serve},
    wire::{Code, Fault},
};
pub use futures::{Stream, StreamExt, stream};
pub use micro_sdk_macros::{main, message, service};
