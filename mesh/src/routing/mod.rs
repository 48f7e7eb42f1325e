//! The ways to all nodes: which links there are, and the shortest paths over them.
//!
//! Each node measures its links and tells what they are like by gossip (`LinkMetric`); each computes, over what all
//! told, the shortest paths from itself and keeps what it chose until something else is clearly better (`Ways`). So
//! nobody has to agree: a packet carries the path that its sender chose.

mod graph;
mod link_metric;
mod ways;

pub(crate) use link_metric::{LinkMetric, LinkMetrics};
pub(crate) use ways::Ways;
