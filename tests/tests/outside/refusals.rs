//! Bad input and bad circumstances: each gives an error that names the cause and what to do.

use micro_tests::{Cluster, CommandLine, Member, Outcome, get, post};
use std::{fs, io::Write, net::UdpSocket};

/// Checks the exit code, that the message names what offended, and that data and messages are not mixed.
#[track_caller]
fn assert_refused(outcome: &Outcome, code: i32, named: &str) {
    assert_eq!(outcome.code, code, "{}", outcome.stderr);
    assert!(outcome.stderr.contains(named), "{named:?} is not in: {}", outcome.stderr);
    assert!(outcome.stdout.is_empty(), "a refusal wrote data: {}", outcome.stdout);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

#[tokio::test]
async fn commands_say_what_is_wrong_and_which_kind_of_wrong() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    let cases: [(&[&str], i32, &str); 15] = [
        (&["--nonsense"], 2, "--nonsense"),
        (&["status", "--nonsense"], 2, "--nonsense"),
        (&["nonsense"], 5, "no command is called \"nonsense\", and no service"),
        (&["call", "helloworld", "call", "{not json"], 2, "JSON"),
        (&["call", "helloworld", "call", "{}"], 5, "helloworld"),
        (&["store", "read", "nothing-here"], 5, "nothing-here"),
        (&["store", "write", "only-a-key"], 2, ""),
        (&["store", "write", "", "empty key"], 2, "key"),
        (&["--timeout", "10", "status"], 2, "unit"),
        (&["token", "create", "--ttl", "500ms"], 2, "the least is 1s"),
        (&["store", "write", "k", "v", "--idempotency-key", "zz"], 2, "1 to 32 hexadecimal digits"),
        (&["lock", "nightly", "--ttl", "10ms"], 2, "10ms is too short: the least is 1s"),
        (&["store", "watch", "--from", "999999"], 2, "revision 999999 is not there yet"),
        (&["token", "create"], 6, "--mesh-listen 0.0.0.0"),
        (&["token", "create", "-o", "json"], 6, "--mesh-listen 0.0.0.0"),
    ];
    for (arguments, code, named) in cases {
        println!("micro-node {}", arguments.join(" "));
        assert_refused(&cli.run(arguments).await?, code, named);
    }
    Ok(())
}

#[tokio::test]
async fn the_port_of_the_http_api_is_told_from_that_of_the_proxy() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = CommandLine::new(Some(cluster.members[0].at().api.to_string()), cluster.root())?;
    for arguments in [
        &["status"][..],
        &["store", "read", "greeting"],
        &["store", "write", "greeting", "hello"],
        &["call", "helloworld", "call", "{}"],
    ] {
        let outcome = cli.run(arguments).await?;
        assert_refused(&outcome, 3, "is not a node's gRPC proxy");
        assert!(!outcome.stderr.contains("not known"), "{}", outcome.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_as_json_is_one_line_on_stderr() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let outcome = cluster.cli(0)?.run(&["-o", "json", "store", "read", "nothing-here"]).await?;
    assert_refused(&outcome, 5, "nothing-here");
    let error: serde_json::Value = serde_json::from_str(outcome.stderr.trim())?;
    assert_eq!(error["error"]["code"], "not_found");
    assert_eq!(error["error"]["exit_code"], 5);
    Ok(())
}

#[tokio::test]
async fn a_value_over_the_limit_is_refused_with_the_limit_and_one_at_it_is_taken() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    let file = cluster.root().join("value");
    let argument = format!("@{}", file.display());
    fs::write(&file, vec![b'x'; 1 << 20])?;
    cli.ok(&["store", "write", "largest", &argument]).await?;
    assert_eq!(cli.ok(&["store", "read", "largest"]).await?.len(), 1 << 20);
    fs::write(&file, vec![b'x'; (1 << 20) + 1])?;
    assert_refused(&cli.run(&["store", "write", "too-large", &argument]).await?, 2, "limit");
    assert_refused(&cli.run(&["store", "read", "too-large"]).await?, 5, "too-large");
    Ok(())
}

