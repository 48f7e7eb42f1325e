//! `micro-node user`: who one is.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    profile::Notebook,
    saved_login, secret, session,
    shape::{ItemShape, Shapes},
    table::{NOTHING, Table},
    unit::rfc3339,
};
use clap::{Args, Subcommand};
use micro_sdk::{
    client::{Identity, Token},
    wire::{Code, Fault, Namespace},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The variables with the secrets of an account: the one before, and the one to come.
const OLD_PASSWORD: &str = "MICRO_NODE_PASSWORD";
const NEW_PASSWORD: &str = "MICRO_NODE_NEW_PASSWORD";

/// Show who the node takes you for; show your token, change your secret
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node user
  curl -H \"authorization: Bearer $(micro-node user token)\" 127.0.0.1:8080/helloworld/call
  micro-node user namespace set acme                 what commands mean from now on
  micro-node user set password --old @old.secret --password @new.secret")]
pub(super) struct UserCommand {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print an access token of your login, good for a quarter of an hour at most
    #[command(after_help = "\
Examples:
  micro-node user token
  curl -H \"Authorization: Bearer $(micro-node user token)\" http://127.0.0.1:8080/helloworld/call")]
    Token,
    /// Print the namespace that commands mean; or set it for an environment
    Namespace {
        #[command(subcommand)]
        verb: Option<NamespaceVerb>,
    },
    /// Change what is yours
    Set {
        #[command(subcommand)]
        what: What,
    },
}

#[derive(Debug, Subcommand)]
enum NamespaceVerb {
    /// Have commands in this environment (--target) mean a namespace
    #[command(after_help = "\
Examples:
  micro-node user namespace set acme
  micro-node user namespace set acme --target prod")]
    Set {
        /// Which one
        name: Namespace,
    },
}

#[derive(Debug, Subcommand)]
enum What {
    Password(SetPassword),
}

/// Change the secret of your account, or of another's if you may; all its logins end
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node user set password --old @old --password @new
  micro-node user set password --generate
  micro-node user set password jane --generate")]
struct SetPassword {
    /// Whose, if not your own
    account: Option<String>,

    /// The secret before, as @FILE or -: for your own [env: MICRO_NODE_PASSWORD]
    #[arg(long, value_name = "@FILE|-", allow_hyphen_values = true)]
    old: Option<String>,

    /// The secret from now on, as @FILE or - [env: MICRO_NODE_NEW_PASSWORD]
    #[arg(long, value_name = "@FILE|-", allow_hyphen_values = true, conflicts_with = "generate")]
    password: Option<String>,

    /// Have the node make one, and print it
    #[arg(long)]
    generate: bool,
}

/// The namespace that commands mean.
#[derive(Serialize, JsonSchema)]
struct NamespaceItem<'a> {
    /// What it is called.
    name: &'a str,
}

/// Who the node takes the caller for.
#[derive(Serialize, JsonSchema)]
struct UserItem<'a> {
    /// What kind: `admin`, `node`, `account` or `anonymous`.
    caller: &'a str,
    /// How refusals name it.
    name: &'a str,
    /// The namespace of the account; none for others.
    namespace: Option<&'a str>,
    /// The account; none for others.
    account: Option<&'a str>,
    /// `user`, `service` or `node`, of an account; none for others.
    kind: Option<&'a str>,
    /// What the account may act as.
    scopes: &'a [String],
    /// Until when the token is good, if one was shown: RFC 3339.
    expires: Option<String>,
}

/// An access token.
#[derive(Serialize, JsonSchema)]
struct TokenItem<'a> {
    /// What is sent as bearer token.
    token: &'a str,
    /// Until when it is good: RFC 3339.
    expires: String,
}

/// What a change of a secret gave.
#[derive(Serialize, JsonSchema)]
struct PasswordItem<'a> {
    /// The secret that the node made, shown this once; none if it was given one.
    secret: Option<&'a str>,
}

const USER: ItemShape<UserItem<'static>> = ItemShape::new("user", &["user"]);
const NAMESPACE: ItemShape<NamespaceItem<'static>> = ItemShape::new("user-namespace", &["user namespace"]);

