//! What an endpoint takes, and how people write it: its name, its fields and their values, as texts.
//!
//! The HTTP api and the command line share it, so that `/shop/cart/add?place.zip=1` and `shop cart add --place.zip=1`
//! are one request.

mod fields;
mod schema;
mod spelling;

pub(crate) use fields::{Fields, Given};
pub(crate) use schema::{Kinds, Schema};
pub(crate) use spelling::Spellings;
