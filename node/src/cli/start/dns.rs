//! The flag that says where the names of the mesh are told.

use super::label;
use crate::config::DnsListen;
use clap::Args;

/// DNS for the names of the mesh.
#[derive(Debug, Args)]
pub(super) struct DnsFlags {
    /// DNS for the names of the mesh, such as helloworld.micro, over UDP and TCP; or off. Where other hosts reach it,
    /// it answers them by rules alone [default: 127.0.0.1:8053, or a free port if that is taken]
    #[arg(long, env = "MICRO_NODE_DNS", value_name = "IP:PORT|off", value_parser = listen)]
    dns: Option<DnsListen>,
}

impl DnsFlags {
    /// What it says.
    pub(super) fn listen(&self) -> DnsListen {
        self.dns.unwrap_or_default()
    }
}

/// Reads where DNS listens, or that it does not.
pub(super) fn listen(text: &str) -> Result<DnsListen, String> {
    match text {
        "off" => Ok(DnsListen::Off),
        address => label::listener(address).map(DnsListen::At).map_err(|why| format!("{why}; or off")),
    }
}
