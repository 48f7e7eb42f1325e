//! The instances that a word means.

use micro_sdk::{
    client::Node,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;

/// An instance that a command was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Found {
    /// The service.
    pub service: String,
    /// The id of the instance.
    pub instance: String,
    /// The name of the node that it is at.
    pub node: String,
}

/// The instance with this id, or those of the service with this name.
///
/// # Errors
/// [`Code::NotFound`] if there is none.
pub(super) async fn instances(node: &Node, name_or_id: &str) -> Result<Vec<Found>, Fault> {
    let services = node.services().await?;
    let all = services.into_iter().flat_map(|service| {
        let name = service.name;
        service.instances.into_iter().map(move |instance| Found {
            service: name.clone(),
            instance: instance.id,
            node: instance.node_name,
        })
    });
    let all: Vec<Found> = all.collect();
    let by =
        |is_it: &dyn Fn(&Found) -> bool| all.iter().filter(|one| is_it(one)).cloned().collect::<Vec<_>>();
    let mut found = by(&|one| one.instance == name_or_id);
    if found.is_empty() {
        found = by(&|one| one.service == name_or_id);
    }
    match found.is_empty() {
        false => Ok(found),
        true => {
            let message = format!("nothing is registered that has the name or id {name_or_id:?}");
            Err(Fault::new(Code::NotFound, message)
                .help("see what there is: `micro-node registry list`, and `registry get NAME` for ids"))
        }
    }
}