#[tokio::test]
async fn a_write_against_another_version_conflicts_and_changes_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    cli.ok(&["store", "write", "k", "1"]).await?;
    assert_refused(&cli.run(&["store", "write", "k", "2", "--if-version", "999999"]).await?, 6, "version");
    assert_eq!(cli.ok(&["store", "read", "k"]).await?, "1");
    Ok(())
}

#[tokio::test]
async fn without_a_node_every_command_says_so() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let socket = format!("unix:{}", home.path().join("node.sock").display());
    let cli = CommandLine::new(Some(socket.clone()), home.path())?;
    for command in [&["status"][..], &["services"], &["store", "read", "x"], &["call", "a", "b", "{}"]] {
        let outcome = cli.run(command).await?;
        assert_refused(&outcome, 3, &socket);
        assert!(outcome.stderr.contains("micro-node start"), "no help: {}", outcome.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn the_http_door_explains_what_it_could_not_find_or_read() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let api = cluster.members[0].at().api;
    let answer = get(api, "/nobody/call").await?;
    assert_eq!(answer.status, 404, "{}", answer.body);
    assert!(answer.body.contains("nobody"), "{}", answer.body);
    assert_eq!(answer.json()?["code"], "not_found", "{}", answer.body);
    for path in
        ["/", "/..%2f..%2fetc/passwd", "/a//b", "/UPPER/call", "/%00/call", &format!("/{}", "x".repeat(9000))]
    {
        let answer = get(api, path).await?;
        assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
    }
    let answer = post(api, "/nobody/call", "{not json").await?;
    assert!([400, 404].contains(&answer.status), "{} {}", answer.status, answer.body);
    Ok(())
}

#[tokio::test]
async fn a_second_start_on_the_same_data_is_refused_and_harms_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let data = cluster.members[0].data_dir().display().to_string();
    let socket = cluster.root().join("second.sock").display().to_string();
    let loopback = "127.0.0.1:0";
    let arguments = [
        "start",
        "--data-dir",
        &data,
        "--socket",
        &socket,
        "--api",
        loopback,
        "--proxy",
        loopback,
        "--mesh-listen",
        loopback,
    ];
    let outcome = CommandLine::new(None, cluster.root())?.run(&arguments).await?;
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains(&data), "the folder is not named: {}", outcome.stderr);
    cluster.cli(0)?.ok(&["store", "write", "still", "alive"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let taken = UdpSocket::bind("127.0.0.1:0")?;
    let mesh = taken.local_addr()?.to_string();
    let api = cluster.members[0].at().api.to_string();
    let home = tempfile::tempdir()?;
    for (flag, address) in [("--mesh-listen", &mesh), ("--api", &api)] {
        let outcome = start_alone(home.path(), &[(flag, address)]).await?;
        assert_ne!(outcome.code, 0);
        assert!(outcome.stderr.contains(address.as_str()), "{address} is not named: {}", outcome.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_file_in_the_sockets_place_is_left_alone() -> anyhow::Result<()> {
    let home = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let file = home.path().join("notes");
    fs::write(&file, "mine")?;
    let path = file.display().to_string();
    let outcome = start_alone(home.path(), &[("--socket", path.as_str())]).await?;
    assert_refused(&outcome, 6, &path);
    assert_eq!(fs::read_to_string(&file)?, "mine");
    Ok(())
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_is_named() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    // Not even root can make a folder there.
    let outcome = start_alone(home.path(), &[("--data-dir", "/proc/micro-node")]).await?;
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("/proc/micro-node"), "{}", outcome.stderr);
    let file = home.path().join("a-file");
    fs::write(&file, "")?;
    let outcome = start_alone(home.path(), &[("--data-dir", &file.display().to_string())]).await?;
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("a-file"), "{}", outcome.stderr);
    Ok(())
}

#[tokio::test]
async fn the_http_door_opens_on_loopback_only() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    for flag in ["--api", "--proxy"] {
        let outcome = start_alone(home.path(), &[(flag, "0.0.0.0:0")]).await?;
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("loopback"), "{}", outcome.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn damaged_data_stops_the_start_and_is_left_as_it_is() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    for number in 0..50 {
        cluster.cli(0)?.ok(&["store", "write", &format!("k{number}"), &"v".repeat(1000)]).await?;
    }
    cluster.members[0].stop().await?;
    let mut damaged = 0;
    let mut waiting = vec![cluster.members[0].data_dir()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|kind| kind == "sst" || kind == "log") {
                let mut bytes = fs::read(&path)?;
                // The log's files are filled with zeroes behind what was written.
                let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                if used < 4096 {
                    continue;
                }
                // In the middle: a torn tail is a crash, and is forgiven; this is not.
                let middle = used / 2;
                for byte in &mut bytes[middle..middle + 64] {
                    *byte ^= 0xff;
                }
                fs::File::options().write(true).open(&path)?.write_all(&bytes)?;
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0, "there was nothing to damage");
    let error = cluster.members[0].start(&[]).await.expect_err("it served damaged data").to_string();
    assert!(error.contains("error:") && !error.contains("panicked"), "{error}");
    assert!(cluster.members[0].data_dir().exists());
    Ok(())
}

#[tokio::test]
async fn a_lost_identity_stops_the_start_and_nothing_is_written() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    cluster.cli(0)?.ok(&["store", "write", "k", "1"]).await?;
    let member = &mut cluster.members[0];
    assert_eq!(member.stop().await?, 0);
    let files = member.data_dir().join("files");
    let identity = fs::read(files.join("identity"))?;
    for damage in [None, Some("nonsense")] {
        match damage {
            Some(bytes) => fs::write(files.join("identity"), bytes)?,
            None => fs::remove_file(files.join("identity"))?,
        }
        let names = || -> anyhow::Result<Vec<_>> {
            let mut names =
                fs::read_dir(&files)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        };
        let before = names()?;
        let said = member.start(&[]).await.expect_err("it became another node").to_string();
        assert!(said.contains("files/identity") && said.contains("micro-node reset"), "{said}");
        assert_eq!(names()?, before);
    }
    fs::write(files.join("identity"), identity)?;
    member.start(&[]).await?;
    assert_eq!(member.cli()?.ok(&["store", "read", "k"]).await?, "1");
    Ok(())
}

#[tokio::test]
async fn a_lone_node_with_a_damaged_seal_key_serves_and_shows_it() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let member = &mut cluster.members[0];
    assert_eq!(member.stop().await?, 0);
    fs::write(member.data_dir().join("files/seal.key"), "damaged")?;
    member.start(&[]).await?;
    member.cli()?.ok(&["store", "write", "k", "1"]).await?;
    micro_tests::until("the problem shown", std::time::Duration::from_secs(10), async || {
        let status = member.cli()?.ok(&["status"]).await?;
        anyhow::ensure!(status.contains("warning: node alpha can't open the mesh's authority"), "{status}");
        anyhow::ensure!(status.contains("seal.key") && status.contains("help: "), "{status}");
        Ok(())
    })
    .await
}

/// A start that is expected to fail; flags given here take the place of harmless ones.
async fn start_alone(home: &std::path::Path, flags: &[(&str, &str)]) -> anyhow::Result<Outcome> {
    let data = home.join("data").display().to_string();
    let socket = home.join("node.sock").display().to_string();
    let mut settings = vec![
        ("--data-dir", data.as_str()),
        ("--socket", socket.as_str()),
        ("--api", "127.0.0.1:0"),
        ("--proxy", "127.0.0.1:0"),
        ("--mesh-listen", "127.0.0.1:0"),
    ];
    for (flag, value) in flags {
        settings.retain(|(known, _)| known != flag);
        settings.push((flag, value));
    }
    let mut arguments = vec!["start"];
    arguments.extend(settings.iter().flat_map(|(flag, value)| [*flag, *value]));
    CommandLine::new(None, home)?.run(&arguments).await
}

#[tokio::test]
async fn a_node_that_was_killed_while_starting_starts_again() -> anyhow::Result<()> {
    let home = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let mut member = Member::new(home.path(), "alpha", Vec::new())?;
    for wait_ms in [1, 5, 20, 60, 120, 200] {
        member.spawn(&[])?;
        tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
        member.kill().await?;
    }
    member.start(&[]).await
}
