//! `micro-node cluster ca`: the authority that certifies the nodes of the mesh.

use super::super::{
    confirmation,
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    table::Table,
};
use clap::{Args, Subcommand};
use micro_sdk::client::Authority;

const EXAMPLES: &str = "\
Examples:
  micro-node cluster ca show
  micro-node cluster ca rotate                       a new one certifies; the former one goes when all have renewed
  micro-node cluster ca rotate --finish              it goes now";

/// See and replace the authority that certifies the nodes of the mesh
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CaCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(Show),
    Rotate(Rotate),
}

/// Show the authority, and the one before while it is believed
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node cluster ca show")]
struct Show {}

/// Have a new authority certify the nodes, without stopping any
///
/// Both are believed until all nodes have a certificate of the new one, which takes a few seconds; then the former one
/// is dropped by itself. A node that is down holds that up. Join tokens that were made before are of no use then.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Rotate {
    /// Make no new one: drop the former one now
    #[arg(long)]
    finish: bool,

    /// Also if nodes that are down have no certificate of the new one: they have to join anew
    #[arg(long, requires = "finish")]
    even_if_nodes_are_left_behind: bool,
}

impl CaCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::Show(_) => show(output, &session::run(globals, async |node| Ok(node.authority().await?))?),
            Verb::Rotate(Rotate { finish: true, even_if_nodes_are_left_behind }) => {
                if even_if_nodes_are_left_behind {
                    let question = "Nodes that are down and have not renewed have to join anew. Go on?";
                    confirmation::ask(globals, question)?;
                }
                let finished = session::run(globals, async |node| {
                    Ok(node.finish_authority(even_if_nodes_are_left_behind).await?)
                })?;
                told(output, &finished, "the former authority is not believed any more")
            }
            Verb::Rotate(_) => {
                let rotated = session::run(globals, async |node| Ok(node.rotate_authority().await?))?;
                told(output, &rotated, "a new authority certifies; the nodes renew by themselves")
            }
        }
    }
}

const AUTHORITY: ItemShape<Authority> =
    ItemShape::new("authority", &["cluster ca show", "cluster ca rotate"]);
pub(super) const SHAPES: Shapes = &[&AUTHORITY];

/// Tells what came of a change: the whole for programs, a remark for people.
fn told(output: &Output, authority: &Authority, remark: &str) -> Result<(), Failure> {
    if output.json() {
        return output.item(&AUTHORITY, authority);
    }
    output.remark(remark);
    Ok(())
}

fn show(output: &Output, authority: &Authority) -> Result<(), Failure> {
    if output.json() {
        return output.item(&AUTHORITY, authority);
    }
    let mut table = Table::new(["PIN", "STATE", "MADE", "ENDS", "WAITS FOR"]);
    let Authority { pin, made, ends, former } = authority;
    let row =
        |pin: &str, state: &str, rest: [&str; 3]| [pin, state, rest[0], rest[1], rest[2]].map(str::to_owned);
    table.row(row(pin, "certifies", [made, ends, super::NOTHING]));
    if let Some(former) = former {
        let waiting = match former.waiting_for.join(",") {
            names if names.is_empty() => super::NOTHING.to_owned(),
            names => names,
        };
        table.row(row(&former.pin, "believed", [super::NOTHING, super::NOTHING, &waiting]));
    }
    output.table(&table, "this mesh has no authority")
}
