//! The user's file, as commands change it: comments and what else is in it stay.

use super::{
    super::{
        failure::Failure,
        kept::{self, Kept},
    },
    FILE,
    file::{self, UserFile},
};
use micro_sdk::{
    client::Address,
    wire::{Code, Fault, NameError, Namespace},
};
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, value};

/// The user's file, locked against other commands until it is dropped.
pub(in super::super) struct Notebook {
    kept: Kept,
    document: DocumentMut,
    read: UserFile,
}

impl Notebook {
    /// Opens the file of this user, which may not be there yet.
    ///
    /// # Errors
    /// If it can't be read, or says what nobody understands.
    pub(in super::super) fn open() -> Result<Self, Failure> {
        let folder = kept::folder().ok_or_else(|| {
            Fault::new(Code::Usage, "there is no home directory to keep environments in")
                .help("say where a node is with --address or MICRO_NODE_ADDRESS")
        })?;
        Self::open_in(&folder)
    }

    fn open_in(folder: &Path) -> Result<Self, Failure> {
        let kept = Kept::lock(folder, FILE)?;
        let text = file::text(kept.path())?.unwrap_or_default();
        let document = text.parse().map_err(|error: toml_edit::TomlError| {
            file::not_understood(kept.path(), &text, error.message(), error.span())
        })?;
        let read = file::read(kept.path())?.unwrap_or_default();
        Ok(Notebook { kept, document, read })
    }

    /// Where it is.
    pub(in super::super) fn path(&self) -> &Path {
        self.kept.path()
    }

    /// The environment that was meant before this one.
    pub(in super::super) fn previous(&self) -> Option<&str> {
        self.read.previous_target.as_deref()
    }

    /// Means an environment from now on, and remembers `before`.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(in super::super) fn target(mut self, name: &str, before: &str) -> Result<(), Failure> {
        if name != before {
            self.document["previous_target"] = value(before);
        }
        self.document["target"] = value(name);
        self.write()
    }

    /// Adds an environment.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(in super::super) fn add(
        mut self,
        name: &str,
        address: &Address,
        namespace: Option<&Namespace>,
    ) -> Result<(), Failure> {
        let entry = self.entry(name)?;
        entry["address"] = value(address.to_string());
        if let Some(namespace) = namespace {
            entry["namespace"] = value(namespace.as_str());
        }
        self.write()
    }

    /// Sets the namespace that is meant in an environment.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(in super::super) fn namespace(mut self, name: &str, namespace: &Namespace) -> Result<(), Failure> {
        self.entry(name)?["namespace"] = value(namespace.as_str());
        self.write()
    }

    /// Takes an environment out.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(in super::super) fn remove(mut self, name: &str) -> Result<(), Failure> {
        if let Some(environments) = self.document.get_mut("environments").and_then(Item::as_table_like_mut) {
            environments.remove(name);
        }
        if self.read.previous_target.as_deref() == Some(name) {
            self.document.remove("previous_target");
        }
        self.write()
    }

    /// The table of an environment, made if it is not there.
    fn entry(&mut self, name: &str) -> Result<&mut Item, Failure> {
        let environments = self.document.entry("environments").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let path = self.kept.path().display();
        let unfit = || Failure::usage(format!("{path}: environments is no table"));
        let environments = environments.as_table_like_mut().ok_or_else(unfit)?;
        Ok(environments.entry(name).or_insert(Item::Table(Table::new())))
    }

    fn write(self) -> Result<(), Failure> {
        self.kept.replace(self.document.to_string().as_bytes())
    }
}

/// Refuses what can't be the name of an environment: it follows the rule for namespaces.
pub(in super::super) fn name(text: &str) -> Result<(), NameError> {
    text.parse::<Namespace>().map(drop).map_err(|error| error.of("good environment"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_a_person_wrote_stays_as_it_was() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(FILE);
        let open = || Notebook::open_in(folder.path()).expect("it is good");
        let address: Address = "a:1".parse().expect("an address");
        open().add("prod", &address, None).expect("there is room");
        assert_eq!(
            fs::read_to_string(&path).expect("it is there"),
            "[environments.prod]\naddress = \"a:1\"\n"
        );
        fs::write(&path, "# mine\noutput = \"wide\" # broad\n\n[environments.old]\naddress = \"b:2\"\n")
            .expect("room");
        let acme: Namespace = "acme".parse().expect("a name");
        open().add("prod", &address, Some(&acme)).expect("there is room");
        open().target("prod", "local").expect("there is room");
        open().namespace("local", &acme).expect("there is room");
        open().remove("old").expect("there is room");
        let text = fs::read_to_string(&path).expect("it is there");
        assert!(text.contains("# mine\noutput = \"wide\" # broad\n") && !text.contains("old"), "{text}");
        let profile =
            super::super::Profile::of(None, Some(&path), Path::new("/nowhere")).expect("it is good");
        assert_eq!(profile.target(), "prod");
        assert_eq!(profile.environment("prod").expect("it is there").namespace.as_ref(), Some(&acme));
        assert_eq!(profile.environment("local").expect("it is there").namespace.as_ref(), Some(&acme));
        assert_eq!(open().previous(), Some("local"));
        fs::write(&path, "environments = 7").expect("room");
        assert!(Notebook::open_in(folder.path()).is_err());
    }
}
