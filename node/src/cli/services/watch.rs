//! `micro-node services --watch`.

use super::{
    super::{
        contact,
        failure::Failure,
        globals::Globals,
        output::Output,
        session,
        shape::{Shape, Shapes},
        table::clean,
    },
    ailment,
};
use micro_sdk::{
    client::{RegistryAction, RegistryChange, RegistryEvent, ServiceInstance},
    wire::ServiceName,
};
use schemars::JsonSchema;
use serde::Serialize;

/// What happens to an instance, as it happens.
#[derive(Serialize, JsonSchema)]
struct InstanceChange<'a> {
    /// `create`, `update` or `delete`.
    action: RegistryAction,
    /// Of which service it is.
    service: &'a str,
    /// The instance as it is now, or as it was if it is gone.
    instance: &'a ServiceInstance,
}

const WATCH: Shape<InstanceChange<'static>> =
    Shape::new("services-watch", &["services --watch", "registry watch"]);

pub(super) const SHAPES: Shapes = &[&WATCH];

/// Tells the instances of all services, or of one, and what becomes of them, `limit` of these if it is given.
pub(in crate::cli) fn run(
    name: Option<ServiceName>,
    limit: Option<u64>,
    globals: &Globals,
    output: &Output,
) -> Result<(), Failure> {
    session::run(globals, async |node| {
        let registry = node.registry();
        let asked = match &name {
            Some(name) => registry.watch_service(name.as_str()),
            None => registry.watch(),
        };
        let mut watch = asked.on_contact(contact::remarks(output)).await?;
        let mut left = limit.unwrap_or(u64::MAX);
        while let Some(next) = watch.next().await {
            match next? {
                RegistryEvent::Mark => output.detail("that is all there is; what changes follows"),
                RegistryEvent::Change(change) => {
                    show(&change, output)?;
                    left -= 1;
                }
            }
            if left == 0 {
                break;
            }
        }
        Ok(())
    })
}

fn show(change: &RegistryChange, output: &Output) -> Result<(), Failure> {
    let RegistryChange { action, service, instance } = change;
    match output.json() {
        true => output.line(&WATCH, &InstanceChange { action: *action, service, instance }),
        false => output.text(&line(change)),
    }
}

/// What a person sees of a change: columns of fixed width, since what is to come is not known.
fn line(change: &RegistryChange) -> String {
    let RegistryChange { action, service, instance } = change;
    let action = match action {
        RegistryAction::Create => "create",
        RegistryAction::Update => "update",
        RegistryAction::Delete => "delete",
    };
    let [service, id, node] = [service, &instance.id, &instance.node_name].map(|text| clean(text));
    format!("{action}  {service:<16}  {id}  {node:<12}  {}", clean(&ailment(&instance.health)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::client::{HealthState, InstanceHealth};

    #[test]
    fn a_change_is_a_line() {
        let health = InstanceHealth {
            state: HealthState::Failing,
            reason: Some("Connection refused".to_owned()),
            since: None,
        };
        let instance = ServiceInstance {
            id: "7c2f".to_owned(),
            version: "1".to_owned(),
            node: "1".to_owned(),
            node_name: "alpha".to_owned(),
            endpoints: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            health,
        };
        let change = RegistryChange { action: RegistryAction::Update, service: "shop".to_owned(), instance };
        assert_eq!(
            line(&change),
            "update  shop              7c2f  alpha         failing: Connection refused"
        );
    }
}
