//! Hosts with a network between them, in network namespaces of this machine.

use anyhow::{Context, ensure};
use std::{
    net::Ipv4Addr,
    process::{Command, id},
    sync::atomic::{AtomicUsize, Ordering},
};

/// An address that no interface has: what is sent there arrives nowhere.
const NOBODY: &str = "02:00:00:00:00:fe";

/// Hosts `1` to `count` on one network. They are gone with the value.
#[derive(Debug)]
pub struct Hosts {
    prefix: String,
    count: u8,
}

impl Hosts {
    /// So many hosts, all of which reach all others.
    ///
    /// # Errors
    /// If this user may not make network namespaces, or `ip` is not there.
    pub fn new(count: u8) -> anyhow::Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("mn{}-{}", id(), MADE.fetch_add(1, Ordering::Relaxed));
        let hosts = Hosts { prefix, count };
        let hub = hosts.name(0);
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "add", "hub", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "hub", "up"])?;
        for number in 1..=count {
            let (host, port) = (hosts.name(number), format!("port{number}"));
            ip(&["netns", "add", &host])?;
            ip(&["-n", &host, "link", "set", "lo", "up"])?;
            let ends = ["type", "veth", "peer", "name", &port, "netns", &hub];
            ip(&[&["link", "add", "eth0", "netns", &host][..], &ends].concat())?;
            ip(&["-n", &hub, "link", "set", &port, "master", "hub", "up"])?;
            let address = format!("{}/24", hosts.address(number));
            ip(&["-n", &host, "address", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &host, "link", "set", "eth0", "up"])?;
        }
        Ok(hosts)
    }

    /// What the network namespace of a host is called.
    pub fn name(&self, host: u8) -> String {
        format!("{}-{host}", self.prefix)
    }

    /// The address of a host.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, host)
    }

    /// From now on, nothing that the two send each other arrives. Neither is told.
    ///
    /// # Errors
    /// If `ip` fails.
    pub fn cut(&self, one: u8, other: u8) -> anyhow::Result<()> {
        for (from, to) in [(one, other), (other, one)] {
            let (host, address) = (self.name(from), self.address(to).to_string());
            let wrong = ["lladdr", NOBODY, "dev", "eth0", "nud", "permanent"];
            ip(&[&["-n", &host, "neighbour", "replace", &address][..], &wrong].concat())?;
        }
        Ok(())
    }

    /// The two reach each other again.
    ///
    /// # Errors
    /// If they were not cut off from each other.
    pub fn mend(&self, one: u8, other: u8) -> anyhow::Result<()> {
        for (from, to) in [(one, other), (other, one)] {
            let (host, address) = (self.name(from), self.address(to).to_string());
            ip(&["-n", &host, "neighbour", "del", &address, "dev", "eth0"])?;
        }
        Ok(())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in 0..=self.count {
            // Where making them failed, some are not there.
            let _ = ip(&["netns", "del", &self.name(host)]);
        }
    }
}

fn ip(words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(words).output().context("ip, of the package iproute2")?;
    ensure!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
