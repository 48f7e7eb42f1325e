//! Grows the voters and spreads them over clouds and zones while this node leads, hands its office over to where most
//! writes come from, gives voters that have lost the key of the seal that key again, drops a former authority that
//! nobody needs any more, and parts with nodes that are gone for good. Gossip alone never takes a vote away: a node
//! that is silent may come back.

use crate::{
    auth::AuthService,
    network::{
        Complaint, Complaints,
        card::Heard,
        leadership::stays,
        placement::{Candidate, Voters, best_voters},
        residence::Residence,
    },
    registry::Registry,
};
use micro_consensus::{Consensus, Observation};
use micro_mesh::{Member, Mesh, Place};
use micro_sdk::wire::{NodeId, status::NodeState};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How often the steward looks. A new node is a voter within a second or two of having caught up.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After this many looks a change of voters that goes on counts as left by its leader: it takes two rounds through the
/// log. Completed too early, it is complete all the same.
const CHANGING_LOOKS_MAX: u32 = 3;
/// How many entries a learner may be behind to count as caught up: what a busy leader writes in a few heartbeats.
pub(crate) const CAUGHT_UP_LAG: u64 = 1000;
/// How long handing over the seal may take.
const SEAL_DEADLINE: Duration = Duration::from_secs(3);

/// How long the next leader may take to take over from one that is drained or has no room.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(3);
/// How long a node that left is still talked to: it has to hear that it may go.
const FAREWELL: Duration = Duration::from_secs(2);

/// Grows the voters, mends their seals, and parts with who is gone.
pub struct Steward {
    mesh: Mesh,
    consensus: Consensus,
    auth: Arc<AuthService>,
    registry: Registry,
    complaints: Complaints,
    residence: Residence,
    voters_wanted: usize,
}

/// The zone of a node for spreading copies: everything that fails together.
pub(super) fn zone_of(heard: &Heard<'_>) -> String {
    let place = heard.place();
    format!("{}/{}/{}", place.cloud, place.region, place.zone)
}

/// Whether a replica that has `matched` is close enough to the end of the log.
pub(crate) fn caught_up(matched: Option<u64>, last_log: Option<u64>) -> bool {
    matched.is_some_and(|matched| matched + CAUGHT_UP_LAG >= last_log.unwrap_or(0))
}

/// The learners that could vote at once: alive, staying, and caught up. Known to the leader only.
pub(crate) fn fit_learners(seen: &Observation, members: &[Member]) -> Vec<NodeId> {
    seen.learners.iter().copied().filter(|node| is_fit(*node, seen, members)).collect()
}

/// The voters but this node, which leads, that are alive, staying, and caught up.
pub(super) fn able_voters(seen: &Observation, members: &[Member]) -> Vec<NodeId> {
    let others = seen.voters.iter().copied().filter(|node| *node != seen.node);
    others.filter(|node| is_fit(*node, seen, members)).collect()
}

fn is_fit(node: NodeId, seen: &Observation, members: &[Member]) -> bool {
    let matched = seen.replication.iter().find(|replica| replica.node == node);
    let matched = matched.and_then(|replica| replica.matched);
    let alive = members.iter().any(|member| {
        let goes = matches!(Heard(member).state(), NodeState::Leaving | NodeState::Drained);
        member.node == node && member.alive && !goes
    });
    alive && caught_up(matched, seen.last_log)
}

impl Steward {
    /// A steward that grows the group to `voters_wanted` voters.
    pub fn new(
        mesh: Mesh,
        consensus: Consensus,
        auth: Arc<AuthService>,
        registry: Registry,
        complaints: Complaints,
        residence: Residence,
        voters_wanted: usize,
    ) -> Self {
        Steward { mesh, consensus, auth, registry, complaints, residence, voters_wanted }
    }

    /// Looks after the voters until the task is ended.
    pub async fn run(mut self) {
        let (mut removals, mut changing_looks) = (0, 0);
        loop {
            sleep(LOOK_EVERY).await;
            self.part(&mut removals).await;
            let seen = self.consensus.observe();
            changing_looks = if seen.leading && seen.changing { changing_looks + 1 } else { 0 };
            if seen.leading && (self.registry.is_drained() || self.complaints.is(Complaint::DiskFull)) {
                self.consensus.hand_over(|other| stays(&self.mesh, other), HAND_OVER_PATIENCE).await;
            } else if seen.leading && !seen.changing {
                self.finish_succession(&seen).await;
                self.note_addresses(&seen).await;
                self.look(&seen).await;
            } else if changing_looks > CHANGING_LOOKS_MAX {
                self.finish_change().await;
            }
            self.residence.look(&seen).await;
            if seen.voters.contains(&seen.node) {
                self.mend_seals(&seen).await;
            }
        }
    }

