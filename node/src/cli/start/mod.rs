//! `micro-node start`: the flags and the file, checked and turned into a node's [`Config`].

mod acme;
mod banner;
mod check;
mod dns;
mod file;
mod joining;
mod label;
mod limits;
mod links;
mod live;
mod log;
mod origin;
mod process;
mod ready_file;
mod storage;
mod systemd;

use super::{config, data_dir, failure::Failure, output::Output, unit};
use crate::{
    audit::AuditBounds,
    config::{ApiTls, AuditConfig, Config, HttpConfig, Setting, ThreadsConfig, TlsFiles, VotersWanted},
};
use acme::AcmeFlags;
use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use dns::DnsFlags;
use limits::LimitFlags;
use links::LinkFlags;
use log::LogFormat;
use micro_actors::audit::AuditExtent;
use micro_mesh::Place;
use micro_sdk::{
    client::{Address, default_socket},
    wire::{Code, Fault},
};
use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};
use storage::StorageFlags;

const EXAMPLES: &str = "\
Examples:
  micro-node start                                   a mesh of one node, reachable from this host only
  micro-node start --mesh-listen 0.0.0.0:8443 --advertise alpha.example.org:8443
  micro-node start --join 10.0.0.1:8443 --join-token @join-token --mesh-listen 0.0.0.0:8443
  micro-node start --config node.toml --check        what is wrong with it; nothing is started
  micro-node start --name b --data-dir ./b --socket ./b.sock --api 127.0.0.1:0 --proxy 127.0.0.1:0 \\
      --mesh-listen 127.0.0.1:0 --join 127.0.0.1:8443 --join-token @join-token      a second one on this host

What flags say can stand in variables (MICRO_NODE_NAME and so on) and in a file: a flag goes \
before a variable, that before the file, that before what was said at the last start. \
`micro-node schema config` tells what the file takes, `start --check` what would hold, and \
`config view` what does.

`micro-node token create` on a node of the mesh makes the token and shows the whole line. SIGTERM drains \
the node and keeps its membership; `micro-node leave` gives it up.";

/// How many threads may serve connections: more than a host has cores are of no use, and 0 leaves it to the node's own.
const DOOR_THREADS: RangeInclusive<usize> = 0..=64;
/// How many files of the audit log may be kept: the one that is written and another, or as many as a folder holds well.
const AUDIT_FILES: RangeInclusive<usize> = 2..=10_000;

/// Start a node
#[derive(Debug, Args)]
#[command(alias = "server", after_help = EXAMPLES)]
pub(super) struct Start {
    /// The file with the node's settings, in TOML: what no flag and no variable says. SIGHUP has the node take up
    /// limits and log anew [default: ~/.config/micro-node/node.toml, unless root asks, or /etc/micro-node/node.toml]
    #[arg(long, env = "MICRO_NODE_CONFIG", value_name = "FILE", hide_env_values = true)]
    config: Option<PathBuf>,

    /// Start nothing: say what is wrong with the settings, or show them and where each comes from
    #[arg(long)]
    check: bool,

    /// Where the node keeps its files [default: $XDG_DATA_HOME/micro-node; for root /var/lib/micro-node]
    #[arg(long, env = "MICRO_NODE_DATA_DIR", value_name = "DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,

    /// What people call the node [default: as at its last start, at first the host's name]
    #[arg(long, env = "MICRO_NODE_NAME", value_name = "NAME", value_parser = label::name)]
    name: Option<String>,

    /// The local door, a unix socket for root and the node's own user [default: in $XDG_RUNTIME_DIR, /run or
    /// /tmp]
    #[arg(long, env = "MICRO_NODE_SOCKET", value_name = "PATH", hide_env_values = true)]
    socket: Option<PathBuf>,

