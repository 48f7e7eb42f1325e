//! What a command would do, without its being done.

use anyhow::ensure;
use micro_tests::Cluster;

#[tokio::test]
async fn a_dry_run_of_accounts_and_rules_is_checked_and_changes_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    let rule = ["auth", "create", "rule", "clerks", "--scope", "clerk", "--resource", "service:shop:*"];
    let account = ["auth", "create", "account", "jane", "--scope", "clerk"];
    for line in [&rule[..], &account[..]] {
        let outcome = cli.run(&[line, &["--dry-run"]].concat()).await?;
        ensure!(outcome.code == 0 && outcome.stderr.contains("would be made"), "{outcome:?}");
        ensure!(outcome.stdout.is_empty(), "a secret that nothing has: {outcome:?}");
    }
    let made = cli.json(&[&account[..], &["--dry-run", "-o", "json"]].concat()).await?;
    ensure!(made["item"]["name"] == "jane" && made["item"]["secret"].is_null(), "{made}");
    let empty = |listed: serde_json::Value| listed["items"].as_array().is_some_and(Vec::is_empty);
    ensure!(empty(cli.json(&["auth", "list", "accounts", "-o", "json"]).await?), "an account was made");

    cli.ok(&rule).await?;
    cli.ok(&account).await?;
    for (line, code) in [
        (&rule[..], 6),
        (&account[..], 6),
        (&["auth", "create", "rule", "x", "--scope", "clerk", "--resource", "nothing:x:read"][..], 2),
        (&["auth", "update", "rule", "nobody", "--access", "denied"][..], 5),
        (&["auth", "delete", "account", "nobody"][..], 5),
        (&["auth", "update", "rule", "clerks", "--access", "denied"][..], 0),
        (&["auth", "update", "account", "jane", "--remove-scope", "clerk"][..], 0),
        (&["auth", "delete", "rule", "clerks"][..], 0),
        (&["auth", "delete", "account", "jane"][..], 0),
    ] {
        let outcome = cli.run(&[line, &["--dry-run"]].concat()).await?;
        ensure!(outcome.code == code, "{line:?}: {outcome:?}");
    }
    let rules = cli.ok(&["auth", "list", "rules", "--no-headers"]).await?;
    let kept = rules.lines().find(|line| line.starts_with("clerks ")).unwrap_or_default();
    ensure!(kept.contains("GRANTED"), "it was changed or deleted: {rules}");
    let accounts = cli.ok(&["auth", "list", "accounts", "--no-headers"]).await?;
    ensure!(accounts.contains("jane") && accounts.contains("clerk"), "{accounts}");
    Ok(())
}
