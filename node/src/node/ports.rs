//! A node that was told to take free ports takes the same ones at its next start, if they are still free: others know
//! it by them.

use crate::{config::Config, node::Card};
use micro_sdk::wire::{Code, Fault};
use micro_storage::FileStore;
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, TcpListener, UdpSocket};

const PORTS_FILE: &str = "ports";

#[derive(Serialize, Deserialize)]
struct Ports {
    api: u16,
    proxy: u16,
    mesh: u16,
}

/// Puts the ports of the last start where port 0 was asked for.
pub(super) fn remember(config: &mut Config, files: &dyn FileStore) -> Result<(), Fault> {
    let bytes = files.read(PORTS_FILE).map_err(|error| Fault::new(Code::Failed, error.to_string()))?;
    let Some(ports) = bytes.and_then(|bytes| serde_json::from_slice::<Ports>(&bytes).ok()) else {
        return Ok(());
    };
    let reuse = |address: &mut SocketAddr, port: u16, free: fn(SocketAddr) -> bool| {
        let wanted = SocketAddr::new(address.ip(), port);
        if address.port() == 0 && free(wanted) {
            *address = wanted;
        }
    };
    reuse(&mut config.api, ports.api, |address| TcpListener::bind(address).is_ok());
    reuse(&mut config.proxy, ports.proxy, |address| TcpListener::bind(address).is_ok());
    reuse(&mut config.mesh_listen, ports.mesh, |address| UdpSocket::bind(address).is_ok());
    Ok(())
}

/// Keeps the ports of this start.
pub(super) fn keep(card: &Card, files: &dyn FileStore) -> Result<(), Fault> {
    let ports = Ports { api: card.api.port(), proxy: card.proxy.port(), mesh: card.mesh.port() };
    let bytes = serde_json::to_vec(&ports).expect("three numbers have a JSON form");
    if files.read(PORTS_FILE).ok().flatten().as_ref() == Some(&bytes) {
        return Ok(());
    }
    files.write(PORTS_FILE, &bytes).map_err(|error| Fault::new(Code::Failed, error.to_string()))
}
