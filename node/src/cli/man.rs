//! `micro-node man`: a manual page for each command.

use super::{
    Cli,
    failure::Failure,
    output::Output,
    shape::{ItemShape, Shapes},
};
use clap::{Args, CommandFactory, ValueHint};
use clap_mangen::Man;
use micro_sdk::wire::{Code, Fault};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Write a manual page for each command into a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node man --dir ~/.local/share/man/man1 && man micro-node-store-write
  micro-node man | man -l -                          the page of micro-node itself")]
pub(super) struct ManCommand {
    /// Where to write them; without it the page of micro-node itself goes to stdout
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

/// The pages that were written.
#[derive(Serialize, JsonSchema)]
struct ManItem {
    /// The folder.
    dir: String,
    /// How many there are.
    pages: usize,
}

const MAN: ItemShape<ManItem> = ItemShape::new("man", &["man --dir"]);

pub(super) const SHAPES: Shapes = &[&MAN];

impl ManCommand {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let mut command = Cli::command();
        command.build();
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            let rendered = Man::new(command).render(&mut page);
            rendered
                .map_err(|error| Fault::new(Code::Failed, format!("the page can't be written: {error}")))?;
            return output.bytes(&page);
        };
        let mut count = 0;
        let written = fs::create_dir_all(&dir).and_then(|()| write(&command, &dir, &mut count));
        written.map_err(|error| {
            Fault::new(Code::Failed, format!("{} can't be written to: {error}", dir.display()))
        })?;
        if output.json() {
            return output.item(&MAN, &ManItem { dir: dir.display().to_string(), pages: count });
        }
        output.remark(&format!("{count} pages are in {}", dir.display()));
        Ok(())
    }
}

/// Writes the page of a command and those of all below it.
fn write(command: &clap::Command, dir: &Path, count: &mut usize) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        write(below, dir, count)?;
    }
    // A command that is called as no file should be is on the page of the one above.
    if command.get_name() != "-" {
        Man::new(command.clone()).generate_to(dir)?;
        *count += 1;
    }
    Ok(())
}
