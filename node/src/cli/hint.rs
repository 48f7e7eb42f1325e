//! What somebody may have meant who named what is not there.
//!
//! It is asked for only then, with the caller's own rights; that it can't be told is nothing to tell.

use micro_actors::nearest;
use micro_sdk::{
    client::Node,
    wire::{Code, Fault},
};

/// A fault with the service that may have been meant.
pub(super) async fn service(fault: Fault, node: &Node, asked: &str) -> Fault {
    let names = async || Ok(node.services().await?.into_iter().map(|service| service.name).collect());
    meant(fault, asked, names).await
}

/// A fault with the account that may have been meant.
pub(super) async fn account(fault: Fault, node: &Node, asked: &str) -> Fault {
    let names = async || Ok(node.auth().accounts().await?.into_iter().map(|account| account.name).collect());
    meant(fault, asked, names).await
}

/// A fault with the rule that may have been meant.
pub(super) async fn rule(fault: Fault, node: &Node, asked: &str) -> Fault {
    let names = async || Ok(node.auth().rules().await?.into_iter().map(|rule| rule.id).collect());
    meant(fault, asked, names).await
}

async fn meant(
    mut fault: Fault,
    asked: &str,
    names: impl AsyncFnOnce() -> Result<Vec<String>, Fault>,
) -> Fault {
    if fault.code != Code::NotFound {
        return fault;
    }
    let names = names().await.unwrap_or_default();
    // What is there by that name is not what is missing.
    let near =
        nearest(asked, names.iter().map(String::as_str)).filter(|_| names.iter().all(|name| name != asked));
    if let Some(near) = near {
        fault.help.insert(0, format!("did you mean `{near}`?"));
    }
    fault
}