    /// Parts with the nodes that are gone for good, if there are more than `known`: they are not let in again.
    async fn part(&self, known: &mut u64) {
        let removals = self.auth.removals();
        if removals.as_ref().is_ok_and(|removals| removals == known) {
            return;
        }
        match removals.and_then(|removals| Ok((removals, self.auth.gone()?))) {
            Ok((removals, gone)) => {
                // One that leaves just now waits for the answer, over the link that this closes.
                sleep(FAREWELL).await;
                gone.iter().for_each(|node| self.mesh.gossip().forget(*node));
                *known = removals;
            }
            Err(fault) => tracing::warn!(%fault, "it can't be seen who is gone"),
        }
    }

    /// Gives the key of the seal to voters that complain of theirs. The leader does, and for the leader all others do.
    async fn mend_seals(&self, seen: &Observation) {
        let members = self.mesh.gossip().members();
        let complaining = members.iter().filter(|member| {
            let other = member.node != seen.node && seen.voters.contains(&member.node) && member.alive;
            other && Heard(member).complains_of(Complaint::SealKey)
        });
        for node in complaining.map(|member| member.node) {
            if !(seen.leading || seen.leader == Some(node)) || self.auth.check_seal().is_err() {
                continue;
            }
            // Once more than needed, perhaps: the news that it has it again takes a moment.
            match self.auth.hand_seal_to(node, Instant::now() + SEAL_DEADLINE).await {
                Ok(()) => tracing::info!(%node, "gave a voter the key of the seal again"),
                Err(fault) => tracing::info!(%node, %fault, "a voter did not take the key of the seal"),
            }
        }
    }

    /// Keeps the address book of the group true: a host may have moved, and who is told where it is by nobody else
    /// looks there.
    async fn note_addresses(&self, seen: &Observation) {
        let members = self.mesh.gossip().members();
        let told = |node: NodeId| match node == seen.node {
            true => Some(self.mesh.advertise()),
            false => {
                members.iter().find(|member| member.node == node && member.alive).map(|member| member.address)
            }
        };
        for (node, noted) in &seen.addresses {
            let Some(address) = told(*node).filter(|address| address.to_string() != *noted) else { continue };
            match self.consensus.set_address(*node, address).await {
                Ok(()) => tracing::info!(%node, %address, "a member has another address"),
                Err(error) => tracing::info!(%node, %error, "the address of a member could not be noted"),
            }
        }
    }

    /// Drops the former authority of the mesh, once all members have a certificate of the next one.
    async fn finish_succession(&self, seen: &Observation) {
        let deadline = Instant::now() + SEAL_DEADLINE;
        if let Err(fault) = self.auth.finish_if_all_have_renewed(seen, deadline).await {
            tracing::info!(%fault, "the former authority could not be dropped yet");
        }
    }

    /// Completes a change of voters whose leader did not live, or did not lead, to complete it. Until then no other
    /// change is possible, and a quorum of both sets is needed for everything.
    async fn finish_change(&self) {
        match self.consensus.finish_change().await {
            Ok(()) => tracing::info!("a change of voters that was left unfinished is complete"),
            Err(error) => tracing::warn!(%error, "a change of voters could not be completed yet"),
        }
    }

    async fn look(&self, seen: &Observation) {
        let members = self.mesh.gossip().members();
        let places: BTreeMap<NodeId, Place> =
            members.iter().map(|member| (member.node, Heard(member).place())).collect();
        let place = |node: &NodeId| places.get(node).cloned().unwrap_or_default();
        let voters: Voters = seen.voters.iter().map(|node| (*node, place(node))).collect();
        let fit = fit_learners(seen, &members);
        let candidate =
            |node: &NodeId| Candidate { node: *node, place: place(node), fit: fit.contains(node) };
        let candidates: Vec<Candidate> = seen.learners.iter().map(candidate).collect();
        let steady = able_voters(seen, &members).len() + 1 == voters.len();
        let next = best_voters(&voters, &candidates, self.voters_wanted, seen.node, steady);
        let Some(next) = next else { return };
        for node in next.iter().filter(|node| !seen.voters.contains(node)) {
            let deadline = Instant::now() + SEAL_DEADLINE;
            if let Err(fault) = self.auth.hand_seal_to(*node, deadline).await {
                tracing::info!(%node, %fault, "a learner can't vote yet: it did not take the key of the seal");
                return;
            }
        }
        match self.consensus.change_voters(next.clone()).await {
            Ok(()) => tracing::info!(voters = ?next, "the voters have changed"),
            Err(error) => tracing::warn!(%error, "the voters could not be changed"),
        }
    }
}
