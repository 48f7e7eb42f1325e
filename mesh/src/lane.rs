//! Lanes: long-lived streams of frames between two nodes, each for one kind of traffic.

/// A kind of long-lived stream. Numbers are stable; priorities are what QUIC sends first when a link is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The leader's log entries and heartbeats: late ones cost an election.
    Append = 1,
    /// Proposals on their way to the leader.
    Forward = 2,
    /// Read requests on their way to the leader.
    Read = 3,
    /// A snapshot. On a connection of its own, so that it can't fill the windows of the others.
    Snapshot = 4,
    /// Votes.
    Vote = 5,
    /// A blob. On a connection of its own, as a snapshot is.
    Blob = 6,
    /// A snapshot for one whose state is damaged, at its own request. On a connection of its own too.
    Fetch = 7,
}

/// The priority of pings, above everything: a ping measures the path, not the queue.
pub(crate) const PING_PRIORITY: i32 = 30;
/// The priority of gossip: below consensus, above people's traffic, since a full link must not make nodes
/// look dead.
pub(crate) const GOSSIP_PRIORITY: i32 = 15;
/// The priority of calls.
pub(crate) const CALL_PRIORITY: i32 = 0;

impl Lane {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The lane of a number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        [Lane::Append, Lane::Forward, Lane::Read, Lane::Snapshot, Lane::Vote, Lane::Blob, Lane::Fetch]
            .into_iter()
            .find(|lane| lane.number() == number)
    }

    /// What QUIC sends first: higher before lower.
    pub(crate) fn priority(self) -> i32 {
        match self {
            Lane::Append | Lane::Vote => 20,
            Lane::Forward | Lane::Read => 10,
            Lane::Snapshot | Lane::Blob | Lane::Fetch => -10,
        }
    }

    /// Whether it gets a connection of its own, since what it carries would fill the windows of the others.
    pub(crate) fn is_bulk(self) -> bool {
        matches!(self, Lane::Snapshot | Lane::Blob | Lane::Fetch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_frozen() {
        let lanes =
            [Lane::Append, Lane::Forward, Lane::Read, Lane::Snapshot, Lane::Vote, Lane::Blob, Lane::Fetch];
        assert_eq!(lanes.map(Lane::number), [1, 2, 3, 4, 5, 6, 7]);
        for lane in lanes {
            assert_eq!(Lane::from_number(lane.number()), Some(lane));
        }
        assert_eq!(Lane::from_number(0), None);
        assert_eq!(Lane::from_number(8), None);
    }
}
