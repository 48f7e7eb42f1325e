//! Pages of other origins: those on the list may call, all others may not.

use super::{ask, clerk};
use micro_tests::{Cluster, Plan};

#[tokio::test]
async fn pages_on_the_list_may_call_and_all_others_may_not() -> anyhow::Result<()> {
    let extra = ["--api-cors-origin", "https://app.example.org"].map(str::to_owned).to_vec();
    let cluster = Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 64).await?;
    let api = cluster.members[0].at().api;
    let listed = "origin: https://app.example.org";

    let asked = ["access-control-request-method: PUT", "access-control-request-headers: content-type"];
    let answer = ask(api, "OPTIONS /orders/7", &[listed, asked[0], asked[1]], "").await?;
    let head = answer.headers.to_ascii_lowercase();
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{head}");
    for line in [
        "access-control-allow-origin: https://app.example.org",
        "access-control-allow-methods: get, post, put",
        "access-control-allow-headers: authorization, content-type",
        "access-control-max-age: 600",
        "vary: origin",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert!(!head.contains("access-control-allow-credentials"), "{head}");

    // Also what is refused may be read by the page.
    for (line, status) in [("GET /clerk/echo", 200), ("GET /nobody", 404)] {
        let answer = ask(api, line, &[listed, "sec-fetch-site: cross-site"], "").await?;
        assert_eq!(answer.status, status, "{}", answer.body);
        let head = answer.headers.to_ascii_lowercase();
        assert!(head.contains("access-control-allow-origin: https://app.example.org"), "{head}");
    }
    for origin in ["https://evil.example", "http://app.example.org", "https://app.example.org:8443", "null"] {
        let origin = format!("origin: {origin}");
        for line in ["OPTIONS /clerk/echo", "POST /clerk/echo"] {
            let answer = ask(api, line, &[&origin, asked[0]], "").await?;
            assert_eq!(answer.status, 403, "{origin}: {}", answer.body);
            assert!(!answer.headers.to_ascii_lowercase().contains("access-control"), "{}", answer.headers);
        }
    }
    Ok(())
}
