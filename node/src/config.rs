//! What a node is told when it starts: meaning only, parsed and checked at the command line.

use crate::{audit::AuditBounds, busy_poll::BUSY_POLL_USUAL};
use micro_actors::{
    acme::AcmeSettings, audit::AuditExtent, blob::COPIES_DEFAULT, store::TRANSACTION_OPS_USUAL,
};
use micro_consensus::{LOG_KEPT_USUAL, SNAPSHOT_EVERY_USUAL};
use micro_mesh::{JoinToken, LINK_TIMEOUT, Place, Price};
use micro_sdk::wire::Fault;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

/// How many voters the Raft group grows to on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VotersWanted {
    /// Survives the loss of one.
    Three,
    /// Survives the loss of two.
    Five,
}

impl VotersWanted {
    /// The number.
    pub fn count(self) -> usize {
        match self {
            VotersWanted::Three => 3,
            VotersWanted::Five => 5,
        }
    }
}

/// How to get into a mesh that exists.
#[derive(Clone, Debug)]
pub struct Join {
    /// Where nodes of it listen, first to try first. Without any, those of the token are tried.
    pub addresses: Vec<SocketAddr>,
    /// The permission, or why the one that was given can't be read. A data directory that has joined before needs
    /// none: whoever starts it with the old line, and a token that is long gone, is not to be bothered.
    pub token: Result<Option<JoinToken>, Fault>,
}

impl Join {
    /// Where to ask: at the addresses given, else at those in the token.
    pub fn places(&self) -> &[SocketAddr] {
        match (&*self.addresses, &self.token) {
            ([], Ok(Some(token))) => &token.addresses,
            (given, _) => given,
        }
    }
}

/// One setting as it was given, for people who ask where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As its flag is called, without the dashes.
    pub name: String,
    /// Its value, if it has one. Never a secret.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: SettingSource,
    /// The flag or the variable, or the file and the line; empty for the rest.
    pub place: String,
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// The node's file.
    File,
    /// Nobody said anything now: it is as it was at the node's last start.
    LastStart,
    /// Nobody said anything.
    Default,
}

impl SettingSource {
    /// What people and programs read.
    pub fn name(self) -> &'static str {
        match self {
            SettingSource::Flag => "flag",
            SettingSource::Environment => "environment",
            SettingSource::File => "file",
            SettingSource::LastStart => "last start",
            SettingSource::Default => "default",
        }
    }
}

/// How the HTTP api is reached, beside its address.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// Names of this host that the api answers to, beside those of loopback: lowercase, without port.
    pub hosts: Vec<String>,
    /// The origins whose pages may call it, each as `https://app.example.org`.
    pub cors_origins: Vec<String>,
    /// What it shows to those who call it over TLS; none for the clear.
    pub tls: Option<ApiTls>,
}

/// Where the certificates of the HTTP api come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiTls {
    /// From files.
    Files(TlsFiles),
    /// From an authority, of which the mesh orders them.
    Acme(AcmeSettings),
}

impl HttpConfig {
    /// What certificates are to be ordered, if some are.
    pub fn acme(&self) -> Option<&AcmeSettings> {
        match &self.tls {
            Some(ApiTls::Acme(settings)) => Some(settings),
            _ => None,
        }
    }
}

/// Where a certificate and its key are, in PEM (RFC 7468).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and behind it those that lead to an authority that callers know.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How much somebody may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// Nobody said anything: as is usual.
    #[default]
    Usual,
    /// As much as they like.
    Off,
    /// So much.
    At(NonZeroU32),
}

impl Limit {
    /// How much; none for no bound.
    pub fn or(self, usual: Option<NonZeroU32>) -> Option<NonZeroU32> {
        match self {
            Limit::Usual => usual,
            Limit::Off => None,
            Limit::At(most) => Some(most),
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Limit::Off),
            number => {
                number.parse().map(Limit::At).map_err(|_| "it takes a number above 0, or off".to_owned())
            }
        }
    }
}

/// Where the names of the mesh are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsListen {
    /// Nobody said anything: at [`DNS_USUAL`], or at a free port beside it if that is another's, as of the first of two
    /// nodes on one host.
    #[default]
    Usual,
    /// Nowhere.
    Off,
    /// There, over UDP and TCP.
    At(SocketAddr),
}