    /// The HTTP api for calls of services. Where other hosts reach it, it has to be inside TLS, and callers have to
    /// show who they are. Port 0 takes a free one, here and below
    #[arg(long, env = "MICRO_NODE_API", value_name = "IP:PORT", default_value = "127.0.0.1:8080",
          value_parser = label::listener)]
    api: SocketAddr,

    /// A name of this host that the HTTP api answers to, and one label below it for each namespace; may be given
    /// more than once
    #[arg(long, env = "MICRO_NODE_API_HOST", value_name = "HOST", value_delimiter = ',',
          value_parser = label::host)]
    api_host: Vec<String>,

    /// An origin whose pages may call the HTTP api, such as https://app.example.org; may be given more than once
    #[arg(long, env = "MICRO_NODE_API_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',',
          value_parser = label::origin)]
    api_cors_origin: Vec<String>,

    /// The certificate of the HTTP api, and those that lead to its authority, as a file in PEM: the api is then for TLS
    /// only. Taken up anew when it changes
    #[arg(long, env = "MICRO_NODE_API_TLS_CERT", value_name = "FILE", requires = "api_tls_key")]
    api_tls_cert: Option<PathBuf>,

    /// The private key of that certificate, as a file in PEM
    #[arg(long, env = "MICRO_NODE_API_TLS_KEY", value_name = "FILE", requires = "api_tls_cert")]
    api_tls_key: Option<PathBuf>,

    #[command(flatten)]
    acme: AcmeFlags,

    /// gRPC for who shows the admin secret or the token of an account; loopback only
    #[arg(long, env = "MICRO_NODE_PROXY", value_name = "IP:PORT", default_value = "127.0.0.1:8081",
          value_parser = label::listener)]
    proxy: SocketAddr,

    #[command(flatten)]
    dns: DnsFlags,

    /// Where the mesh listens (UDP) [default: where it last did; at first 127.0.0.1:8443]
    #[arg(long, env = "MICRO_NODE_MESH_LISTEN", value_name = "IP:PORT", value_parser = label::listener)]
    mesh_listen: Option<SocketAddr>,

    /// Where other nodes reach the mesh listener; may be given more than once, the place to be remembered first
    /// [default: as said last; at first where it listens, or, when joining, as seen from there]
    #[arg(long, env = "MICRO_NODE_ADVERTISE", value_name = "HOST:PORT", value_delimiter = ',',
          value_parser = label::place_on_network)]
    advertise: Vec<Address>,

    /// A node of the mesh to join; may be given more than once. Not needed once the node has joined
    #[arg(long, env = "MICRO_NODE_JOIN", value_name = "HOST:PORT", value_delimiter = ',',
          value_parser = label::place_on_network)]
    join: Vec<Address>,

    /// The token to join with, as @FILE or - for stdin [env: MICRO_NODE_JOIN_TOKEN, the token itself or
    /// @FILE]
    #[arg(long, value_name = "@FILE|-", allow_hyphen_values = true)]
    join_token: Option<String>,

    /// The cloud that the node runs in [default: as said last]
    #[arg(long, env = "MICRO_NODE_CLOUD", value_name = "NAME", default_value = "",
          hide_default_value = true, value_parser = label::place)]
    cloud: String,

    /// The region of that cloud [default: as said last]
    #[arg(long, env = "MICRO_NODE_REGION", value_name = "NAME", default_value = "",
          hide_default_value = true, value_parser = label::place)]
    region: String,

    /// The zone in that region: what fails together. Voters are spread over zones [default: as said last]
    #[arg(long, env = "MICRO_NODE_ZONE", value_name = "NAME", default_value = "",
          hide_default_value = true, value_parser = label::place)]
    zone: String,

    /// How many voters the mesh grows to: 3 survive the loss of one, 5 of two
    #[arg(long, env = "MICRO_NODE_VOTERS", value_name = "N", default_value = "3")]
    voters: Voters,

    /// How long the certificates that nodes show each other count, where this node issues them: 10s to 2160h. Each node
    /// renews its own at two thirds of that
    #[arg(long, env = "MICRO_NODE_CERTIFICATE_LIFE", value_name = "DURATION", default_value = "24h",
          value_parser = label::certificate_life)]
    certificate_life: Duration,

    /// Threads that serve connections beside the node's own [default: one less than the host has
    /// cores, at most 3]
    #[arg(long, env = "MICRO_NODE_DOOR_THREADS", value_name = "N",
          value_parser = number::<usize>(&DOOR_THREADS))]
    door_threads: Option<usize>,

    /// For how long a thread looks for what comes next, at most, before it sleeps: up to 1ms, or off. It looks only
    /// where that has lately been worth it, and lets other programs run; a call through the node is then the cost of
    /// two wake-ups faster
    #[arg(long, env = "MICRO_NODE_BUSY_POLL", value_name = "DURATION", default_value = "200us",
          value_parser = label::busy_poll)]
    busy_poll: Duration,

    #[command(flatten)]
    links: LinkFlags,

    #[command(flatten)]
    storage: StorageFlags,

    #[command(flatten)]
    limits: LimitFlags,

    /// What is kept of who did what, in DATA_DIR/audit: what is refused and what changes rights, configuration and
    /// membership; all that is asked; or nothing
    #[arg(long, env = "MICRO_NODE_AUDIT", value_name = "EXTENT", default_value = "changes")]
    audit: Extent,

    /// A file of the audit log is the last but one once it has this size
    #[arg(long, env = "MICRO_NODE_AUDIT_FILE_SIZE", value_name = "SIZE", default_value = "8MiB",
          value_parser = unit::size)]
    audit_file_size: u64,

    /// How many files of the audit log are kept
    #[arg(long, env = "MICRO_NODE_AUDIT_FILES", value_name = "N", default_value = "8",
          value_parser = number::<usize>(&AUDIT_FILES))]
    audit_files: usize,

    /// A file to write once the node is ready: JSON with its name, ids and addresses. Gone when it stops
    #[arg(long, env = "MICRO_NODE_READY_FILE", value_name = "FILE", hide_env_values = true)]
    ready_file: Option<PathBuf>,

    /// What to log, of which part of the program; where neither this nor a variable says it, RUST_LOG does, and then -v
    /// and -q
    #[arg(long, env = "MICRO_NODE_LOG", value_name = "FILTER", default_value = log::USUAL,
          value_parser = log::directives)]
    log: String,

    /// How to log on stderr [default: pretty on a terminal, else json]
    #[arg(long, env = "MICRO_NODE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// The file that was taken, if there is one.
    #[arg(skip)]
    file: Option<PathBuf>,

    /// What arguments and variables say, before the file.
    #[arg(skip)]
    given: Vec<Setting>,

    /// Where all of this comes from.
    #[arg(skip)]
    settings: Vec<Setting>,
}

