//! Where this node's doors are reached from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The doors of this node that services are reached through, as they are bound.
#[derive(Clone, Copy, Debug)]
pub(in crate::doors) struct OwnDoors {
    /// The HTTP api.
    pub api: SocketAddr,
    /// Whether that is inside TLS.
    pub api_tls: bool,
    /// The gRPC proxy.
    pub proxy: SocketAddr,
    /// Where other hosts reach this one.
    pub advertise: IpAddr,
}

impl OwnDoors {
    /// Where a door that is bound to `bound` is reached: from this host, if it is asked from `near`, else from others.
    /// None if it is not.
    pub fn reached(&self, bound: SocketAddr, near: bool) -> Option<SocketAddr> {
        match (near, bound.ip()) {
            (false, _) => beyond(bound, self.advertise),
            (true, IpAddr::V4(ip)) if ip.is_unspecified() => {
                Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port()))
            }
            (true, IpAddr::V6(ip)) if ip.is_unspecified() => {
                Some(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), bound.port()))
            }
            (true, _) => Some(bound),
        }
    }
}

/// Where other hosts reach a listener that is bound to `bound`, on a host that they reach at `advertise`; none if they
/// don't.
pub fn beyond(bound: SocketAddr, advertise: IpAddr) -> Option<SocketAddr> {
    let ip = if bound.ip().is_unspecified() { advertise } else { bound.ip() };
    let open = !ip.to_canonical().is_loopback() && !ip.is_unspecified();
    open.then(|| SocketAddr::new(ip.to_canonical(), bound.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_door_is_where_whoever_asks_reaches_it() {
        let own = |advertise: &str| OwnDoors {
            api: at("127.0.0.1:8080"),
            api_tls: false,
            proxy: at("127.0.0.1:8081"),
            advertise: advertise.parse().expect("an address"),
        };
        for (bound, advertise, near, elsewhere) in [
            ("127.0.0.1:1", "10.0.0.1", Some("127.0.0.1:1"), None),
            ("0.0.0.0:1", "10.0.0.1", Some("127.0.0.1:1"), Some("10.0.0.1:1")),
            ("[::]:1", "10.0.0.1", Some("[::1]:1"), Some("10.0.0.1:1")),
            ("10.0.0.2:1", "10.0.0.1", Some("10.0.0.2:1"), Some("10.0.0.2:1")),
            ("0.0.0.0:1", "127.0.0.1", Some("127.0.0.1:1"), None),
        ] {
            assert_eq!(own(advertise).reached(at(bound), true), near.map(at), "{bound}");
            assert_eq!(own(advertise).reached(at(bound), false), elsewhere.map(at), "{bound}");
        }
    }
}