/// Where the names of the mesh are told if nobody said anything: not at port 53, which takes root and is the host's own
/// resolver's.
pub const DNS_USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8053);

/// How much callers may ask for at the ports, before anything is done for them. See `doors::limits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Requests a second of those who are not known, of each address.
    pub unknown: Limit,
    /// Requests a second of each account.
    pub account: Limit,
    /// Logins a second, of each address and of each account.
    pub login: Limit,
    /// Connections of each address at each port.
    pub connections: Limit,
}

/// What is kept in the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditConfig {
    /// What is told of.
    pub extent: AuditExtent,
    /// How much of it is kept.
    pub bounds: AuditBounds,
}

/// The threads that serve connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadsConfig {
    /// How many there are beside the node's own; none means as many as suit the host's cores.
    pub others: Option<usize>,
    /// For how long they look for what comes next before they sleep.
    pub busy_poll: Duration,
}

impl Default for ThreadsConfig {
    fn default() -> Self {
        ThreadsConfig { others: None, busy_poll: BUSY_POLL_USUAL }
    }
}

/// The links to other nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct LinksConfig {
    /// Where else other nodes reach the mesh listener.
    pub also: Vec<SocketAddr>,
    /// Whether nodes of other clouds reach it, as they may not reach others of its cloud.
    pub gateway: bool,
    /// After how long without an answer a link counts as dead.
    pub timeout: Duration,
    /// What traffic between clouds costs.
    pub prices: Vec<Price>,
}

impl Default for LinksConfig {
    fn default() -> Self {
        LinksConfig { also: Vec::new(), gateway: false, timeout: LINK_TIMEOUT, prices: Vec::new() }
    }
}

/// What a node keeps of records, of the log that they come by, and of blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// The comparisons and operations of a caller's transaction at most.
    pub transaction_ops: usize,
    /// After how many entries of the log a snapshot is made.
    pub snapshot_every: u64,
    /// How many entries are kept behind it.
    pub log_kept: u64,
    /// How many copies there are to be of a blob whose put does not say it.
    pub blob_copies: u32,
}

impl Default for StorageConfig {
    fn default() -> Self {
        StorageConfig {
            transaction_ops: TRANSACTION_OPS_USUAL,
            snapshot_every: SNAPSHOT_EVERY_USUAL,
            log_kept: LOG_KEPT_USUAL,
            blob_copies: COPIES_DEFAULT,
        }
    }
}

/// The settings of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name people know it by; as at the last start, or the host's, when none is given.
    pub name: Option<String>,
    /// Where it stands; as at the last start, as far as it is not given.
    pub place: Place,
    /// Its files.
    pub data_dir: PathBuf,
    /// The local door: gRPC for root and the node's own user.
    pub socket: PathBuf,
    /// The HTTP api for people's services. Beyond loopback inside TLS only.
    pub api: SocketAddr,
    /// Who may call the HTTP api by what name.
    pub http: HttpConfig,
    /// gRPC for who shows the admin secret or the token of an account. Loopback only.
    pub proxy: SocketAddr,
    /// DNS for the names of the mesh.
    pub dns: DnsListen,
    /// Where the mesh listens (UDP); where it did at the last start when none is given.
    pub mesh_listen: Option<SocketAddr>,
    /// The address at which other nodes reach the mesh listener; as at the last start, or the bound address, when none
    /// is given.
    pub advertise: Option<SocketAddr>,
    /// The links to other nodes.
    pub links: LinksConfig,
    /// The mesh to join; without it a new data directory starts a mesh of its own.
    pub join: Option<Join>,
    /// How many voters to grow to.
    pub voters: VotersWanted,
    /// How long the certificates of nodes count that this one issues.
    pub certificate_life: Duration,
    /// The threads that serve connections.
    pub threads: ThreadsConfig,
    /// What it keeps, and how.
    pub storage: StorageConfig,
    /// How much callers may ask for.
    pub limits: LimitsConfig,
    /// What is kept of who did what.
    pub audit: AuditConfig,
    /// Where all of it comes from, as far as a person said it.
    pub settings: Vec<Setting>,
}