pub(super) use file::SHAPES;
pub(super) use origin::complete;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Extent {
    Changes,
    All,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Voters {
    #[value(name = "3")]
    Three,
    #[value(name = "5")]
    Five,
}

impl Start {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        if self.check { check::run(self, output) } else { process::run(self, output) }
    }

    /// The settings of the node.
    ///
    /// # Errors
    /// If a flag asks for what can't be, or a name of the node's own can't be looked up.
    async fn config(self) -> Result<Config, Failure> {
        loopback(self.proxy).map_err(|why| elsewhere("--proxy", self.proxy, &why))?;
        let join = joining::join(&self.join, joining::join_token(self.join_token.as_deref())?).await;
        let (advertise, links) = self.links.config(&self.advertise).await?;
        let files = self.api_tls_cert.zip(self.api_tls_key);
        let files = files.map(|(certificate, key)| ApiTls::Files(TlsFiles { certificate, key }));
        let acme = self.acme.settings()?;
        // Whoever has a certificate for a name answers to it.
        let domains = acme.iter().flat_map(|acme| &acme.domains).map(ToString::to_string);
        let hosts = self.api_host.into_iter().chain(domains).collect();
        let ordered = acme.map(ApiTls::Acme);
        if files.is_some() && ordered.is_some() {
            let message = "the HTTP api has its certificate from files or from an authority, not both";
            return Err(Fault::new(Code::Usage, message)
                .help("leave out either --api-tls-cert and --api-tls-key or --acme-domain; the file may say them too")
                .into());
        }
        let tls = files.or(ordered);
        if let (Err(why), None) = (loopback(self.api), &tls) {
            let within = "put it inside TLS: --api-tls-cert and --api-tls-key, or --acme-domain";
            return Err(elsewhere("--api", self.api, &why).help(within).into());
        }
        let mut config = Config {
            name: self.name,
            place: Place { cloud: self.cloud, region: self.region, zone: self.zone },
            data_dir: data_dir::choose(self.data_dir.as_deref())?,
            socket: socket(self.socket)?,
            api: self.api,
            http: HttpConfig { hosts, cors_origins: self.api_cors_origin, tls },
            proxy: self.proxy,
            dns: self.dns.listen(),
            mesh_listen: self.mesh_listen,
            advertise,
            links,
            join,
            voters: match self.voters {
                Voters::Three => VotersWanted::Three,
                Voters::Five => VotersWanted::Five,
            },
            certificate_life: self.certificate_life,
            threads: ThreadsConfig { others: self.door_threads, busy_poll: self.busy_poll },
            storage: self.storage.config(),
            limits: self.limits.config(),
            audit: AuditConfig {
                extent: match self.audit {
                    Extent::Changes => AuditExtent::Changes,
                    Extent::All => AuditExtent::All,
                    Extent::Off => AuditExtent::Off,
                },
                bounds: AuditBounds { file_bytes: self.audit_file_size, files: self.audit_files },
            },
            settings: self.settings,
        };
        origin::fill(&mut config);
        Ok(config)
    }
}

/// Reads a number in a range.
fn number<T: TryFrom<u64>>(range: &RangeInclusive<usize>) -> RangedU64ValueParser<T> {
    let [first, last] = [*range.start(), *range.end()].map(|end| end as u64);
    RangedU64ValueParser::new().range(first..=last)
}

/// Refuses an address that other hosts reach.
fn loopback(address: SocketAddr) -> Result<(), String> {
    match address.ip().is_loopback() {
        true => Ok(()),
        false => Err(format!("{address} would let other hosts in")),
    }
}

fn elsewhere(flag: &str, address: SocketAddr, why: &str) -> Fault {
    Fault::new(Code::Usage, format!("{flag} {why}, in the clear"))
        .help(format!("use a loopback address: {flag} 127.0.0.1:{}", address.port()))
        .help("other hosts reach services through a node of their own: micro-node token create")
}

/// The socket's path, made absolute. The limit is the kernel's, and an address of it has to be typed by
/// clients.
fn socket(given: Option<PathBuf>) -> Result<PathBuf, Fault> {
    let path = given.unwrap_or_else(default_socket);
    let refuse = |why: String| Fault::new(Code::Usage, format!("--socket {}: {why}", path.display()));
    let absolute = std::path::absolute(&path).map_err(|error| refuse(error.to_string()))?;
    match format!("unix:{}", absolute.display()).parse::<Address>() {
        Ok(_) => Ok(absolute),
        Err(error) => Err(refuse(error.to_string()).help("choose a shorter path")),
    }
}

#[cfg(test)]
mod tests;
