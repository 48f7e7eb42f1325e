//! `micro-node help`: one command, or all of them, for people and for programs.

use super::{
    Cli,
    failure::Failure,
    output::Output,
    shape::{ItemShape, Shapes},
    table::Table,
};
use clap::{Arg, Args, Command, CommandFactory};
use micro_actors::nearest;
use micro_sdk::wire::{Code, Fault};
use schemars::JsonSchema;
use serde::Serialize;

/// What changes nothing, wherever it is run. All else is taken to change something.
const READS: &[&str] = &[
    "audit list",
    "audit verify",
    "auth check",
    "auth inspect",
    "auth keys list",
    "auth list",
    "blob list",
    "cluster ca show",
    "cluster leader",
    "cluster members",
    "cluster verify",
    "completion",
    "config canaries",
    "config diff",
    "config export",
    "config get",
    "config history",
    "config list",
    "config view",
    "config watch",
    "dns query",
    "env",
    "env get",
    "env list",
    "help",
    "network check",
    "network connections",
    "network explain",
    "network graph",
    "network nodes",
    "network ping",
    "network routes",
    "network services",
    "policy check",
    "policy get",
    "policy list",
    "registry get",
    "registry list",
    "registry watch",
    "schema",
    "services",
    "status",
    "store databases",
    "store export",
    "store history",
    "store lease list",
    "store list",
    "store read",
    "store tables",
    "store watch",
    "user",
    "user namespace",
    "user token",
    "version",
];

/// Explain a command, or list all of them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node help store write
  micro-node help --all                              each command, and whether it changes anything
  micro-node help --all --json | jq '.item.commands[].name'")]
pub(super) struct HelpCommand {
    /// The command
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,

    /// List all commands
    #[arg(long, conflicts_with = "words")]
    all: bool,

    /// With all arguments and variables, as JSON; the same as -o json
    #[arg(long, requires = "all")]
    json: bool,
}

/// A command with all below it. Flags that every command takes are told once, at the top.
#[derive(Serialize, JsonSchema)]
struct CommandItem {
    /// What it is called, without the words before.
    name: String,
    /// What it does, in a line.
    about: String,
    /// What else it is called.
    aliases: Vec<String>,
    /// `ro` for what changes nothing, `rw` for the rest; none for what needs a further word.
    impact: Option<&'static str>,
    /// Its arguments.
    args: Vec<ArgItem>,
    /// The commands below it.
    commands: Vec<CommandItem>,
}

/// An argument of a command.
#[derive(Serialize, JsonSchema)]
struct ArgItem {
    /// What it is called among them.
    name: String,
    /// Its flag with two dashes, if it has one.
    long: Option<String>,
    /// Its flag with one dash, if it has one, without the dash.
    short: Option<char>,
    /// The variable that says the same.
    env: Option<String>,
    /// What stands for its value; none for a switch.
    value: Option<String>,
    /// The values that there are, if there are no others.
    values: Vec<String>,
    /// What is meant where it is not given.
    default: Option<String>,
    /// Whether it has to be given.
    required: bool,
    /// Whether it may be given more than once.
    repeated: bool,
    /// What it means.
    help: String,
}

const COMMANDS: ItemShape<CommandItem> = ItemShape::new("commands", &["help --all"]);

pub(super) const SHAPES: Shapes = &[&COMMANDS];

impl HelpCommand {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let mut root = Cli::command();
        root.build();
        if self.all {
            let item = command_item(&root, "");
            // Not by the format alone: nobody has to know two flags for one thing.
            return match (self.json, output.json()) {
                (false, false) => output.text(&listing(&item).render(output.headers(), output.width())),
                (true, false) => output.as_json().item(&COMMANDS, &item),
                (_, true) => output.item(&COMMANDS, &item),
            };
        }
        let mut command = &root;
        for word in &self.words {
            command = command.find_subcommand(word).ok_or_else(|| unknown(command, word))?;
        }
        output.text(command.clone().render_long_help().ansi().to_string().trim_end())
    }
}

