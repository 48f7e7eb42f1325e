//! Where values come from.

use std::fmt;

/// Where a value comes from. A later one wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The program itself.
    Default,
    /// A file.
    File,
    /// A variable of the environment.
    Environment,
    /// The configuration of the mesh.
    Mesh,
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Default => "default",
            Source::File => "file",
            Source::Environment => "environment",
            Source::Mesh => "mesh",
            Source::Flag => "flag",
        })
    }
}

/// Where one value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which source.
    pub source: Source,
    /// Where in it: the file, the variable, the flag, the version of the mesh's tree. Empty for a default.
    pub place: String,
    /// Where other values for it are that this one wins over, from the next in order.
    pub shadowed: Vec<String>,
    /// Whether it is a secret: then it is not printed.
    pub secret: bool,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&named(self.source, &self.place))
    }
}

/// A source and the place in it, for people.
pub(crate) fn named(source: Source, place: &str) -> String {
    match place {
        "" => source.to_string(),
        place => format!("{source} {place}"),
    }
}
