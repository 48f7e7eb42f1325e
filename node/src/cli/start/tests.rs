//! What flags make of a node.

use super::*;
use crate::config::StorageConfig;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    start: Start,
}

async fn config(args: &[&str]) -> Result<Config, String> {
    let line =
        Line::try_parse_from(std::iter::once(&"start").chain(args)).map_err(|error| error.to_string())?;
    line.start.config().await.map_err(|failure| match failure {
        Failure::Fault(fault) => format!("{fault}"),
        other => format!("{other:?}"),
    })
}

#[tokio::test]
async fn nothing_configured_is_a_mesh_on_loopback() {
    let config = config(&["--data-dir", "/tmp/d"]).await.expect("nothing is wrong with it");
    assert!(config.join.is_none() && config.advertise.is_none() && config.mesh_listen.is_none());
    assert!(config.api.ip().is_loopback() && config.proxy.ip().is_loopback());
    assert_eq!(config.voters, VotersWanted::Three);
    assert_eq!(config.storage, StorageConfig::default());
    assert_eq!(config.threads, ThreadsConfig::default());
}

#[tokio::test]
async fn what_is_kept_is_as_it_is_said() {
    let flags = ["--blob-copies", "2", "--snapshot-every", "50000", "--log-kept", "2000"];
    let StorageConfig { blob_copies, snapshot_every, log_kept, .. } =
        config(&flags).await.expect("nothing is wrong with it").storage;
    assert_eq!((blob_copies, snapshot_every, log_kept), (2, 50_000, 2000));
}

#[tokio::test]
async fn doors_that_ask_nobody_stay_on_loopback() {
    for flag in ["--api", "--proxy"] {
        let error = config(&[flag, "0.0.0.0:1"]).await.expect_err("it would be open to all");
        assert!(error.contains("let other hosts in"), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_not_advertised() {
    let error = config(&["--advertise", "0.0.0.0:1"]).await.expect_err("nobody can dial it");
    assert!(error.contains("no place"), "{error}");
}

#[tokio::test]
async fn a_node_may_be_reached_at_several_places() {
    let args = ["--advertise", "127.0.0.1:5,127.0.0.2:5", "--gateway"];
    let config = config(&args).await.expect("nothing is wrong with it");
    assert_eq!(config.advertise, Some(([127, 0, 0, 1], 5).into()));
    assert_eq!((config.links.also, config.links.gateway), (vec![([127, 0, 0, 2], 5).into()], true));
}

#[tokio::test]
async fn a_token_that_cannot_be_read_waits_until_one_is_needed() {
    for given in [&["--join", "127.0.0.1:9"][..], &[]] {
        let args = [&["--join-token", "@/nowhere/at/all"], given].concat();
        let join = config(&args).await.expect("it may not be needed").join.expect("it was asked for");
        assert!(join.token.is_err_and(|fault| fault.message.contains("/nowhere/at/all")));
    }
}

#[tokio::test]
async fn what_to_join_is_looked_up() {
    let config = config(&["--join", "localhost:5,127.0.0.1:6"]).await.expect("both are known");
    let join = config.join.expect("it was asked for");
    assert_eq!(join.addresses.first(), Some(&([127, 0, 0, 1], 5).into()));
    assert_eq!(join.addresses.last(), Some(&([127, 0, 0, 1], 6).into()));
    assert_eq!(join.token, Ok(None));
}

#[tokio::test]
async fn bad_flags_are_refused_with_the_reason() {
    for (args, reason) in [
        (&["--join", "nowhere"][..], "no port"),
        (&["--join", "unix:/x"], "HOST:PORT"),
        (&["--voters", "4"], "3, 5"),
        (&["--name", "A B"], "a-z"),
        (&["--busy-poll", "2ms"], "up to 1ms"),
        (&["--certificate-life", "9s"], "10s to 2160h"),
        (&["--certificate-life", "2161h"], "10s to 2160h"),
        (&["--zone", "a b"], "zone"),
        (&["--link-timeout", "100ms"], "500ms to 60s"),
        (&["--cost-per-gb", "aws=1"], "CLOUD:CLOUD=AMOUNT"),
        (&["--blob-copies", "10"], "1..=9"),
        (&["--snapshot-every", "999"], "1000..=10000000"),
        (&["--log-kept", "0"], "1000..=10000000"),
        (&["--api", "localhost"], "IP:PORT"),
        (&["--dns", "on"], "or off"),
        (&["--join-token", "mnt1.abc"], "@FILE"),
    ] {
        let error = config(args).await.expect_err("it is wrong");
        assert!(error.contains(reason), "{args:?}: {error}");
    }
    let long = format!("/{}", "x".repeat(120));
    let error = config(&["--socket", &long]).await.expect_err("the kernel takes no such path");
    assert!(error.contains("107 bytes"), "{error}");
}
