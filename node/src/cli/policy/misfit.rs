//! What a policy names that nothing of its service is called: a slip mostly, which would do nothing and say nothing. It
//! is no mistake for certain, since what is meant may come later.

use super::Output;
use micro_actors::{
    nearest,
    policy::{Policy, WeightedRoute},
};
use micro_sdk::client::{Node, ServiceInstance, ServiceListing};
use std::collections::BTreeSet;

/// What there is to warn of. Whoever may not see the services is warned of nothing.
pub(super) async fn of(node: &Node, service: &str, document: &str) -> Vec<String> {
    match (node.services().await, Policy::parse(document)) {
        (Ok(services), Ok(policy)) => misfits(service, &policy, &services),
        _ => Vec::new(),
    }
}

/// Warns of it on stderr.
pub(super) fn warn(misfits: &[String], output: &Output) {
    for misfit in misfits {
        output.remark(&format!("warning: {misfit}"));
    }
}

/// One sentence for each such name, as the services are that are known now.
fn misfits(service: &str, policy: &Policy, services: &[ServiceListing]) -> Vec<String> {
    let Some(listing) = services.iter().find(|known| known.name == service) else {
        let meant = meant(nearest(service, services.iter().map(|known| known.name.as_str())));
        return vec![format!("no service {service:?} is known yet{meant}: the policy waits for it")];
    };
    let instances = &listing.instances;
    let endpoints: BTreeSet<&str> =
        instances.iter().flat_map(|instance| &instance.endpoints).map(String::as_str).collect();
    let endpoints: Vec<&str> = endpoints.into_iter().collect();
    let mut misfits: Vec<String> = policy
        .idempotent_beyond(&endpoints)
        .into_iter()
        .map(|named| {
            let meant = meant(near_endpoint(named, &endpoints));
            format!(
                "idempotent: no instance of {service} has an endpoint {named:?}{meant}: it does nothing until one has"
            )
        })
        .collect();
    let routes = policy.routes.iter().enumerate();
    misfits.extend(routes.filter_map(|(place, route)| lonely(service, place, route, instances)));
    misfits
}

fn meant(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}

/// The endpoint that is spelled much like the one that is named, or ends so.
fn near_endpoint<'e>(named: &str, endpoints: &[&'e str]) -> Option<&'e str> {
    let named = named.trim_end_matches('*').trim_end_matches('.');
    let end = |endpoint: &&&str| endpoint.rsplit_once('.').is_some_and(|(_, method)| method == named);
    let ends = endpoints.iter().find(end).copied();
    ends.or_else(|| nearest(named, endpoints.iter().copied()))
}

/// Why a route means none of the instances, if it means none by what they say of themselves.
fn lonely(
    service: &str,
    place: usize,
    route: &WeightedRoute,
    instances: &[ServiceInstance],
) -> Option<String> {
    let ends = "its share goes to the others until one has";
    let of_version = |instance: &&ServiceInstance| {
        route.version.as_ref().is_none_or(|version| version.matches(&instance.version))
    };
    let of_version: Vec<_> = instances.iter().filter(of_version).collect();
    if let (Some(version), true) = (&route.version, of_version.is_empty()) {
        let there: BTreeSet<&str> = instances.iter().map(|instance| instance.version.as_str()).collect();
        let there = there.into_iter().collect::<Vec<_>>().join(", ");
        return Some(format!(
            "route[{place}]: no instance of {service} has a version {version} (there are: {there}): {ends}"
        ));
    }
    let labelled = |instance: &&ServiceInstance| {
        route.labels.iter().all(|(name, value)| instance.metadata.get(name) == Some(value))
    };
    if of_version.into_iter().any(|instance| labelled(&instance)) {
        return None;
    }
    let labels: Vec<String> = route.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(format!("route[{place}]: no instance of {service} has the metadata {}: {ends}", labels.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::client::InstanceHealth;

    fn shop() -> [ServiceListing; 1] {
        let instance = |version: &str, track: &str| ServiceInstance {
            id: "1".to_owned(),
            version: version.to_owned(),
            node: "1".to_owned(),
            node_name: "alpha".to_owned(),
            endpoints: vec!["Cart.add".to_owned(), "Cart.list".to_owned()],
            metadata: [("track".to_owned(), track.to_owned())].into(),
            health: InstanceHealth::default(),
        };
        [ServiceListing {
            name: "shop".to_owned(),
            instances: vec![instance("1.0", "main"), instance("1.1", "next")],
        }]
    }

    #[test]
    fn what_nothing_is_called_is_told_with_what_may_be_meant() {
        for (document, expected) in [
            (
                r#"{"idempotent": ["Cart.list", "Cart.*", "*"], "route": [{"weight": 1, "version": "1.*"}]}"#,
                None,
            ),
            (r#"{"idempotent": ["Cart.lst"]}"#, Some("endpoint \"Cart.lst\" (did you mean `Cart.list`?)")),
            (r#"{"idempotent": ["list"]}"#, Some("(did you mean `Cart.list`?)")),
            (r#"{"idempotent": ["Stock.*"]}"#, Some("endpoint \"Stock.*\": it does nothing")),
            (r#"{"route": [{"weight": 1, "version": "2.*"}]}"#, Some("a version 2.* (there are: 1.0, 1.1)")),
            (r#"{"route": [{"weight": 1, "labels": {"track": "next"}}]}"#, None),
            (
                r#"{"route": [{"weight": 1, "version": "1.0", "labels": {"track": "next"}}]}"#,
                Some("the metadata track=next"),
            ),
        ] {
            let policy = Policy::parse(document).expect("a good policy");
            let told = misfits("shop", &policy, &shop());
            let fits = match (expected, &told[..]) {
                (None, []) => true,
                (Some(expected), [told]) => told.contains(expected),
                _ => false,
            };
            assert!(fits, "{document}: {told:?}");
        }
        let told = misfits("shp", &Policy::default(), &shop());
        assert_eq!(told, ["no service \"shp\" is known yet (did you mean `shop`?): the policy waits for it"]);
    }
}