const TOKEN: ItemShape<TokenItem<'static>> = ItemShape::new("user-token", &["user token"]);
const PASSWORD: ItemShape<PasswordItem<'static>> = ItemShape::new("user-password", &["user set password"]);

pub(super) const SHAPES: Shapes = &[&USER, &NAMESPACE, &TOKEN, &PASSWORD];

impl UserCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            None => show(&session::run(globals, async |node| Ok(node.auth().who_am_i().await?))?, output),
            Some(Verb::Token) => token(globals, output),
            Some(Verb::Namespace { verb: None }) => {
                let namespace = globals.namespace.as_str();
                match output.json() {
                    true => output.item(&NAMESPACE, &NamespaceItem { name: namespace }),
                    false => output.text(namespace),
                }
            }
            Some(Verb::Namespace { verb: Some(NamespaceVerb::Set { name }) }) => {
                let environment = globals.environment()?;
                Notebook::open()?.namespace(environment, &name)?;
                output
                    .remark(&format!("commands in the environment {environment} mean the namespace {name}"));
                Ok(())
            }
            Some(Verb::Set { what: What::Password(set) }) => set.run(globals, output),
        }
    }
}

fn show(identity: &Identity, output: &Output) -> Result<(), Failure> {
    // What only accounts have, nobody else has.
    let account = !identity.account.is_empty();
    let some = |text| Some(text).filter(|_| account);
    if output.json() {
        let item = UserItem {
            caller: &identity.caller,
            name: &identity.name,
            namespace: some(identity.namespace.as_str()),
            account: some(identity.account.as_str()),
            kind: some(identity.kind.as_str()),
            scopes: &identity.scopes,
            expires: identity.expires.map(rfc3339),
        };
        return output.item(&USER, &item);
    }
    let or_nothing = |text: &str| if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() };
    let mut table = Table::new(["NAME", "CALLER", "NAMESPACE", "KIND", "SCOPES"]);
    table.row([
        identity.name.clone(),
        identity.caller.clone(),
        or_nothing(&identity.namespace),
        or_nothing(&identity.kind),
        or_nothing(&identity.scopes.join(",")),
    ]);
    output.table(&table, "nobody")
}

/// Prints the token alone, unless more is asked for: it is for other programs.
fn token(globals: &Globals, output: &Output) -> Result<(), Failure> {
    let saved = session::run_as_nobody(globals, async |node| {
        let address = node.address().to_string();
        saved_login::current(&node).await?.ok_or_else(|| {
            Fault::new(Code::NotFound, format!("nobody is logged in at {address}"))
                .help("log in: micro-node login ACCOUNT; logins are kept for each --address")
                .into()
        })
    })?;
    let access = saved.access();
    if output.json() {
        return output.item(&TOKEN, &TokenItem { token: access.expose(), expires: saved.access_ends() });
    }
    output.text(access.expose())
}

impl SetPassword {
    fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let own = self.account.is_none();
        let old = match own {
            true => Some(secret::read_or_ask("--old", self.old.as_deref(), OLD_PASSWORD, "old secret")?),
            false => secret::read("--old", self.old.as_deref(), OLD_PASSWORD)?,
        };
        let new = match self.generate {
            true => None,
            false => {
                Some(secret::read_or_ask("--password", self.password.as_deref(), NEW_PASSWORD, "new secret")?)
            }
        };
        let [old, new] = [old, new].map(|secret| secret.map(|secret| Token::new(secret.as_str())));
        let made = session::run(globals, async |node| {
            Ok(node.auth().set_secret(self.account.as_deref(), old.as_ref(), new.as_ref()).await?)
        })?;
        if output.json() {
            return output.item(&PASSWORD, &PasswordItem { secret: made.as_ref().map(Token::expose) });
        }
        if let Some(made) = made {
            output.text(made.expose())?;
            output.remark("this is the new secret: it is shown this once");
        }
        output.remark("the secret is changed, and all logins of the account have ended");
        Ok(())
    }
}
