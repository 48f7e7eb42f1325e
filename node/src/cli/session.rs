//! One command's conversation with one node.

use super::{failure::Failure, globals::Globals, saved_login, secret, signals::Signals};
use micro_sdk::{
    client::{Address, Node, Token, default_socket},
    wire::{Code, Fault},
};
use std::{future::pending, time::Duration};
use tokio::{runtime::Builder, time::timeout};

/// How long a command waits for what it gives back as it ends, such as its place in the line for a lock. What is not
/// given back then ends by itself, a little later.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

/// Connects to the node that the flags name, does `work` with it, and gives what came of it. Ctrl-C, SIGTERM and the
/// end of the terminal end it at any point; the deadline of each request is the client's.
pub(super) fn run<T>(
    globals: &Globals,
    work: impl AsyncFnOnce(Node) -> Result<T, Failure>,
) -> Result<T, Failure> {
    converse(globals, Identity::Known, interruptible(work))
}

/// The same without the login of this user: for what makes or ends one.
pub(super) fn run_as_nobody<T>(
    globals: &Globals,
    work: impl AsyncFnOnce(Node) -> Result<T, Failure>,
) -> Result<T, Failure> {
    converse(globals, Identity::Nobody, interruptible(work))
}

/// Whether the login of this user is shown, where no token was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Known,
    Nobody,
}

/// The same work, ended by Ctrl-C and SIGTERM: what it has begun and not finished, it takes back as it is dropped.
fn interruptible<T>(
    work: impl AsyncFnOnce(Node) -> Result<T, Failure>,
) -> impl AsyncFnOnce(Node) -> Result<T, Failure> {
    async |node| {
        tokio::select! {
            biased;
            code = signalled() => Err(Failure::Signalled(code)),
            result = work(node) => result,
        }
    }
}

/// Waits for a signal that asks to end, and gives the exit code for it.
async fn signalled() -> u8 {
    match Signals::take_with_hangup() {
        Ok(mut signals) => signals.next().await,
        // The system has not let go of them: they end the process as they do by default.
        Err(_) => pending().await,
    }
}

/// The same for work that ends by itself on Ctrl-C once it is connected, since it has something to give back.
pub(super) fn run_to_end<T>(
    globals: &Globals,
    work: impl AsyncFnOnce(Node) -> Result<T, Failure>,
) -> Result<T, Failure> {
    converse(globals, Identity::Known, work)
}

fn converse<T>(
    globals: &Globals,
    identity: Identity,
    work: impl AsyncFnOnce(Node) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let token = secret::read("--token", globals.token.as_deref(), "MICRO_NODE_TOKEN")?;
    let token = token.map(|secret| Token::new(secret.as_str()));
    let runtime = Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    runtime.block_on(async {
        let node = tokio::select! {
            biased;
            code = signalled() => return Err(Failure::Signalled(code)),
            node = connect(globals) => node?,
        };
        let node = node.with_namespace(globals.namespace.clone()).with_timeout(globals.timeout);
        let node = match token {
            Some(token) => node.with_token(token),
            // A socket asks for none.
            None if identity == Identity::Known && matches!(node.address(), Address::Tcp { .. }) => {
                match saved_login::current(&node).await? {
                    Some(login) => node.with_token(login.access()),
                    None => node,
                }
            }
            None => node,
        };
        let worked = work(node.clone()).await;
        let _ = timeout(SETTLE_PATIENCE, node.settled()).await;
        worked.map_err(|failure| match failure {
            Failure::Fault(fault) if fault.code == Code::Denied => {
                socket_passed_over(fault, globals, &node).into()
            }
            failure => failure,
        })
    })
}

/// Says that the socket, which would ask for no secret, was not there, if nobody said to take the port.
fn socket_passed_over(fault: Fault, globals: &Globals, node: &Node) -> Fault {
    if globals.address.is_some() || matches!(node.address(), Address::Unix(_)) {
        return fault;
    }
    fault.help(format!(
        "the port was asked because there is no socket at {}: if it is elsewhere, --address unix:PATH",
        default_socket().display()
    ))
}

/// Who runs this command, as others see who look at who holds something: the process on its host.
pub(super) fn whoami() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}/{}", std::process::id())
}

/// Connects to a node beside the one that the flags name, and shows it `token` and no other.
///
/// # Errors
/// If it can't be reached.
pub(super) async fn connect_to(
    globals: &Globals,
    address: &Address,
    token: Option<Token>,
) -> Result<Node, Failure> {
    let node = reached(globals, Node::connect_to(address.clone())).await?;
    let node = node.with_namespace(globals.namespace.clone()).with_timeout(globals.timeout);
    Ok(match token {
        Some(token) => node.with_token(token),
        None => node,
    })
}

async fn connect(globals: &Globals) -> Result<Node, Failure> {
    let connecting = async {
        let connected = match &globals.address {
            Some(address) => Node::connect_to(address.clone()).await,
            None => Node::connect().await,
        };
        connected.map_err(|fault| match fault.code {
            Code::Unreachable => {
                let fault = match &globals.environment {
                    Some(name) if globals.address.is_some() => {
                        fault.help(format!("it is that of the environment {name}: micro-node env get {name}"))
                    }
                    _ => fault,
                };
                fault.help("or say where one is: --address unix:PATH or --address HOST:PORT")
            }
            _ => fault,
        })
    };
    Ok(reached(globals, connecting).await?)
}

/// Waits for a connection as long as the flags say.
async fn reached(
    globals: &Globals,
    connecting: impl Future<Output = Result<Node, Fault>>,
) -> Result<Node, Fault> {
    timeout(globals.timeout, connecting).await.unwrap_or_else(|_| {
        let message = format!("cannot reach a node: no connection within {:?}", globals.timeout);
        Err(Fault::new(Code::Unreachable, message).help("allow more time with --timeout"))
    })
}

/// Why there is no runtime: the host is out of file descriptors or memory.
pub(super) fn no_runtime(error: std::io::Error) -> Failure {
    Fault::new(Code::Failed, format!("the host gives this process no event loop: {error}")).into()
}
