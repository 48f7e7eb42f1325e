//! Names of what is there just now, which an argument may be.

use super::{
    super::{profile::Profile, shape},
    typed::Typed,
};
use clap_complete::engine::CompletionCandidate;
use micro_actors::is_opaque;
use micro_sdk::client::ServiceListing;

/// Of what.
#[derive(Clone, Copy)]
pub(super) enum Names {
    Accounts,
    /// Services that can be called by name: those that take all as it is have no endpoints to call.
    Callable,
    Databases,
    /// Of the service that is called.
    Endpoints,
    Environments,
    /// Of the service that is called.
    Instances,
    Nodes,
    NodesAndServices,
    Rules,
    Services,
    /// Of JSON that is printed.
    Shapes,
    /// Of the database that is named.
    Tables,
}

impl Names {
    /// Those that there are, as far as whoever types may see them.
    pub fn candidates(self, typed: Option<&Typed>, profile: &Profile) -> Vec<CompletionCandidate> {
        let names = match (self, typed) {
            (Names::Environments, _) => profile.environments().keys().cloned().collect(),
            (Names::Shapes, _) => shape::all().iter().map(|shape| shape.title().name.to_owned()).collect(),
            (_, None) => Vec::new(),
            (Names::Services, Some(typed)) => return services(typed, |_| true),
            (Names::Callable, Some(typed)) => return services(typed, is_callable),
            (Names::NodesAndServices, Some(typed)) => {
                let nodes = nodes(typed).into_iter().map(CompletionCandidate::new);
                return nodes.chain(services(typed, |_| true)).collect();
            }
            (Names::Nodes, Some(typed)) => nodes(typed),
            (_, Some(typed)) => self.asked(typed).unwrap_or_default(),
        };
        names.into_iter().map(CompletionCandidate::new).collect()
    }

    /// What the node says; none if it does not.
    fn asked(self, typed: &Typed) -> Option<Vec<String>> {
        match self {
            Names::Accounts => {
                let accounts = typed.ask(async |node| node.auth().accounts().await)?;
                Some(accounts.into_iter().map(|account| account.name).collect())
            }
            Names::Rules => {
                let rules = typed.ask(async |node| node.auth().rules().await)?;
                Some(rules.into_iter().map(|rule| rule.id).collect())
            }
            Names::Endpoints => {
                Some(typed.called()?.endpoints.into_iter().map(|endpoint| endpoint.name).collect())
            }
            Names::Instances => {
                Some(typed.called()?.instances.into_iter().map(|instance| instance.id).collect())
            }
            Names::Databases => typed.ask(async |node| node.store().databases().await),
            Names::Tables => {
                let database = typed.flag("database").map(str::to_owned);
                typed.ask(async |node| match database {
                    Some(database) => node.store().database(database).tables().await,
                    None => node.store().tables().await,
                })
            }
            _ => None,
        }
    }
}

/// The nodes of the mesh, by name.
fn nodes(typed: &Typed) -> Vec<String> {
    let status = typed.ask(async |node| node.status().await);
    status.map(|status| status.nodes).unwrap_or_default().into_iter().map(|node| node.name).collect()
}

fn is_callable(service: &ServiceListing) -> bool {
    service.instances.iter().flat_map(|instance| &instance.endpoints).any(|name| !is_opaque(name))
}

fn services(typed: &Typed, wanted: impl Fn(&ServiceListing) -> bool) -> Vec<CompletionCandidate> {
    let services = typed.ask(async |node| node.services().await).unwrap_or_default();
    let candidate = |name: String| CompletionCandidate::new(name).help(Some("a service of the mesh".into()));
    services.into_iter().filter(wanted).map(|service| candidate(service.name)).collect()
}
