//! What a node says to the person who starts it. No secret is in it.

use crate::node::Card;
use clap::builder::styling::{AnsiColor, Style};
use micro_actors::auth::{STARTING_RULES, StartingRule};
use micro_sdk::client::default_socket;
use std::time::Duration;

/// Who the node is and where it is reached.
pub(super) fn banner(card: &Card) -> String {
    let bold = Style::new().bold();
    let row = |left: (&str, String), right: (&str, String)| {
        format!("\n  {:<8} {:<30}  {:<12} {}", left.0, left.1, right.0, right.1)
    };
    let scheme = if card.api_tls { "https" } else { "http" };
    let mesh = match card.advertise == card.mesh {
        true => format!("{}/udp", card.mesh),
        false => format!("{}/udp as {}", card.mesh, card.advertise),
    };
    let mut text = format!(
        "{bold}micro-node {}  {}{bold:#}  (node {}, mesh {})",
        env!("CARGO_PKG_VERSION"),
        card.name,
        card.id,
        card.cluster
    );
    text += &row(("HTTP api", format!("{scheme}://{}", card.api)), ("gRPC proxy", card.proxy.to_string()));
    text += &row(("Mesh", mesh), ("Socket", card.socket.display().to_string()));
    if let Some(dns) = card.dns {
        text += &format!("\n  {:<8} {dns} for names below micro", "DNS");
    }
    let data_dir = card.data_dir.display().to_string();
    text += &row(("Data", data_dir), ("Admin secret", format!("in {}", card.admin_secret_file.display())));
    text
}

/// The rules that a mesh begins with, for whoever has just founded it.
pub(super) fn rules(card: &Card) -> String {
    let mut text =
        "Rules to begin with; what none of them grants is denied to all but root and this user:".to_owned();
    for StartingRule { id, meaning, .. } in STARTING_RULES {
        text += &format!("\n  {id:<8} {meaning}");
    }
    text + &format!("\nMore:  micro-node auth list rules{}", address(card))
}

/// How commands reach this node, where they would not by themselves.
fn address(card: &Card) -> String {
    match card.socket == default_socket() {
        true => String::new(),
        false => format!(" --address unix:{}", card.socket.display()),
    }
}

/// The one line that says that the node serves, and what to type next.
pub(super) fn ready(card: &Card, took: Duration) -> String {
    let green = Style::new().fg_color(Some(AnsiColor::Green.into()));
    let address = address(card);
    let mut text = format!("{green}✔{green:#} ready in {} ms", took.as_millis());
    text += &format!("\nNext:  micro-node status{address}");
    if !card.joined {
        text += &format!("    ·    add a host: micro-node token create{address}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::{ClusterId, NodeId};

    #[test]
    fn a_banner_says_who_where_and_what_next() {
        let card = Card {
            name: "alpha".to_owned(),
            id: NodeId(10),
            cluster: ClusterId(1),
            api: ([127, 0, 0, 1], 8080).into(),
            api_tls: false,
            proxy: ([127, 0, 0, 1], 8081).into(),
            dns: Some(([127, 0, 0, 1], 8053).into()),
            mesh: ([0, 0, 0, 0], 8443).into(),
            advertise: ([10, 0, 0, 1], 8443).into(),
            also: Vec::new(),
            socket: "/s/b.sock".into(),
            data_dir: "/d".into(),
            admin_secret_file: "/d/files/admin-secret".into(),
            place: micro_mesh::Place::default(),
            fresh: true,
            joined: false,
        };
        let text = [banner(&card), rules(&card), ready(&card, Duration::from_millis(180))].join("\n");
        let golden = format!(
            "\
micro-node {}  alpha  (node 000000000000000a, mesh 00000000000000000000000000000001)
  HTTP api http://127.0.0.1:8080           gRPC proxy   127.0.0.1:8081
  Mesh     0.0.0.0:8443/udp as 10.0.0.1:8443  Socket       /s/b.sock
  DNS      127.0.0.1:8053 for names below micro
  Data     /d                              Admin secret in /d/files/admin-secret
Rules to begin with; what none of them grants is denied to all but root and this user:
  loopback who calls from this host may call services, without a token
  accounts accounts may call services, wherever they call from
  admins   accounts with the scope admin may do everything
More:  micro-node auth list rules --address unix:/s/b.sock
✔ ready in 180 ms
Next:  micro-node status --address unix:/s/b.sock    ·    \
add a host: micro-node token create --address unix:/s/b.sock",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), golden);
    }
}
