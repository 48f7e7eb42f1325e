//! `micro-node login` and `micro-node logout`.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    saved_login::{Logins, SavedLogin},
    secret, session,
    shape::{ItemShape, Shapes},
};
use clap::Args;
use micro_sdk::{
    client::{Address, Node, Token},
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The variable with the secret of an account.
const PASSWORD: &str = "MICRO_NODE_PASSWORD";

/// Log in with an account; other commands of this user then act as that account
///
/// The login is kept for this address in ~/.config/micro-node, and renewed for as long as it is used within 30 days.
/// The local socket asks for no login: there, root and the node's own user may do everything.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node login jane --address 127.0.0.1:8081
  micro-node login jane --password @jane.secret
  MICRO_NODE_PASSWORD=@jane.secret micro-node login jane --namespace acme")]
pub(super) struct LoginCommand {
    /// The account, of this --namespace
    #[arg(env = "MICRO_NODE_ACCOUNT")]
    account: String,

    /// Its secret, as @FILE or - for stdin; asked for if there is a terminal [env: MICRO_NODE_PASSWORD, the secret
    /// itself or @FILE]
    #[arg(long, value_name = "@FILE|-", allow_hyphen_values = true)]
    password: Option<String>,
}

/// End a login, on all nodes
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node logout --address 127.0.0.1:8081")]
pub(super) struct LogoutCommand {}

/// A login that is kept.
#[derive(Serialize, JsonSchema)]
struct LoginItem<'a> {
    /// The address that it is for.
    address: &'a str,
    /// The namespace of the account.
    namespace: &'a str,
    /// The account.
    account: &'a str,
    /// Until when no secret is asked for, if it is not used.
    expires: &'a str,
}

/// A login that has ended.
#[derive(Serialize, JsonSchema)]
struct LogoutItem<'a> {
    /// The address that it was for.
    address: &'a str,
    /// The account.
    account: &'a str,
}

const LOGIN: ItemShape<LoginItem<'static>> = ItemShape::new("login", &["login"]);
const LOGOUT: ItemShape<LogoutItem<'static>> = ItemShape::new("logout", &["logout"]);

pub(super) const SHAPES: Shapes = &[&LOGIN, &LOGOUT];

impl LoginCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let secret = secret::read_or_ask("--password", self.password.as_deref(), PASSWORD, "secret")?;
        let (address, login, proxy) = session::run_as_nobody(globals, async |node| {
            let login = node.auth().login(&self.account, &Token::new(secret.as_str())).await?;
            Ok((node.address().clone(), login, proxy(&node).await))
        })?;
        let saved = SavedLogin::from(&login);
        let (shown, ends) = (address.to_string(), saved.ends());
        Logins::open()?.set(&shown, Some(saved))?;
        if output.json() {
            let (namespace, account) = (login.namespace.as_str(), login.account.as_str());
            let item = LoginItem { address: &shown, namespace, account, expires: &ends };
            return output.item(&LOGIN, &item);
        }
        output.remark(&format!("logged in at {shown} as {}", login.account));
        if matches!(address, Address::Unix(_)) {
            let proxy = proxy.unwrap_or_else(|| "IP:PORT of its gRPC proxy".to_owned());
            output.remark(&format!(
                "the local socket asks for no login: what you do there is done as root or the node's user; log in with \
                 --address {proxy}, and use it, to act as the account",
            ));
        }
        Ok(())
    }
}

/// Where the gRPC proxy of a node is that was reached by its socket; none if it was not, or does not tell.
async fn proxy(node: &Node) -> Option<String> {
    if !matches!(node.address(), Address::Unix(_)) {
        return None;
    }
    let settings = node.settings().await.ok()?;
    settings.into_iter().find(|setting| setting.name == "proxy")?.value
}

impl LogoutCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let (address, account) = session::run_as_nobody(globals, async |node| {
            let address = node.address().to_string();
            let saved = Logins::open()?.get(&address).cloned();
            let Some(saved) = saved else {
                return Err(Fault::new(Code::NotFound, format!("nobody is logged in at {address}"))
                    .help("logins are kept for each --address")
                    .into());
            };
            node.auth().logout(&saved.refresh()).await?;
            Ok((address, saved.account))
        })?;
        Logins::open()?.set(&address, None)?;
        if output.json() {
            return output.item(&LOGOUT, &LogoutItem { address: &address, account: &account });
        }
        output.remark(&format!("{account} is logged out at {address}"));
        Ok(())
    }
}
