//! One command's conversation with one node.

use super::{failure::Failure, globals::Globals, secret};
use micro_sdk::{
    client::{Node, Token},
    wire::{Code, Fault},
};
use tokio::{runtime::Builder, signal};

/// The exit code of a process that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Connects to the node that the flags name, does `work` with it, and gives what came of it. Ctrl-C ends it
/// at any point; the deadline of each request is the client's.
pub(super) fn run<T>(
    globals: &Globals,
    work: impl AsyncFnOnce(Node) -> Result<T, Failure>,
) -> Result<T, Failure> {
    run_to_end(globals, async |node| {
        tokio::select! {
            biased;
            // Should the handler be refused, Ctrl-C ends the process as it does by default.
            Ok(()) = signal::ctrl_c() => Err(Failure::Signalled(INTERRUPTED)),
            result = work(node) => result,
        }
    })
}

/// The same for work that ends by itself on Ctrl-C once it is connected, since it has something to give back.
pub(super) fn run_to_end<T>(
    globals: &Globals,
    work: impl AsyncFnOnce(Node) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let token = secret::read("--token", globals.token.as_deref(), "MICRO_NODE_TOKEN")?;
    let token = token.map(|secret| Token::new(secret.as_str()));
    let runtime = Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    runtime.block_on(async {
        let node = tokio::select! {
            biased;
            Ok(()) = signal::ctrl_c() => return Err(Failure::Signalled(INTERRUPTED)),
            node = connect(globals) => node?,
        };
        let node = node.with_namespace(globals.namespace.clone()).with_timeout(globals.timeout);
        work(match token {
            Some(token) => node.with_token(token),
            None => node,
        })
        .await
    })
}

/// Who runs this command, as others see who look at who holds something: the process on its host.
pub(super) fn whoami() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}/{}", std::process::id())
}

async fn connect(globals: &Globals) -> Result<Node, Failure> {
    let connected = async {
        match &globals.address {
            Some(address) => Node::connect_to(address.clone()).await,
            None => Node::connect().await,
        }
    };
    match tokio::time::timeout(globals.timeout, connected).await {
        Ok(Ok(node)) => Ok(node),
        Ok(Err(fault)) if fault.code == Code::Unreachable => {
            Err(fault.help("or say where one is: --address unix:PATH or --address HOST:PORT").into())
        }
        Ok(Err(fault)) => Err(fault.into()),
        Err(_) => {
            let message = format!("cannot reach a node: no connection within {:?}", globals.timeout);
            Err(Fault::new(Code::Unreachable, message).help("allow more time with --timeout").into())
        }
    }
}

/// Why there is no runtime: the host is out of file descriptors or memory.
pub(super) fn no_runtime(error: std::io::Error) -> Failure {
    Fault::new(Code::Failed, format!("the host gives this process no event loop: {error}")).into()
}
