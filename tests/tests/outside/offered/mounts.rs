//! `micro-node service --mount`: a service at further places of the HTTP api.

use super::{Offered, SOON};
use crate::http::ask;
use anyhow::{Context, ensure};
use micro_tests::{Cluster, Plan, until};
use std::{fs, net::TcpListener};

/// A program of HTTP that says what it was asked.
const SCRIPT: &str = r#"
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.command} {self.path}".encode())
    do_GET = do_PUT = do_OPTIONS = do_DELETE = answer
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"#;

#[tokio::test]
async fn a_service_is_reached_where_it_is_mounted() -> anyhow::Result<()> {
    // The door takes no host that nobody has named: a page could have its own name lead here.
    let extra = vec!["--api-host".to_owned(), "pages.example.org".to_owned()];
    let cluster = Cluster::start(Plan { size: 2, extra, ..Plan::default() }, &mut |_| ()).await?;
    let (site, script) = (cluster.root().join("pages"), cluster.root().join("shop.py"));
    fs::create_dir(&site)?;
    fs::write(site.join("index.html"), "pages")?;
    fs::write(site.join("a.txt"), "a")?;
    fs::write(&script, SCRIPT)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let endpoint = format!("http://127.0.0.1:{port}");
    let script = script.to_str().context("a path is text")?;
    let words = ["--endpoint", &endpoint, "--mount", "/market/v1/", "--", "python3", script, &port];
    let _shop = Offered::start(&cluster, 0, "shop", &words).await?;
    let endpoint = format!("file://{}", site.display());
    let words = ["--endpoint", &endpoint, "--mount", "/docs", "--mount", "pages.example.org/"];
    let _pages = Offered::start(&cluster, 0, "pages", &words).await?;
    let api = cluster.members[1].at().api;
    let host = "host: pages.example.org";
    until("it is mounted", SOON, async || {
        let answer = ask(api, "GET /docs/a.txt", &[], "").await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await?;
    for (line, headers, status, told) in [
        // A program is told the path as it is, and any method.
        ("GET /market/v1/carts/7/?a=b", &[][..], 200, "GET /market/v1/carts/7/?a=b"),
        ("DELETE /market/v1", &[], 200, "DELETE /market/v1"),
        ("OPTIONS /market/v1/x", &[], 200, "OPTIONS /market/v1/x"),
        ("GET /shop/x", &[], 200, "GET /shop/x"),
        ("GET /market/v2", &[], 404, "not_found"),
        ("GET /market", &[], 404, "not_found"),
        // Files are those below the place.
        ("GET /docs/", &[], 200, "pages"),
        ("GET /docs", &[], 307, ""),
        ("GET /docs/b.txt", &[], 404, ""),
        ("PUT /docs/a.txt", &[], 405, ""),
        // And no more below the name, of which a rule for the place would say nothing.
        ("GET /pages/a.txt", &[], 404, ""),
        ("GET /", &[host], 200, "pages"),
        ("GET /a.txt", &[host], 200, "a"),
        ("GET /a.txt", &["host: Pages.EXAMPLE.org"], 200, "a"),
        ("GET /shop/x", &[host], 200, "GET /shop/x"),
        ("GET /a.txt", &[], 404, "not_found"),
        ("GET /health", &[host], 200, ""),
    ] {
        let answer = ask(api, line, headers, "").await?;
        ensure!(answer.status == status && answer.body.contains(told), "{line} {headers:?}: {answer:?}");
    }
    let shown = cluster.cli(1)?.ok(&["services", "pages"]).await?;
    ensure!(shown.contains("at     /docs, pages.example.org/"), "{shown}");
    // What the platform or another service has is refused, and the command says so.
    let cli = cluster.cli(0)?;
    let offer = async |mount: &str| {
        let words = ["service", "--name", "other", "--endpoint", "http://127.0.0.1:9", "--health", "none"];
        cli.run(&[&words[..], &["--mount", mount]].concat()).await
    };
    for (mount, told) in [
        ("/metrics", "in a place of the platform itself"),
        ("/openapi.json", "in a place of the platform itself"),
        ("/docs", "is taken by the service pages"),
        ("/docs/v2", "would take calls of the service pages"),
        ("/shop", "would take calls of the service shop"),
        ("pages.example.org/", "is taken by the service pages"),
    ] {
        let outcome = offer(mount).await?;
        ensure!(outcome.code == 6 && outcome.stderr.contains(told), "{mount}: {outcome:?}");
    }
    // What is registered can be mounted too.
    let endpoint = format!("http://127.0.0.1:{port}");
    let words = ["registry", "register", "--name", "till", "--endpoint", &endpoint, "--mount", "/checkout"];
    cli.ok(&words).await?;
    until("it is mounted", SOON, async || {
        let answer = ask(api, "GET /checkout/1", &[], "").await?;
        ensure!(answer.body.contains("GET /checkout/1"), "{answer:?}");
        Ok(())
    })
    .await
}
