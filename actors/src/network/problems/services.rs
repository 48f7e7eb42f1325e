//! What is wrong with people's services.

use super::Problems;
use crate::{
    calls::{Ill, Unwell},
    spelling::named,
};
use micro_sdk::wire::{Namespace, ServiceName, status::Severity};

/// How many instances that fail their calls are told of one by one: whoever has more of them looks for what they have
/// in common.
const UNWELL_TOLD_MAX: usize = 16;

impl Problems {
    pub(super) fn of_drained_services(&mut self, services: &[(&Namespace, &ServiceName, Vec<String>)]) {
        for (namespace, service, nodes) in services {
            let (service, _) = named(namespace, service);
            let message = format!(
                "service {service} can't be called: it is on drained nodes only: {}",
                nodes.join(", ")
            );
            self.add(Severity::Warning, message, "put one to work again: `micro-node drain NAME --undo`");
        }
    }

    pub(super) fn of_failing_services(
        &mut self,
        services: &[(&Namespace, &ServiceName, usize, usize, String)],
    ) {
        for (namespace, service, failing, all, reason) in services {
            let (service, asked) = named(namespace, service);
            let message = match failing == all {
                true if *all == 1 => {
                    format!("service {service} can't be called: its only instance does not work: {reason}")
                }
                true => {
                    format!("service {service} can't be called: none of its {all} instances works: {reason}")
                }
                false => format!("{failing} of {all} instances of service {service} do not work: {reason}"),
            };
            let help = format!("see how each is: `micro-node services {asked}`");
            self.add(Severity::Warning, message, &help);
        }
    }

    /// Those that fail the calls which the node called `here` sends them. `on` is how a node is called.
    pub(super) fn of_unwell_instances(
        &mut self,
        unwell: &[Unwell],
        here: &str,
        on: impl Fn(&Unwell) -> String,
    ) {
        for one in unwell.iter().take(UNWELL_TOLD_MAX) {
            let (service, asked) = named(&one.instance.namespace, &one.instance.service);
            let who = format!("instance {:016x} of service {service} on {}", one.instance.id, on(one));
            let message = match one.ill {
                Ill::Shut { lost, wait: Some(wait) } => format!(
                    "{who} lost the last {lost} calls that node {here} sent it: it gets none from there for {} s",
                    wait.as_secs().max(1)
                ),
                Ill::Shut { lost, wait: None } => format!(
                    "{who} lost the last {lost} calls that node {here} sent it: the next call tries it again"
                ),
                Ill::PassedOver { failed, calls } => format!(
                    "{who} failed {failed} of the last {calls} calls that node {here} sent it: the others get them for now"
                ),
                Ill::Failing { failed, calls } => format!(
                    "{who} failed {failed} of the last {calls} calls that node {here} sent it, and is called all the \
                     same: no other does better"
                ),
            };
            let help = format!(
                "see the log of its program, and how it is: `micro-node services {asked}`; when an instance gets no \
                 calls says [breaker] of `micro-node policy get {asked}`"
            );
            self.add(Severity::Warning, message, &help);
        }
        if let more @ 1.. = unwell.len().saturating_sub(UNWELL_TOLD_MAX) {
            let message = format!("{more} more instances fail the calls that node {here} sends them");
            self.add(
                Severity::Warning,
                message,
                "see what they have in common: a node, a version, what they call",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::{Health, Instance, NodeId};
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    fn unwell(ill: Ill) -> Unwell {
        let instance = Instance {
            id: 7,
            namespace: Namespace::default(),
            service: "shop".parse().expect("a good name"),
            version: "1".to_owned(),
            node: NodeId(2),
            endpoints: Vec::new(),
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: BTreeMap::new(),
            health: Health::Passing,
        };
        Unwell { instance: Arc::new(instance), ill }
    }

    fn told(unwell: &[Unwell]) -> Problems {
        let mut list = Problems::default();
        list.of_unwell_instances(unwell, "alpha", |_| "bravo".to_owned());
        list
    }

    #[test]
    fn an_instance_that_fails_its_calls_is_told_with_what_comes_of_it() {
        let wait = Some(Duration::from_secs(4));
        for (ill, part) in [
            (
                Ill::Shut { lost: 5, wait },
                "lost the last 5 calls that node alpha sent it: it gets none from there for 4 s",
            ),
            (Ill::Shut { lost: 5, wait: None }, "the next call tries it again"),
            (Ill::PassedOver { failed: 19, calls: 20 }, "failed 19 of the last 20 calls"),
            (Ill::Failing { failed: 20, calls: 20 }, "is called all the same"),
        ] {
            let list = told(&[unwell(ill)]);
            let [problem] = &list.0[..] else { panic!("{:?}", list.0) };
            assert!(problem.message.starts_with("instance 0000000000000007 of service shop on bravo "));
            assert!(problem.message.contains(part), "{problem:?}");
            assert!(problem.help.contains("`micro-node services shop`"), "{problem:?}");
        }
    }

    #[test]
    fn of_many_the_rest_is_counted() {
        let many: Vec<Unwell> = (0..20).map(|_| unwell(Ill::Failing { failed: 20, calls: 20 })).collect();
        let list = told(&many);
        assert_eq!(list.0.len(), UNWELL_TOLD_MAX + 1);
        assert!(list.0[UNWELL_TOLD_MAX].message.starts_with("4 more instances"), "{:?}", list.0.last());
        assert!(told(&[]).0.is_empty());
    }
}
