//! Where a node listens and is reached, as far as it was not told: as at its last start. Others know it by that, and
//! whoever starts it again need not say it again.

use crate::config::{Config, DnsListen};
use micro_sdk::wire::{Code, Fault};
use micro_storage::FileStore;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

pub(super) const ADDRESSES_FILE: &str = "addresses";
/// Where the mesh listens when it was never told.
pub(super) const MESH_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);

/// The addresses of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Addresses {
    /// The HTTP api.
    pub api: SocketAddr,
    /// The gRPC proxy.
    pub proxy: SocketAddr,
    /// DNS, if somebody said where; none in what an earlier build wrote.
    #[serde(default)]
    pub dns: Option<SocketAddr>,
    /// The mesh listener.
    pub mesh: SocketAddr,
    /// Where other nodes reach it; none where that is simply where it listens.
    pub advertise: Option<SocketAddr>,
    /// Whether a person said so. Else it was read off the route to the mesh, and the route may change.
    pub advertise_said: bool,
    /// Where else other nodes reach it, as a person said; none in what an earlier build wrote.
    #[serde(default)]
    pub also: Vec<SocketAddr>,
}

impl Addresses {
    /// Those of the last start, unless there was none.
    ///
    /// # Errors
    /// If the disk fails, or the file is damaged: others know this node by these addresses, so none are made up.
    pub fn of_last_start(files: &dyn FileStore) -> Result<Option<Self>, Fault> {
        let bytes = files.read(ADDRESSES_FILE).map_err(failed)?;
        let addresses = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
        addresses.map_err(|error| {
            Fault::new(
                Code::Failed,
                format!("the file `{ADDRESSES_FILE}` in the data directory is damaged: {error}"),
            )
            .help("remove the file and say the addresses again: --mesh-listen, --advertise, --api, --proxy")
        })
    }

    /// Those of this start. What is said counts; else what was; port 0 takes the port of the last start if that is
    /// still free.
    ///
    /// # Errors
    /// [`Code::Usage`] if nobody could tell where others reach this node.
    pub fn choose(config: &Config, last: Option<Self>) -> Result<Self, Fault> {
        let free_tcp = |address: SocketAddr| TcpListener::bind(address).is_ok();
        let free_udp = |address: SocketAddr| UdpSocket::bind(address).is_ok();
        let last = last.as_ref();
        let was = |pick: fn(&Addresses) -> SocketAddr| last.map(pick);
        let listen = config.mesh_listen.or(was(|last| last.mesh)).unwrap_or(MESH_LISTEN);
        let mesh = again(listen, was(|last| last.mesh), free_udp);
        // An address for another listener than this one leads astray.
        let last_reached = last.filter(|last| last.mesh == mesh);
        let (advertise, advertise_said) = reached(config, mesh, last_reached)?;
        // All places are said at once: who says one anew takes the others back.
        let said_before = last_reached.filter(|_| config.advertise.is_none() && advertise_said);
        Ok(Addresses {
            api: again(config.api, was(|last| last.api), free_tcp),
            proxy: again(config.proxy, was(|last| last.proxy), free_tcp),
            dns: match config.dns {
                DnsListen::At(dns) => Some(again(dns, last.and_then(|last| last.dns), free_tcp)),
                DnsListen::Usual | DnsListen::Off => None,
            },
            mesh,
            advertise,
            advertise_said,
            also: said_before.map_or_else(|| config.links.also.clone(), |last| last.also.clone()),
        })
    }

    /// Keeps them for the next start.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep(&self, files: &dyn FileStore) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(self).expect("addresses have a JSON form");
        if files.read(ADDRESSES_FILE).ok().flatten().as_ref() == Some(&bytes) {
            return Ok(());
        }
        files.write(ADDRESSES_FILE, &bytes).map_err(failed)
    }
}

fn failed(error: micro_storage::StorageError) -> Fault {
    Fault::new(Code::Failed, error.to_string())
}

/// `wanted`, with the port of the last start in the place of port 0.
fn again(wanted: SocketAddr, last: Option<SocketAddr>, free: impl Fn(SocketAddr) -> bool) -> SocketAddr {
    let last = last.map(|last| SocketAddr::new(wanted.ip(), last.port()));
    last.filter(|last| wanted.port() == 0 && free(*last)).unwrap_or(wanted)
}

/// Where others reach the mesh listener at `listen`, and whether a person said so: now, or at the last start that
/// listened there. Else, for a listener on all interfaces, the address that leads to the mesh to be joined.
fn reached(
    config: &Config,
    listen: SocketAddr,
    last: Option<&Addresses>,
) -> Result<(Option<SocketAddr>, bool), Fault> {
    let last = last.and_then(|last| Some((last.advertise?, last.advertise_said)));
    if let Some(said) = config.advertise {
        return Ok((Some(said), true));
    }
    if let Some((said, true)) = last {
        return Ok((Some(said), true));
    }
    if !listen.ip().is_unspecified() {
        return Ok((None, false));
    }
    let missing =
        Fault::new(Code::Usage, format!("--mesh-listen {listen} does not say where others reach this node"))
            .help(format!("say it: --advertise HOST:{}", listen.port()));
    let own = config.join.iter().flat_map(|join| join.places()).find_map(|peer| own_address(*peer));
    // Which port a free one is, is known too late to be told to others.
    let own = own.filter(|_| listen.port() != 0).map(|ip| SocketAddr::new(ip, listen.port()));
    own.or(last.map(|(seen, _)| seen)).map(|own| (Some(own), false)).ok_or(missing)
}

