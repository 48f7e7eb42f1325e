//! `micro-node config edit`.

use super::{document, failure::Failure, globals::Globals, item::show_changed, output::Output, session};
use clap::Args;
use micro_sdk::{
    client::{ConfigChanged, ConfigReading},
    wire::{Code, Fault},
};
use std::{
    env,
    ffi::OsString,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Change a part of the tree in an editor, as one change
///
/// Secrets stand there as "[secret]": left so, they stay as they are. If somebody else changes the tree meanwhile,
/// nothing is changed, and what was edited is kept in a file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config edit shop
  EDITOR='code --wait' micro-node config edit")]
pub(super) struct Edit {
    /// Where [default: the whole tree]
    #[arg(default_value = "", hide_default_value = true)]
    path: String,

    /// Why, for the history
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

impl Edit {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let reading = session::run(globals, async |node| Ok(node.config().get(&self.path).await?))?;
        let before = document::pretty(reading.text.as_deref().unwrap_or("{}")) + "\n";
        let draft = Draft::new(&before)?;
        open(&draft.path)?;
        let after = fs::read_to_string(&draft.path).map_err(|error| unreadable(&draft.path, &error))?;
        if after.trim() == before.trim() {
            draft.discard();
            output.remark("nothing was edited: nothing was changed");
            return Ok(());
        }
        match self.change(&reading, after.trim(), globals) {
            Ok(changed) => {
                draft.discard();
                show_changed(&changed, false, output)
            }
            // What a person has typed is not to be lost.
            Err(Failure::Fault(fault)) => {
                let kept = format!("what was edited is kept in {}", draft.path.display());
                Err(fault
                    .help(kept)
                    .help(format!(
                        "micro-node config import {} --replace --path {:?} --format json",
                        draft.path.display(),
                        self.path
                    ))
                    .into())
            }
            Err(failure) => Err(failure),
        }
    }

    fn change(
        &self,
        reading: &ConfigReading,
        text: &str,
        globals: &Globals,
    ) -> Result<ConfigChanged, Failure> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            let message = format!(
                "what was edited is not JSON: there is an error at line {} column {}",
                error.line(),
                error.column()
            );
            Fault::new(Code::Usage, message)
        })?;
        let (version, reason) = (reading.version, &self.reason);
        session::run(globals, async |node| {
            let tree = node.config();
            // An object without anything in it takes all away, where something was.
            if value.as_object().is_some_and(serde_json::Map::is_empty) && !reading.leaves.is_empty() {
                return Ok(tree.delete(&self.path).if_version(version).reason(reason).await?);
            }
            Ok(tree.set_text(&self.path, text).replace().if_version(version).reason(reason).await?)
        })
    }
}

/// The file that is edited. It stays unless it is discarded.
struct Draft {
    path: PathBuf,
}

impl Draft {
    fn new(text: &str) -> Result<Self, Fault> {
        let path = env::temp_dir().join(format!("micro-node-config-{}.json", std::process::id()));
        // It may be about to hold secrets, and whoever put a file there before is not to see them.
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = created.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| {
            let message = format!("cannot write {}: {error}", path.display());
            Fault::new(Code::Failed, message).help("is TMPDIR a place where you may write?")
        })?;
        Ok(Draft { path })
    }

    fn discard(self) {
        // Left behind, it would be in nobody's way.
        let _ = fs::remove_file(&self.path);
    }
}

/// Lets the person edit.
fn open(path: &Path) -> Result<(), Fault> {
    let editor =
        ["VISUAL", "EDITOR"].into_iter().find_map(|name| env::var_os(name).filter(|it| !it.is_empty()));
    let editor = editor.unwrap_or_else(|| OsString::from("vi"));
    // As git does it: the variable may hold arguments.
    let mut line = editor.clone();
    line.push(" \"$@\"");
    let status = Command::new("sh").arg("-c").arg(line).arg(&editor).arg(path).status();
    let failed = |why: String| {
        Fault::new(Code::Failed, format!("the editor {editor:?} did not end well: {why}"))
            .help("set EDITOR to one that waits until the file is closed")
    };
    let status = status.map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::Failed, format!("cannot read {}: {error}", path.display()))
}
