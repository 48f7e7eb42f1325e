//! `micro-node cluster`: who is a member, who leads, and a copy of it all.

mod backup;
mod ca;
mod restore;

use super::{
    confirmation,
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ItemShape, ListShape, Shapes},
    status::{role_name, state_name},
    table::{NOTHING, Table},
    unit,
};
use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use micro_sdk::{
    client::{Member, RemoveEvenIf},
    wire::{
        Code, Fault,
        status::{NodeStatus, Role, Status},
    },
};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::SystemTime;

const EXAMPLES: &str = "\
Examples:
  micro-node cluster members
  micro-node cluster leader
  micro-node cluster transfer b                      b leads from now on
  micro-node cluster remove c                        its host is lost; a learner takes its vote, if there is one
  micro-node cluster ca rotate                       another authority certifies the nodes
  micro-node cluster backup mesh.backup              all that the mesh agrees on
  micro-node cluster restore mesh.backup --data-dir ./restored";

/// See who is a member of the mesh and who leads, and change that; back up and restore
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ClusterCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Members(Members),
    Leader(Leader),
    Transfer(Transfer),
    Remove(Remove),
    Ca(ca::CaCommand),
    Backup(backup::Backup),
    Verify(backup::Verify),
    Restore(restore::Restore),
}

/// List the members of the mesh, with their votes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node cluster members
  micro-node cluster members -o wide")]
struct Members {}

/// Print the name of the node that leads
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node cluster leader")]
struct Leader {}

/// Hand leadership to another voter
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node cluster transfer
  micro-node cluster transfer node-2")]
struct Transfer {
    /// The voter that is to lead, by name or id [default: the one that is furthest]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    node: Option<String>,
}

/// Take a node out of the mesh for good, whose host is lost
///
/// It needs a quorum without that node. A learner that has caught up takes its vote. The node is not let in again under
/// its id; what was on its disk alone is given up.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node cluster remove node-3")]
struct Remove {
    /// The node, by name or id
    node: String,

    /// Also if the node is up: its process ends then. Better let it go itself, with `micro-node leave`
    #[arg(long)]
    even_if_up: bool,

    /// Also if the only copies of blobs are on it: they are lost then
    #[arg(long)]
    even_if_blobs_are_lost: bool,
}

/// What there is to say of the members.
#[derive(Serialize, JsonSchema)]
struct MembersSummary {
    /// How many vote.
    voters: usize,
    /// How many have a copy of everything and no vote.
    learners: usize,
}

const LEADER: ItemShape<Member> = ItemShape::new("leader", &["cluster leader", "cluster transfer"]);
pub(super) const MEMBER: ItemShape<Member> = ItemShape::new("member", &["cluster remove", "drain"]);
const MEMBERS: ListShape<&NodeStatus, MembersSummary> = ListShape::new("members", &["cluster members"]);

pub(super) const SHAPES: &[Shapes] =
    &[&[&LEADER, &MEMBER, &MEMBERS], backup::SHAPES, ca::SHAPES, restore::SHAPES];

impl ClusterCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::Members(_) => members(globals, output),
            Verb::Leader(_) => leader(globals, output),
            Verb::Transfer(Transfer { node }) => {
                let leader = session::run(globals, async |client| {
                    Ok(client.transfer_leadership(node.as_deref()).await?)
                })?;
                told(output, &LEADER, &leader, &format!("node {} leads", leader.name))
            }
            Verb::Remove(remove) => remove.run(globals, output),
            Verb::Ca(ca) => ca.run(globals, output),
            Verb::Backup(backup) => backup.run(globals, output),
            Verb::Verify(verify) => verify.run(output),
            Verb::Restore(restore) => restore.run(output),
        }
    }
}

impl Remove {
    fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let Remove { node, even_if_up, even_if_blobs_are_lost } = self;
        let even_if = RemoveEvenIf { up: even_if_up, blobs_are_lost: even_if_blobs_are_lost };
        let question = format!("Node {node} is taken out of the mesh for good, and can't come back. Go on?");
        confirmation::ask(globals, &question)?;
        let removed = session::run(globals, async |client| Ok(client.remove_node(&node, even_if).await?))?;
        told(output, &MEMBER, &removed, &format!("node {} is removed", removed.name))
    }
}

/// Tells of one node: the whole for programs, a remark for people.
fn told(output: &Output, shape: &ItemShape<Member>, member: &Member, remark: &str) -> Result<(), Failure> {
    if output.json() {
        return output.item(shape, member);
    }
    output.remark(remark);
    Ok(())
}

fn members(globals: &Globals, output: &Output) -> Result<(), Failure> {
    let status = session::run(globals, async |node| Ok(node.status().await?))?;
    let members: Vec<&NodeStatus> = status.nodes.iter().filter(|node| node.role != Role::None).collect();
    if output.json() {
        let learners = members.iter().filter(|node| node.role == Role::Learner).count();
        let summary = MembersSummary { voters: members.len() - learners, learners };
        return output.items(&MEMBERS, &members, &summary);
    }
    let mut table = Table::new(["NAME", "ID", "ROLE", "STATE", "ADDRESS", "CERTIFICATE"]);
    let now_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for node in members {
        let address = if node.address.is_empty() { NOTHING } else { &node.address };
        table.row([
            node.name.clone(),
            node.id.to_string(),
            role_name(node.role).to_owned(),
            state_name(node.state).to_owned(),
            address.to_owned(),
            certificate(node, now_s),
        ]);
    }
    output.table(&table, "this node is no member of a group yet")
}

fn leader(globals: &Globals, output: &Output) -> Result<(), Failure> {
    let status = session::run(globals, async |node| Ok(node.status().await?))?;
    let leader = leader_of(&status).ok_or_else(|| {
        Fault::new(Code::Unavailable, "the mesh has no leader with a quorum just now")
            .help("see `micro-node status`: a majority of the voters must be reachable")
    })?;
    let leader = Member { id: leader.id.to_string(), name: leader.name.clone() };
    if output.json() {
        return output.item(&LEADER, &leader);
    }
    output.text(&leader.name)
}

/// How long a node's certificate counts still.
fn certificate(node: &NodeStatus, now_s: u64) -> String {
    match node.certificate.as_ref().map(|certificate| certificate.ends_s) {
        None => NOTHING.to_owned(),
        Some(ends_s) if ends_s > now_s => format!("ends in {}", unit::span(ends_s - now_s)),
        Some(ends_s) => format!("ended {} ago", unit::span(now_s - ends_s)),
    }
}

fn leader_of(status: &Status) -> Option<&NodeStatus> {
    status.nodes.iter().find(|node| Some(node.id) == status.consensus.leader && status.consensus.quorum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::sample;

    #[test]
    fn a_leader_without_a_quorum_is_none() {
        let mut status = sample();
        let leader = status.consensus.leader;
        assert_eq!(leader_of(&status).map(|node| node.id), leader);
        status.consensus.quorum = false;
        assert_eq!(leader_of(&status).map(|node| node.id), None);
    }
}
