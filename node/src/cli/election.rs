//! `micro-node election`.

use super::{
    failure::Failure,
    globals::Globals,
    hold,
    output::Output,
    session,
    shape::{ItemShape, Shape, Shapes},
    table::clean,
    unit,
};
use clap::Args;
use micro_sdk::{
    client::{Leader, Leadership},
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  micro-node election scheduler host-7                  waits until it leads, prints its token, leads until Ctrl-C
  micro-node election scheduler                         who leads
  micro-node election scheduler --observe -o jsonl      who leads, and each time that this changes

Candidates lead in the order in which they came. What `micro-node store write --lead scheduler:TOKEN` writes is \
written only while its candidate leads. Exit code 8 if the lead is lost, 5 if nobody leads.";

/// Campaign to be the one of many, or see who is
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Election {
    /// The election: any name
    name: String,

    /// What others see of this candidate; without it, nobody campaigns
    value: Option<String>,

    /// Tell who leads, and each time that this changes, until Ctrl-C
    #[arg(long, conflicts_with = "value")]
    observe: bool,

    /// End after telling this often
    #[arg(long, short = 'n', value_name = "N", requires = "observe",
          value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// How long others wait after the leader has died
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = unit::duration)]
    ttl: Duration,
}

/// Who leads in an election.
#[derive(Serialize, JsonSchema)]
struct LeaderItem<'a> {
    /// The election.
    name: &'a str,
    /// The token of the leader, higher than those before; none while nobody leads.
    token: Option<u64>,
    /// What the leader shows of itself; none while nobody leads.
    value: Option<String>,
}

const ELECTION: ItemShape<LeaderItem<'static>> = ItemShape::new("election", &["election"]);
const LEAD: Shape<LeaderItem<'static>> =
    Shape::new("election-lead", &["election NAME VALUE", "election --observe"]);

pub(super) const SHAPES: Shapes = &[&ELECTION, &LEAD];

impl Election {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match &self.value {
            Some(value) => self.campaign(value, globals, output),
            None if self.observe => self.tell(globals, output),
            None => self.look(globals, output),
        }
    }

    fn campaign(&self, value: &str, globals: &Globals, output: &Output) -> Result<(), Failure> {
        session::run_to_end(globals, async |node| {
            let mut signals = hold::signals()?;
            let election = node.election(&self.name).ttl(self.ttl);
            let lead = tokio::select! {
                biased;
                code = signals.next() => return Err(Failure::Signalled(code)),
                lead = election.campaign(value.to_owned()) => lead?,
            };
            match output.json() {
                true => output.line(
                    &LEAD,
                    &self.item(Some(Leader { value: value.to_owned().into(), token: lead.token() })),
                )?,
                false => output.text(&lead.token().to_string())?,
            }
            let lost = hold::lost(format!("the lead in {:?}", self.name), lead.lost());
            let held = hold::until_signal(&mut signals, lost).await;
            resign(lead, output).await;
            held.map(drop)
        })
    }

    fn look(&self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let leader = session::run(globals, async |node| Ok(node.election(&self.name).leader().await?))?;
        let Some(leader) = leader else {
            let message = format!("nobody leads in the election {:?}", self.name);
            return Err(Fault::new(Code::NotFound, message)
                .help(format!("campaign with micro-node election {} VALUE", self.name))
                .into());
        };
        match output.json() {
            true => output.item(&ELECTION, &self.item(Some(leader))),
            false => output.text(&shown(Some(&leader))),
        }
    }

    fn tell(&self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        session::run(globals, async |node| {
            let mut observer = node.election(&self.name).observe();
            let mut left = self.limit.unwrap_or(u64::MAX);
            while left > 0 {
                let leader = observer.next().await?;
                match output.json() {
                    true => output.line(&LEAD, &self.item(leader))?,
                    false => output.text(&shown(leader.as_ref()))?,
                }
                left -= 1;
            }
            Ok(())
        })
    }

    fn item(&self, leader: Option<Leader>) -> LeaderItem<'_> {
        LeaderItem {
            name: &self.name,
            token: leader.as_ref().map(|leader| leader.token),
            value: leader.map(|leader| String::from_utf8_lossy(&leader.value).into_owned()),
        }
    }
}

/// The token of a leader and its value.
fn shown(leader: Option<&Leader>) -> String {
    match leader {
        Some(leader) => format!("{}  {}", leader.token, clean(&String::from_utf8_lossy(&leader.value))),
        None => super::table::NOTHING.to_owned(),
    }
}

/// Resigns. Should that fail, the lead ends with its time to live: a word is enough.
async fn resign(lead: Leadership, output: &Output) {
    if lead.is_lost() {
        return;
    }
    if let Err(fault) = lead.resign().await {
        output.remark(&format!("the lead was not given up, and ends by itself: {fault}"));
    }
}
