//! The ways to all nodes: which links there are, and the shortest paths over them.
//!
//! Each node measures its links and tells what they are like by gossip (`LinkMetric`); each computes, over what all
//! told, the shortest paths from itself and keeps what it chose until something else is clearly better (`Ways`). So
//! nobody has to agree: a packet carries the path that its sender chose.

mod chosen;
mod graph;
mod link_metric;
mod neighbours;
mod price;
#[cfg(test)]
mod speed;
mod tolls;
mod ways;

pub(crate) use link_metric::{LinkMetric, LinkMetrics};
pub(crate) use neighbours::{FULL_MAX, Neighbourhood, Prospect, Region};
pub(crate) use price::Prices;
pub use price::{Price, PriceError};
pub(crate) use ways::{OwnLink, Ways};
