//! Who a node is and where it is reached, once it is.

use crate::config::{Setting, SettingSource};
use micro_mesh::Place;
use micro_sdk::wire::{ClusterId, NodeId};
use std::{net::SocketAddr, path::PathBuf};

/// Who a node is and where it is reached.
#[derive(Clone, Debug)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: NodeId,
    /// The mesh.
    pub cluster: ClusterId,
    /// The HTTP api, as bound.
    pub api: SocketAddr,
    /// Whether that is inside TLS.
    pub api_tls: bool,
    /// The gRPC proxy, as bound.
    pub proxy: SocketAddr,
    /// DNS, as bound; none if it is off.
    pub dns: Option<SocketAddr>,
    /// The mesh listener, as bound.
    pub mesh: SocketAddr,
    /// Where other nodes reach it.
    pub advertise: SocketAddr,
    /// Where else they do.
    pub also: Vec<SocketAddr>,
    /// The local socket.
    pub socket: PathBuf,
    /// Its files.
    pub data_dir: PathBuf,
    /// The file with the admin secret.
    pub admin_secret_file: PathBuf,
    /// Where it stands.
    pub place: Place,
    /// Whether the data directory is new.
    pub fresh: bool,
    /// Whether it joined a mesh that existed.
    pub joined: bool,
}

impl Card {
    /// The settings, with what came of those that leave something open.
    pub(super) fn settle(&self, mut settings: Vec<Setting>) -> Vec<Setting> {
        let bound = |address: SocketAddr| Some(address.to_string());
        let said = |name: &String| Some(name.clone()).filter(|name| !name.is_empty());
        for setting in &mut settings {
            let kept = ["name", "cloud", "region", "zone", "mesh-listen"].contains(&setting.name.as_str());
            if kept && !self.fresh && setting.source == SettingSource::Default {
                setting.source = SettingSource::LastStart;
            }
            setting.value = match setting.name.as_str() {
                "name" => Some(self.name.clone()),
                "cloud" => said(&self.place.cloud),
                "region" => said(&self.place.region),
                "zone" => said(&self.place.zone),
                "api" => bound(self.api),
                "proxy" => bound(self.proxy),
                "dns" => self.dns.map_or_else(|| Some("off".to_owned()), bound),
                "mesh-listen" => bound(self.mesh),
                "advertise" => Some(self.places()),
                _ => setting.value.take(),
            };
        }
        settings
    }

    /// All places where other nodes reach it, with commas between.
    fn places(&self) -> String {
        let places = std::iter::once(&self.advertise).chain(&self.also);
        places.map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }
}
