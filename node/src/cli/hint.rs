//! What somebody may have meant who named what is not there.

use micro_actors::nearest;
use micro_sdk::{
    client::Node,
    wire::{Code, Fault},
};

/// A fault with the service that may have been meant, as far as the caller may know of it.
pub(super) async fn service(fault: Fault, node: &Node, asked: &str) -> Fault {
    if fault.code != Code::NotFound {
        return fault;
    }
    // Only for the hint: that it can't be told is nothing to tell.
    let services = node.services().await.unwrap_or_default();
    let names = || services.iter().map(|service| service.name.as_str());
    match nearest(asked, names()).filter(|_| !names().any(|name| name == asked)) {
        Some(near) => {
            let mut fault = fault;
            fault.help.insert(0, format!("did you mean `{near}`?"));
            fault
        }
        None => fault,
    }
}