fn unknown(command: &Command, word: &str) -> Failure {
    let place = command.get_bin_name().unwrap_or("micro-node");
    let shown = command.get_subcommands().filter(|below| !below.is_hide_set());
    let names = shown.flat_map(Command::get_name_and_visible_aliases);
    let fault = Fault::new(Code::Usage, format!("{place} has no command {word:?}"));
    match nearest(word, names) {
        Some(near) => fault.help(format!("did you mean `{place} {near}`?")),
        None => fault.help(format!("a service of the mesh explains itself: micro-node {word} --help")),
    }
    .into()
}

fn command_item(command: &Command, path: &str) -> CommandItem {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    // Each group would list the commands beside it once more.
    let below = below.filter(|below| path.is_empty() || below.get_name() != "help");
    let inside = |below: &Command| match path {
        "" => below.get_name().to_owned(),
        path => format!("{path} {}", below.get_name()),
    };
    let alone = !path.is_empty() && !command.is_subcommand_required_set();
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    // `--help` is everywhere, and what is for all is at the top.
    let args = args.filter(|arg| {
        path.is_empty() || !(arg.is_global_set() || ["help", "version"].contains(&arg.get_id().as_str()))
    });
    CommandItem {
        name: command.get_name().to_owned(),
        about: command.get_about().map(ToString::to_string).unwrap_or_default(),
        aliases: command.get_visible_aliases().map(str::to_owned).collect(),
        impact: alone.then(|| if READS.contains(&path) { "ro" } else { "rw" }),
        args: args.map(arg_item).collect(),
        commands: below.map(|below| command_item(below, &inside(below))).collect(),
    }
}

fn arg_item(arg: &Arg) -> ArgItem {
    let takes = arg.get_action().takes_values();
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let names = arg.get_value_names().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let default = arg.get_default_values().iter().map(|value| text(value)).collect::<Vec<_>>().join(",");
    ArgItem {
        name: arg.get_id().to_string(),
        long: arg.get_long().map(|long| format!("--{long}")),
        short: arg.get_short(),
        env: arg.get_env().map(text),
        value: takes.then(|| names.map(|names| names.join(" ")).unwrap_or_default()),
        values: match takes {
            true => arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
            false => Vec::new(),
        },
        default: Some(default).filter(|default| takes && !default.is_empty()),
        required: arg.is_required_set(),
        repeated: matches!(arg.get_action(), clap::ArgAction::Append | clap::ArgAction::Count),
        help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
    }
}

/// A line for each command that does something by itself.
fn listing(root: &CommandItem) -> Table {
    fn add(table: &mut Table, item: &CommandItem, path: &str) {
        if let Some(impact) = item.impact {
            table.row([path.to_owned(), impact.to_owned(), item.about.clone()]);
        }
        for below in &item.commands {
            add(table, below, format!("{path} {}", below.name).trim_start());
        }
    }
    let mut table = Table::new(["COMMAND", "IMPACT", "WHAT IT DOES"]);
    add(&mut table, root, "");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_reads_is_there() {
        let mut root = Cli::command();
        root.build();
        for path in READS {
            let found = path.split(' ').try_fold(&root, |command, word| command.find_subcommand(word));
            assert!(found.is_some_and(|command| !command.is_subcommand_required_set()), "{path}");
        }
    }

    #[test]
    fn the_tree_tells_names_arguments_variables_and_impact() {
        let mut root = Cli::command();
        root.build();
        let root = command_item(&root, "");
        let find =
            |item: &'_ CommandItem, name: &str| item.commands.iter().position(|below| below.name == name);
        let store = &root.commands[find(&root, "store").expect("there is a store")];
        assert_eq!((store.impact, store.aliases.as_slice()), (None, &["kv".to_owned()][..]));
        let write = &store.commands[find(store, "write").expect("it is written to")];
        let read = &store.commands[find(store, "read").expect("it is read")];
        assert_eq!((write.impact, read.impact), (Some("rw"), Some("ro")));
        assert!(write.args.iter().any(|arg| arg.long.as_deref() == Some("--expiry") && arg.value.is_some()));
        assert!(write.args.iter().all(|arg| arg.name != "namespace" && arg.name != "help"));
        let output = root.args.iter().find(|arg| arg.name == "output").expect("it is for all");
        assert_eq!((output.env.as_deref(), output.short), (Some("MICRO_NODE_OUTPUT"), Some('o')));
        assert!(output.values.iter().any(|value| value == "yaml"));
        assert!(listing(&root).render(true, None).contains("\nstore write "));
    }
}
