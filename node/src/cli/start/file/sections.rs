//! What a file may say: the type that reads it, and that its JSON Schema is made of.

use super::value::{
    Agreed, AuthorityUrl, BlobCopies, Bound, Certified, Dialled, Files, Filter, Format, GbPrice, Host, Label,
    Life, LinkTimeout, Listener, LogKept, Look, Loopback, Mailbox, Name, NameServer, Operations, Origin,
    Path, Places, SecretFile, Size, SnapshotEvery, Threads, Told, Truth, Value, Voter,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of a node. What the file does not say is as at the node's last start, or as is usual; what a flag or a
/// variable says goes before what the file says.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::cli) struct NodeFile {
    /// The node itself and its files. A path that is not absolute begins in the folder of this file.
    node: Node,
    /// Where the node stands.
    place: Place,
    /// How it reaches the other nodes, and they it.
    mesh: Mesh,
    /// The HTTP api.
    api: Api,
    /// Certificates of the HTTP api from an authority (ACME), which the mesh orders and renews.
    acme: Acme,
    /// gRPC for who shows the admin secret or the token of an account.
    proxy: Proxy,
    /// DNS for the names of the mesh.
    dns: Dns,
    /// The store, and the log that it comes by.
    store: Store,
    /// Blobs.
    blobs: Blobs,
    /// How much callers may ask for at the ports, each a number or "off". Taken up anew on SIGHUP.
    limits: Limits,
    /// What is kept of who did what, in the folder audit of the data directory.
    audit: Audit,
    /// What the node logs on stderr.
    log: Log,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Node {
    /// What people call the node; the host's name at first.
    name: Option<Value<Name>>,
    /// Where the node keeps its files; $XDG_DATA_HOME/micro-node, for root /var/lib/micro-node, if nothing is said.
    data_dir: Option<Value<Path>>,
    /// The local door, a unix socket for root and the node's own user; in $XDG_RUNTIME_DIR, /run or /tmp if nothing is
    /// said.
    socket: Option<Value<Path>>,
    /// Threads that serve connections beside the node's own; one less than the host has cores, at most 3, if nothing is
    /// said.
    door_threads: Option<Value<Threads>>,
    /// For how long a thread looks for what comes next, at most, before it sleeps: up to "1ms", or "off"; "200us" if nothing
    /// is said.
    busy_poll: Option<Value<Look>>,
    /// A file to write once the node is ready: JSON with its name, ids and addresses. Gone when it stops.
    ready_file: Option<Value<Path>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Place {
    /// The cloud that it runs in.
    cloud: Option<Value<Label>>,
    /// The region of that cloud.
    region: Option<Value<Label>>,
    /// The zone in that region: what fails together. Voters are spread over zones.
    zone: Option<Value<Label>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Mesh {
    /// Where the mesh listens (UDP), as IP:PORT; 127.0.0.1:8443 at first.
    listen: Option<Value<Listener>>,
    /// Where other nodes reach that, as HOST:PORT; several with commas between them, the one to be remembered first.
    advertise: Option<Value<Places>>,
    /// Whether nodes of other clouds reach this one, also where they reach no other of its cloud: they keep links to it
    /// first, and go over it rather than over others.
    gateway: Option<Value<Truth>>,
    /// After how long without an answer a link counts as dead: 500ms to 60s; 2s if nothing is said.
    link_timeout: Option<Value<LinkTimeout>>,
    /// What a GB between two clouds costs, each as "aws:gcp=0.09": a cent makes a way as bad as a millisecond does.
    cost_per_gb: Option<Vec<Value<GbPrice>>>,
    /// Nodes of the mesh to join, each as HOST:PORT. Not needed once the node has joined.
    join: Option<Vec<Value<Dialled>>>,
    /// The file with the token to join with.
    join_token_file: Option<Value<SecretFile>>,
    /// How many voters the mesh grows to: 3 survive the loss of one, 5 of two; 3 if nothing is said.
    voters: Option<Value<Voter>>,
    /// How long the certificates count that nodes show each other, where this node issues them: 10s to 2160h; 24h if
    /// nothing is said.
    certificate_life: Option<Value<Life>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Api {
    /// Where it listens, as IP:PORT; 127.0.0.1:8080 if nothing is said. Port 0 takes a free one. Where other hosts
    /// reach it, it has to be inside TLS, and callers have to show who they are.
    listen: Option<Value<Listener>>,
    /// Names of this host that it answers to, and one label below each for each namespace.
    hosts: Option<Vec<Value<Host>>>,
    /// Origins whose pages may call it.
    cors_origins: Option<Vec<Value<Origin>>>,
    /// Its certificate, and those that lead to its authority, as a file in PEM: it is then for TLS only. Taken up anew
    /// when it changes.
    tls_cert: Option<Value<Path>>,
    /// The private key of that certificate, as a file in PEM.
    tls_key: Option<Value<Path>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Acme {
    /// The names for which certificates are ordered. The api is then for TLS only, answers to these names, and has to
    /// be reached at them on port 443.
    domains: Option<Vec<Value<Certified>>>,
    /// Whether the terms of service of the authority are agreed to: nothing is ordered without.
    agree_tos: Option<Value<Agreed>>,
    /// Where the authority writes to if something is wrong.
    email: Option<Value<Mailbox>>,
    /// The directory of the authority; that of Let's Encrypt if nothing is said.
    directory: Option<Value<AuthorityUrl>>,
    /// By whom that directory is believed, as a file in PEM; those whom the system believes if nothing is said.
    root: Option<Value<Path>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Proxy {
    /// Where it listens, as IP:PORT, on loopback only; 127.0.0.1:8081 if nothing is said.
    listen: Option<Value<Loopback>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Dns {
    /// Where it listens over UDP and TCP, as IP:PORT, or "off"; 127.0.0.1:8053, or a free port if that is taken, if nothing
    /// is said. Port 0 takes a free one. Where other hosts reach it, it answers them by rules alone.
    listen: Option<Value<NameServer>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Store {
    /// Comparisons and operations of one transaction of a caller at most; 1024 if nothing is said.
    transaction_operations: Option<Value<Operations>>,
    /// After how many entries of its log the node makes a snapshot; 200000 if nothing is said. Fewer make it start
    /// sooner and keep less on disk, and cost more checkpoints. Each node may have another number.
    snapshot_every: Option<Value<SnapshotEvery>>,
    /// How many entries the node keeps behind a snapshot; 10000 if nothing is said. A replica that lacks no more than
    /// the leader has kept catches up without the whole state. Each node may have another number.
    log_kept: Option<Value<LogKept>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Blobs {
    /// How many copies there are to be of a blob for which its put does not say it; 3 if nothing is said. The node
    /// decides that takes the put.
    copies: Option<Value<BlobCopies>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    /// Requests a second of callers without an account, of each address; 200 for other hosts and off for this one if
    /// nothing is said.
    unknown: Option<Value<Bound>>,
    /// Requests a second of each account; 50000 if nothing is said.
    account: Option<Value<Bound>>,
    /// Logins a second of each address, and as each account; 10 if nothing is said.
    login: Option<Value<Bound>>,
    /// Connections of each address at each port; 256 for other hosts and off for this one if nothing is said.
    connections: Option<Value<Bound>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Audit {
    /// What is told of: "changes" is what is refused and what changes rights, configuration and membership, "all" is all
    /// that is asked, "off" is nothing; "changes" if nothing is said.
    extent: Option<Value<Told>>,
    /// A file of it is the last but one once it has this size; 8MiB if nothing is said.
    file_size: Option<Value<Size>>,
    /// How many files are kept; 8 if nothing is said.
    files: Option<Value<Files>>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Log {
    /// What is logged, of which part of the program. Taken up anew on SIGHUP.
    filter: Option<Value<Filter>>,
    /// How: "pretty" for people, "json" for programs; as fits whoever reads stderr if nothing is said.
    format: Option<Value<Format>>,
}

impl NodeFile {
    /// The key that is missing, if one makes sense with another only: with the key that is there, and why.
    pub(super) fn lacks(&self) -> Option<(&'static str, &'static str)> {
        match (&self.api.tls_cert, &self.api.tls_key) {
            (Some(_), None) => Some(("tls_cert", "tls_key, the private key of that certificate")),
            (None, Some(_)) => Some(("tls_key", "tls_cert, the certificate of that key")),
            _ => None,
        }
    }
}