/// The address of this host that packets to `peer` leave from. Nothing is sent: connecting a UDP socket only
/// asks the kernel for its route.
fn own_address(peer: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(peer).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        AuditConfig, HttpConfig, Join, LimitsConfig, LinksConfig, StorageConfig, ThreadsConfig, VotersWanted,
    };
    use micro_mesh::{CERTIFICATE_LIFE, Place};

    fn config(mesh_listen: Option<&str>, advertise: Option<&str>, join: Option<&str>) -> Config {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        Config {
            name: None,
            place: Place { cloud: String::new(), region: String::new(), zone: String::new() },
            data_dir: "/d".into(),
            socket: "/s".into(),
            api: address("127.0.0.1:8080"),
            http: HttpConfig::default(),
            proxy: address("127.0.0.1:8081"),
            dns: DnsListen::Usual,
            mesh_listen: mesh_listen.map(address),
            advertise: advertise.map(address),
            join: join.map(|join| Join { addresses: vec![address(join)], token: Ok(None) }),
            voters: VotersWanted::Three,
            links: LinksConfig::default(),
            threads: ThreadsConfig::default(),
            storage: StorageConfig::default(),
            limits: LimitsConfig::default(),
            certificate_life: CERTIFICATE_LIFE,
            audit: AuditConfig::default(),
            settings: Vec::new(),
        }
    }

    #[track_caller]
    fn chosen(config: &Config, last: Option<&Addresses>) -> Addresses {
        Addresses::choose(config, last.cloned()).expect("all of it is known")
    }

    #[test]
    fn nothing_said_ever_is_loopback() {
        let first = chosen(&config(None, None, None), None);
        assert_eq!((first.mesh, first.advertise), (MESH_LISTEN, None));
    }

    #[test]
    fn what_was_said_once_need_not_be_said_again() {
        let said = config(Some("0.0.0.0:7443"), Some("10.9.9.9:7443"), None);
        let last = chosen(&said, None);
        assert_eq!(last.advertise, Some(([10, 9, 9, 9], 7443).into()));
        for again in [None, Some("0.0.0.0:7443")] {
            assert_eq!(chosen(&config(again, None, None), Some(&last)), last);
            // Nor is it taken back by what the route to the mesh says.
            assert_eq!(chosen(&config(again, None, Some("127.0.0.1:9")), Some(&last)), last);
        }
    }

    #[test]
    fn all_places_that_were_said_are_kept_and_one_that_is_said_anew_takes_them_back() {
        let further = vec![([10, 9, 9, 8], 7443).into(), ([10, 9, 9, 7], 7443).into()];
        let mut said = config(Some("0.0.0.0:7443"), Some("10.9.9.9:7443"), None);
        said.links.also.clone_from(&further);
        let last = chosen(&said, None);
        assert_eq!(last.also, further);
        assert_eq!(chosen(&config(None, None, None), Some(&last)), last);
        let now = chosen(&config(None, Some("10.9.9.9:7443"), None), Some(&last));
        assert_eq!((now.advertise, now.also), (last.advertise, Vec::new()));
        // They were for another listener.
        assert_eq!(chosen(&config(Some("127.0.0.1:7443"), None, None), Some(&last)).also, Vec::new());
    }

    #[test]
    fn what_the_route_said_lasts_until_the_route_says_otherwise() {
        let last = chosen(&config(Some("0.0.0.0:7443"), None, Some("127.0.0.1:9")), None);
        assert_eq!(last.advertise, Some(([127, 0, 0, 1], 7443).into()));
        assert_eq!(chosen(&config(None, None, None), Some(&last)), last);
        let moved = Addresses { advertise: Some(([10, 9, 9, 9], 7443).into()), ..last.clone() };
        assert_eq!(chosen(&config(None, None, Some("127.0.0.1:9")), Some(&moved)), last);
    }

    #[test]
    fn what_is_said_now_counts() {
        let last = chosen(&config(Some("0.0.0.0:7443"), Some("10.9.9.9:7443"), None), None);
        let now = chosen(&config(None, Some("10.8.8.8:7443"), None), Some(&last));
        assert_eq!((now.mesh, now.advertise), (last.mesh, Some(([10, 8, 8, 8], 7443).into())));
        let now = chosen(&config(Some("127.0.0.1:7443"), None, None), Some(&last));
        assert_eq!((now.mesh.ip(), now.advertise), (Ipv4Addr::LOCALHOST.into(), None));
    }

    #[test]
    fn a_listener_on_all_interfaces_that_nobody_was_told_of_is_refused() {
        for listen in ["0.0.0.0:7443", "0.0.0.0:0"] {
            let fault = Addresses::choose(&config(Some(listen), None, None), None).expect_err("no way in");
            assert_eq!(fault.code, Code::Usage);
            assert!(fault.message.contains("does not say where"), "{fault}");
        }
    }
}
