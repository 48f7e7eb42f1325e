//! The keys of the file, and the flag of `start` that each of them is.

/// A key of the file.
#[derive(Debug)]
pub(super) struct Key {
    /// The section that it is in.
    pub section: &'static str,
    /// What it is called there.
    pub name: &'static str,
    /// The flag that says the same, without the dashes.
    pub flag: &'static str,
    /// What its text means to the flag.
    pub kind: Kind,
}

/// What a text of the file means to the flag of the same meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The same.
    Plain,
    /// A path; one that is not absolute begins where the file is.
    Path,
    /// The path of a file with a secret, which the flag has behind an `@`.
    Secret,
}

/// All keys, in the order in which they are told.
pub(super) const KEYS: &[Key] = &[
    of("node", "name", "name", Kind::Plain),
    of("node", "data_dir", "data-dir", Kind::Path),
    of("node", "socket", "socket", Kind::Path),
    of("node", "door_threads", "door-threads", Kind::Plain),
    of("node", "busy_poll", "busy-poll", Kind::Plain),
    of("node", "ready_file", "ready-file", Kind::Path),
    of("place", "cloud", "cloud", Kind::Plain),
    of("place", "region", "region", Kind::Plain),
    of("place", "zone", "zone", Kind::Plain),
    of("mesh", "listen", "mesh-listen", Kind::Plain),
    of("mesh", "advertise", "advertise", Kind::Plain),
    of("mesh", "gateway", "gateway", Kind::Plain),
    of("mesh", "link_timeout", "link-timeout", Kind::Plain),
    of("mesh", "cost_per_gb", "cost-per-gb", Kind::Plain),
    of("mesh", "join", "join", Kind::Plain),
    of("mesh", "join_token_file", "join-token", Kind::Secret),
    of("mesh", "voters", "voters", Kind::Plain),
    of("mesh", "certificate_life", "certificate-life", Kind::Plain),
    of("api", "listen", "api", Kind::Plain),
    of("api", "hosts", "api-host", Kind::Plain),
    of("api", "cors_origins", "api-cors-origin", Kind::Plain),
    of("api", "tls_cert", "api-tls-cert", Kind::Path),
    of("api", "tls_key", "api-tls-key", Kind::Path),
    of("acme", "domains", "acme-domain", Kind::Plain),
    of("acme", "agree_tos", "acme-agree-tos", Kind::Plain),
    of("acme", "email", "acme-email", Kind::Plain),
    of("acme", "directory", "acme-directory", Kind::Plain),
    of("acme", "root", "acme-root", Kind::Path),
    of("proxy", "listen", "proxy", Kind::Plain),
    of("dns", "listen", "dns", Kind::Plain),
    of("store", "transaction_operations", "transaction-operations", Kind::Plain),
    of("store", "snapshot_every", "snapshot-every", Kind::Plain),
    of("store", "log_kept", "log-kept", Kind::Plain),
    of("blobs", "copies", "blob-copies", Kind::Plain),
    of("limits", "unknown", "limit-unknown", Kind::Plain),
    of("limits", "account", "limit-account", Kind::Plain),
    of("limits", "login", "limit-login", Kind::Plain),
    of("limits", "connections", "limit-connections", Kind::Plain),
    of("audit", "extent", "audit", Kind::Plain),
    of("audit", "file_size", "audit-file-size", Kind::Plain),
    of("audit", "files", "audit-files", Kind::Plain),
    of("log", "filter", "log", Kind::Plain),
    of("log", "format", "log-format", Kind::Plain),
];

const fn of(section: &'static str, name: &'static str, flag: &'static str, kind: Kind) -> Key {
    Key { section, name, flag, kind }
}

/// The names of the sections.
pub(super) fn sections() -> Vec<&'static str> {
    let mut names: Vec<&str> = KEYS.iter().map(|key| key.section).collect();
    names.dedup();
    names
}

/// The names of the keys in a section; none if there is no such section.
pub(super) fn names(section: &str) -> Vec<&'static str> {
    KEYS.iter().filter(|key| key.section == section).map(|key| key.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        Cli,
        shape::Described,
        start::file::{FILE_SHAPE, sections::NodeFile},
    };
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    /// Flags that say where the file is, or what to do with it.
    const NO_KEYS: [&str; 2] = ["config", "check"];

    #[test]
    fn every_flag_of_start_is_a_key_and_every_key_is_a_flag() {
        let mut root = Cli::command();
        root.build();
        let start = root.find_subcommand("start").expect("it is a command");
        let own = start.get_arguments().filter(|arg| !arg.is_global_set());
        let flags = own.filter_map(clap::Arg::get_long).filter(|flag| !NO_KEYS.contains(flag));
        let flags: BTreeSet<&str> = flags.filter(|flag| !["help", "version"].contains(flag)).collect();
        let keys: BTreeSet<&str> = KEYS.iter().map(|key| key.flag).collect();
        assert_eq!(flags, keys);
        assert_eq!(KEYS.len(), keys.len(), "two keys are one flag");
    }

    #[test]
    fn the_keys_are_those_of_the_type_and_of_its_schema() {
        let written = serde_json::to_value(NodeFile::default()).expect("it is JSON");
        let schema = FILE_SHAPE.schema();
        let all: BTreeSet<&str> = sections().into_iter().collect();
        assert_eq!(written.as_object().expect("it has sections").len(), all.len());
        assert_eq!(sections().len(), all.len(), "the keys of a section stand together");
        for section in all {
            let keys: BTreeSet<&str> = names(section).into_iter().collect();
            for members in [&written[section], &schema["properties"][section]["properties"]] {
                let members = members.as_object().expect("a section has members");
                assert_eq!(members.keys().map(String::as_str).collect::<BTreeSet<_>>(), keys, "{section}");
            }
        }
    }
}
