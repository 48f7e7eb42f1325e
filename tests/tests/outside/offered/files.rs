//! `micro-node service --endpoint file://…`: the files of a folder, and nothing beside them.

use super::{Offered, SOON};
use crate::http::ask;
use anyhow::ensure;
use micro_tests::{Answer, Cluster, until};
use rustix::process::{Signal, kill_process};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// A folder with what may be had, what may not, and what leads out.
fn folder(root: &Path) -> anyhow::Result<PathBuf> {
    let site = root.join("site");
    for folder in ["css", "sub", "empty", ".git"] {
        fs::create_dir_all(site.join(folder))?;
    }
    fs::write(root.join("outside.txt"), "out of the folder")?;
    for (file, text) in [
        ("index.html", "<h1>home</h1>"),
        ("css/a.css", "body { color: red }"),
        ("sub/index.html", "<h1>sub</h1>"),
        ("a b.txt", "0123456789"),
        (".secret", "hidden"),
        (".git/config", "hidden"),
    ] {
        fs::write(site.join(file), text)?;
    }
    symlink("../outside.txt", site.join("out.txt"))?;
    symlink(root.join("outside.txt"), site.join("absolute.txt"))?;
    symlink("..", site.join("up"))?;
    symlink("css/a.css", site.join("in.css"))?;
    symlink("round", site.join("round"))?;
    let made = Command::new("mkfifo").arg(site.join("pipe")).status()?;
    ensure!(made.success(), "mkfifo");
    Ok(site)
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.lines().find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

#[tokio::test]
async fn the_files_of_a_folder_are_a_service_and_nothing_else_is() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let site = folder(cluster.root())?;
    let endpoint = format!("file://{}", site.display());
    let offered = Offered::start(&cluster, 0, "site", &["--endpoint", &endpoint]).await?;
    let api = cluster.members[1].at().api;
    for (line, status, told) in [
        ("GET /site/", 200, "<h1>home</h1>"),
        ("GET /site/index.html", 200, "<h1>home</h1>"),
        ("GET /site/css/a.css", 200, "red"),
        ("GET /site/css/%61.css?v=1", 200, "red"),
        ("GET /site/in.css", 200, "red"),
        ("GET /site/a%20b.txt", 200, "0123456789"),
        ("GET /site/sub/", 200, "<h1>sub</h1>"),
        ("GET /site/empty/", 404, ""),
        ("GET /site/css/", 404, ""),
        ("GET /site/css/a.css/", 404, ""),
        ("GET /site/css/a.css/b", 404, ""),
        ("GET /site/nothing", 404, ""),
        ("GET /site/.secret", 404, ""),
        ("GET /site/.git/config", 404, ""),
        ("GET /site/out.txt", 404, ""),
        ("GET /site/absolute.txt", 404, ""),
        ("GET /site/up/outside.txt", 404, ""),
        ("GET /site/round", 404, ""),
        ("GET /site/pipe", 404, ""),
        ("GET /site/%252e%252e/outside.txt", 404, ""),
        ("GET /site/../outside.txt", 400, "segment"),
        ("GET /site/%2e%2e/outside.txt", 400, "segment"),
        ("GET /site/..%2foutside.txt", 400, "segment"),
        ("GET /site//etc/passwd", 400, "empty"),
        ("GET /site/css/a.css%00", 400, "segment"),
        ("POST /site/index.html", 405, ""),
        ("DELETE /site/index.html", 405, ""),
    ] {
        let answer = ask(api, line, &[], "").await?;
        ensure!(answer.status == status && answer.body.contains(told), "{line}: {answer:?}");
        ensure!(!answer.body.contains("hidden") && !answer.body.contains("out of"), "{line}: {answer:?}");
    }
    // Whoever comes past the node's door is shown no more.
    let port = offered.port()?;
    for line in [
        "GET /site/../outside.txt",
        "GET /site/%2e%2e/outside.txt",
        "GET /site/..%2foutside.txt",
        "GET /site/%5c..%5coutside.txt",
        "GET /site/css/../../outside.txt",
        "GET /site//etc/passwd",
        "GET /site/%2fetc/passwd",
        "GET /site/%2Esecret",
        "GET /outside.txt",
        "GET /sites/index.html",
    ] {
        let answer = ask(port, line, &[], "").await?;
        ensure!(answer.status == 404 && answer.body.is_empty(), "{line}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn files_are_told_with_their_kinds_and_have_ranges_and_conditions() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let endpoint = format!("file://{}", folder(cluster.root())?.display());
    // It is called as its folder is.
    let _offered = Offered::start(&cluster, 0, "site", &["--endpoint", &endpoint]).await?;
    let api = cluster.members[0].at().api;
    for (path, kind) in [("", "text/html"), ("css/a.css", "text/css"), ("a%20b.txt", "text/plain")] {
        let answer = ask(api, &format!("GET /site/{path}"), &[], "").await?;
        ensure!(header(&answer, "content-type").is_some_and(|own| own.starts_with(kind)), "{answer:?}");
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{answer:?}");
    }
    let whole = ask(api, "GET /site/a%20b.txt", &[], "").await?;
    let etag = header(&whole, "etag").map(str::to_owned).unwrap_or_default();
    let modified = header(&whole, "last-modified").map(str::to_owned).unwrap_or_default();
    ensure!(!etag.is_empty() && !modified.is_empty(), "{whole:?}");
    let head = ask(api, "HEAD /site/a%20b.txt", &[], "").await?;
    ensure!(head.status == 200 && head.body.is_empty(), "{head:?}");
    assert_eq!(header(&head, "content-length"), Some("10"));
    let (if_none, if_since) = (format!("if-none-match: {etag}"), format!("if-modified-since: {modified}"));
    let if_range = "if-range: \"another\"".to_owned();
    for (headers, status, body) in [
        (vec!["range: bytes=2-4"], 206, "234"),
        (vec!["range: bytes=-2"], 206, "89"),
        (vec!["range: bytes=10-"], 416, ""),
        (vec!["range: bytes=0-1,3-4"], 200, "0123456789"),
        (vec!["range: bytes=2-4", &if_range], 200, "0123456789"),
        (vec![&if_none], 304, ""),
        (vec![&if_since], 304, ""),
        (vec!["if-none-match: \"another\""], 200, "0123456789"),
        (vec!["if-match: \"another\""], 412, ""),
    ] {
        let answer = ask(api, "GET /site/a%20b.txt", &headers, "").await?;
        ensure!(answer.status == status && answer.body == body, "{headers:?}: {answer:?}");
    }
    let refused = ask(api, "PUT /site/a%20b.txt", &[], "x").await?;
    assert_eq!((refused.status, header(&refused, "allow")), (405, Some("GET, HEAD")), "{refused:?}");
    // Links of a page are below it only behind a slash.
    for (line, place) in [
        ("GET /site", "/site/"),
        ("GET /site?a=b", "/site/?a=b"),
        ("GET /site/sub", "/site/sub/"),
        ("GET /site/sub?a=b", "/site/sub/?a=b"),
    ] {
        let answer = ask(api, line, &[], "").await?;
        assert_eq!((answer.status, header(&answer, "location")), (307, Some(place)), "{line}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_is_offered_until_its_command_is_told_to_end() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let site = folder(cluster.root())?;
    let endpoint = format!("file://{}", site.display());
    let mut offered = Offered::start(&cluster, 0, "site", &["--endpoint", &endpoint]).await?;
    let api = cluster.members[0].at().api;
    fs::write(site.join("new.txt"), "new")?;
    assert_eq!(ask(api, "GET /site/new.txt", &[], "").await?.body, "new");
    kill_process(offered.pid()?, Signal::TERM)?;
    assert_eq!(offered.code().await?, Some(0), "{}", offered.told());
    until("nobody is called", SOON, async || {
        let answer = ask(api, "GET /site/new.txt", &[], "").await?;
        ensure!(answer.status == 404 && answer.body.contains("no service"), "{answer:?}");
        Ok(())
    })
    .await
}
