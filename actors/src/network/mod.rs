//! The network as seen from this node: who is there, how it is reached, what is wrong. Also the steward, which grows
//! the voters while this node leads, keeps the leader near most writes, and mends the seals of other voters.

mod audit;
mod card;
mod complaint;
mod connect;
mod departure;
mod drain;
mod farewell;
mod leadership;
mod membership;
mod neighbour;
mod placement;
mod places;
mod platform;
mod problems;
mod replicas;
mod residence;
mod status;
mod steward;
mod watermark;
mod ways;

pub use audit::{NodeAudit, VerifyAuditRequest};
pub use card::{NodeCard, Phase};
pub(crate) use complaint::{Complaint, Complaints};
pub use connect::{ConnectReply, ConnectRequest};
pub use drain::DrainRequest;
pub use farewell::Farewell;
pub use leadership::TransferRequest;
pub(crate) use leadership::stays;
pub use membership::{LeaveRequest, MemberReply, RemoveRequest};
pub use neighbour::Neighbour;
pub(crate) use places::{node_places, place_of};
pub(crate) use platform::NetworkParts;
pub use platform::{NETWORK, NetworkService};
pub(crate) use residence::{Appointment, Residence};
pub(crate) use steward::Steward;
pub(crate) use watermark::Watermark;
pub use ways::{ExplainReply, ExplainRequest, LinkReply, LinksReply, PingReply, PingRequest, WayReply};
