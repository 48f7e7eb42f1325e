//! The bound listeners of a node: bound before anything else is done, so that a port in use is found out at once.

use crate::{
    config::{Config, DNS_USUAL, DnsListen},
    node::AdminSecret,
};
use micro_sdk::wire::{Code, Fault};
use std::{
    fs, io,
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, UdpSocket, UnixListener};

/// How often a port that is free for TCP is looked for until one is free for UDP too: most are.
const PAIR_TRIES: u32 = 16;

/// The unix socket, removed when it is dropped.
pub struct SocketFile {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "the socket's file is this door's own")]
        let _ = fs::remove_file(&self.path);
    }
}

/// The listeners of a node.
pub struct Listeners {
    pub(super) socket: SocketFile,
    pub(super) api: TcpListener,
    pub(super) proxy: TcpListener,
    pub(super) dns: Option<(UdpSocket, TcpListener)>,
    pub(super) secret: AdminSecret,
    /// Where the HTTP api listens.
    pub api_address: SocketAddr,
    /// Where the gRPC proxy listens.
    pub proxy_address: SocketAddr,
    /// Where DNS listens; none if it does not.
    pub dns_address: Option<SocketAddr>,
}

impl Listeners {
    /// Binds all doors.
    ///
    /// # Errors
    /// Which address is in the way of what, and the flag that changes it.
    pub async fn bind(config: &Config, secret: AdminSecret) -> Result<Self, Fault> {
        let api = tcp("the HTTP api", "--api", config.api, config.http.tls.is_some()).await?;
        let proxy = tcp("the gRPC proxy", "--proxy", config.proxy, false).await?;
        let dns = dns(config.dns).await?;
        let socket = unix(&config.socket)?;
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|error| Fault::new(Code::Failed, error.to_string()))
        };
        Ok(Listeners {
            api_address: address(&api)?,
            proxy_address: address(&proxy)?,
            dns_address: dns.as_ref().map(|(_, tcp)| address(tcp)).transpose()?,
            socket,
            api,
            proxy,
            dns,
            secret,
        })
    }
}

async fn tcp(what: &str, flag: &str, address: SocketAddr, inside_tls: bool) -> Result<TcpListener, Fault> {
    if !inside_tls && !address.ip().is_loopback() {
        let message = format!(
            "{what} can't listen on {address}: it is not inside TLS, so tokens would travel in the clear"
        );
        return Err(Fault::new(Code::Usage, message).help(format!("give {flag} a loopback address")));
    }
    TcpListener::bind(address).await.map_err(|error| bind_fault(what, flag, address, &error))
}

/// Binds what tells the names of the mesh: a port for UDP, and the same for TCP. Who said nothing is not kept from
/// starting a node because another on this host has the usual port.
async fn dns(listen: DnsListen) -> Result<Option<(UdpSocket, TcpListener)>, Fault> {
    match listen {
        DnsListen::Off => Ok(None),
        DnsListen::At(address) => pair(address).await.map(Some),
        DnsListen::Usual => match pair(DNS_USUAL).await {
            Err(fault) if fault.code == Code::Conflict => {
                let bound = pair(SocketAddr::new(DNS_USUAL.ip(), 0)).await?;
                let at = bound.0.local_addr().map(|at| at.to_string()).unwrap_or_default();
                tracing::info!(at, "DNS listens at a free port, since another process has {DNS_USUAL}");
                Ok(Some(bound))
            }
            bound => bound.map(Some),
        },
    }
}

async fn pair(address: SocketAddr) -> Result<(UdpSocket, TcpListener), Fault> {
    let mut tries = if address.port() == 0 { PAIR_TRIES } else { 1 };
    loop {
        tries -= 1;
        let bound = async {
            let tcp = TcpListener::bind(address).await?;
            Ok::<_, io::Error>((UdpSocket::bind(tcp.local_addr()?).await?, tcp))
        };
        match bound.await {
            Ok(bound) => return Ok(bound),
            Err(error) if tries == 0 => return Err(bind_fault("DNS", "--dns", address, &error)),
            Err(_) => {}
        }
    }
}

/// Why an address can't be bound, with the flag that changes it.
pub fn bind_fault(what: &str, flag: &str, address: SocketAddr, error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::AddrInUse {
        return Fault::new(Code::Conflict, format!("{what} can't listen on {address}: another process does"))
            .help(format!("choose another with {flag}, or port 0 for a free one"))
            .help(format!("`ss -lntup 'sport = :{}'` shows who it is", address.port()));
    }
    Fault::new(Code::Failed, format!("{what} can't listen on {address}: {error}"))
        .help(format!("choose another address with {flag}"))
}

#[expect(clippy::disallowed_methods, reason = "the socket's file is this door's own")]
fn unix(path: &Path) -> Result<SocketFile, Fault> {
    let shown = path.display();
    let failed = |error: io::Error| {
        Fault::new(Code::Failed, format!("the socket {shown} can't be made: {error}"))
            .help("choose another path with --socket")
    };
    if let Ok(there) = path.symlink_metadata() {
        if !there.file_type().is_socket() {
            return Err(Fault::new(Code::Conflict, format!("{shown} is there already, and is not a socket"))
                .help("choose another path with --socket, or move that file away"));
        }
        // A socket that nobody answers at was left by a process that was killed.
        if UnixStream::connect(path).is_ok() {
            return Err(Fault::new(Code::Conflict, format!("another process answers at the socket {shown}"))
                .help("for a second node on this host choose another path with --socket"));
        }
        fs::remove_file(path).map_err(failed)?;
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Each connection is checked by its peer's credentials as well: the mode only keeps others from trying.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(SocketFile { listener, path: path.to_owned() })
}
