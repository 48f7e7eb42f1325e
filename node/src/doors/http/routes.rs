//! Which service and endpoint a request is for. Compiled when the registry has changed, and looked up ever after.
//!
//! Explicit routes that begin with a word come before Micro's rules, which no other service has as its name. Those that
//! begin with a field, which need a host, come behind: whoever has one gets what is of no service. Of several that
//! match, one for the host that was called comes before one for any, a word before a field, and a field before all
//! that is left. Two services that have the same route at once (two nodes took them in the same second) are told in
//! the log, and all nodes take the one whose name comes first.

use super::{
    offer::{Offer, Shared},
    path::{Named, Path},
    problem::Refusal,
};
use http::Method;
use micro_actors::{RAW, registry};
use micro_sdk::wire::{Namespace, ROUTE_METHOD_ANY, Route, Segment, ServiceName};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
    sync::{Arc, RwLock},
};

/// What a request is for.
#[derive(Debug)]
pub(super) struct Target {
    /// The service.
    pub service: ServiceName,
    /// Its endpoint.
    pub endpoint: String,
    /// The fields of the path, by name.
    pub captured: Vec<(String, String)>,
    /// What the service offers; none if it is not known here.
    pub offer: Option<Shared>,
}

/// The methods that an endpoint takes where its name is the path.
pub(super) const METHODS: &str = "GET, HEAD, POST";

/// The routes of one moment.
#[derive(Default)]
pub(super) struct Routes {
    tenants: HashMap<Namespace, Tenant>,
}

#[derive(Default)]
struct Tenant {
    offers: HashMap<ServiceName, Shared>,
    /// Explicit routes that begin with a word, by host; those for any host under the empty one.
    hosts: HashMap<String, Ways>,
    /// Those that begin with a field, by host.
    sites: HashMap<String, Ways>,
}

/// The explicit routes of one host: those whose every segment is told apart, and those that take all that is left.
#[derive(Default)]
struct Ways {
    exact: matchit::Router<Vec<Way>>,
    open: matchit::Router<Vec<Way>>,
}

/// One explicit route.
struct Way {
    method: String,
    fields: Vec<String>,
    endpoint: String,
    offer: Shared,
}

/// The routes as of now, and the table that they were made of. Shared by all threads of the doors.
#[derive(Default)]
pub(super) struct Latest(RwLock<(Option<Arc<registry::Table>>, Arc<Routes>)>);

impl Latest {
    /// The routes of `table`.
    pub fn of(&self, table: &Arc<registry::Table>) -> Arc<Routes> {
        let current = {
            let known = self.0.read().expect("no code panics while it holds the routes");
            match &known.0 {
                Some(of) if Arc::ptr_eq(of, table) => return known.1.clone(),
                // Much of what is gossiped is not about services.
                Some(of) if of.all() == table.all() => Some(known.1.clone()),
                _ => None,
            }
        };
        let mut known = self.0.write().expect("no code panics while it holds the routes");
        let routes = current.unwrap_or_else(|| Arc::new(Routes::compile(table, &known.1)));
        *known = (Some(table.clone()), routes.clone());
        routes
    }
}

impl Routes {
    /// Makes the routes of a table. What was found out of services that are as they were is kept.
    fn compile(table: &registry::Table, before: &Routes) -> Routes {
        let mut routes = Routes::default();
        let mut ways: BTreeMap<(&Namespace, &str, String), Vec<Way>> = BTreeMap::new();
        for ((namespace, service), instances) in table.all() {
            let known = before.tenants.get(namespace).and_then(|tenant| tenant.offers.get(service));
            let offer = match known {
                Some(offer) if offer.holds_for(instances) => offer.clone(),
                _ => Arc::new(Offer::of(namespace, service, instances)),
            };
            let explicit: BTreeSet<&(String, Route)> =
                instances.iter().flat_map(|instance| &instance.routes).collect();
            for (endpoint, route) in explicit {
                let at = ways.entry((namespace, &route.host, pattern(route))).or_default();
                if let Some(way) = at.iter().find(|way| way.method == route.method) {
                    let taken = &way.offer.service;
                    tracing::warn!(%service, %taken, route = route.path, "two services have the same route");
                    continue;
                }
                at.push(Way::of(endpoint, route, &offer));
            }
            let tenant = routes.tenants.entry(namespace.clone()).or_default();
            tenant.offers.insert(service.clone(), offer);
        }
        for ((namespace, host, pattern), ways) in ways {
            let tenant = routes.tenants.entry(namespace.clone()).or_default();
            let hosts = if pattern.starts_with("/{") { &mut tenant.sites } else { &mut tenant.hosts };
            let host = hosts.entry(host.to_owned()).or_default();
            let router = if pattern.contains("{*") { &mut host.open } else { &mut host.exact };
            if let Err(error) = router.insert(&pattern, ways) {
                tracing::warn!(pattern, %error, "a route is in the way of another, and is not taken");
            }
        }
        routes
    }

    /// What a request is for. A service that is not known is given as the path names it: dispatch says what it knows of
    /// it.
    ///
    /// # Errors
    /// 404 for a path that names nothing, 405 for a method that is not taken there.
    pub fn find(
        &self,
        namespace: &Namespace,
        host: &str,
        method: &Method,
        path: &Path<'_>,
    ) -> Result<Target, Refusal> {
        let tenant = self.tenants.get(namespace);
        let mut taken = BTreeSet::new();
        let explicit = |of: fn(&Tenant) -> &HashMap<String, Ways>, taken: &mut BTreeSet<String>| {
            let ways = tenant.map(of).filter(|ways| !ways.is_empty())?;
            explicit(ways, host, method, path, taken)
        };
        if let Some(target) = explicit(|tenant| &tenant.hosts, &mut taken) {
            return Ok(target);
        }
        let mut first = None;
        for named in path.named() {
            let Ok(service) = named.service.parse::<ServiceName>() else { continue };
            let offer = tenant.and_then(|tenant| tenant.offers.get(&service));
            let found = offer.and_then(|offer| offer.endpoint(named.handler, named.method));
            if let Some(endpoint) = found {
                if !matches!(*method, Method::GET | Method::POST) {
                    taken.extend(METHODS.split(", ").map(str::to_owned));
                    break;
                }
                let endpoint = endpoint.to_owned();
                return Ok(Target { service, endpoint, captured: Vec::new(), offer: offer.cloned() });
            }
            if first.is_none() || offer.is_some() {
                first = Some((service, named, offer.cloned()));
            }
        }
        if let Some(target) = tenant.and_then(|tenant| tenant.raw(path)) {
            return Ok(target);
        }
        if first.as_ref().is_none_or(|(.., offer)| offer.is_none())
            && taken.is_empty()
            && let Some(target) = explicit(|tenant| &tenant.sites, &mut taken)
        {
            return Ok(target);
        }
        if !taken.is_empty() {
            return Err(Refusal::method(method, &taken.into_iter().collect::<Vec<_>>().join(", ")));
        }
        let (service, named, offer) = first.ok_or_else(|| nothing(path))?;
        let Named { handler, method, .. } = named;
        let endpoint = handler.map_or(method.to_owned(), |handler| format!("{handler}.{method}"));
        Ok(Target { service, endpoint, captured: Vec::new(), offer })
    }

    /// All services of a namespace, by name.
    pub fn offers(&self, namespace: &Namespace) -> Vec<Shared> {
        let tenant = self.tenants.get(namespace);
        let mut offers: Vec<Shared> =
            tenant.into_iter().flat_map(|tenant| tenant.offers.values()).cloned().collect();
        offers.sort_by(|a, b| a.service.cmp(&b.service));
        offers
    }
}

impl Tenant {
    /// What takes all requests below its name as they are.
    fn raw(&self, path: &Path<'_>) -> Option<Target> {
        let service: ServiceName = path.segments().first()?.parse().ok()?;
        let offer = self.offers.get(&service).filter(|offer| offer.endpoint(None, RAW) == Some(RAW))?;
        Some(Target { service, endpoint: RAW.to_owned(), captured: Vec::new(), offer: Some(offer.clone()) })
    }
}

/// The explicit route that a request takes, or the methods that it could have.
fn explicit(
    ways: &HashMap<String, Ways>,
    host: &str,
    method: &Method,
    path: &Path<'_>,
    taken: &mut BTreeSet<String>,
) -> Option<Target> {
    let mut whole = String::with_capacity(64);
    for segment in path.segments() {
        whole.push('/');
        whole.push_str(segment);
    }
    if whole.is_empty() {
        whole.push('/');
    }
    let hosts = [host, ""].into_iter().filter_map(|host| ways.get(host));
    for router in hosts.flat_map(|ways| [&ways.exact, &ways.open]) {
        let Ok(found) = router.at(&whole) else { continue };
        let Some(way) = found.value.iter().find(|way| way.takes(method)) else {
            taken.extend(found.value.iter().map(|way| way.method.clone()));
            if taken.contains("GET") {
                taken.insert("HEAD".to_owned());
            }
            continue;
        };
        let texts = found.params.iter().map(|(_, text)| text.to_owned());
        return Some(Target {
            service: way.offer.service.clone(),
            endpoint: way.endpoint.clone(),
            captured: way.fields.iter().cloned().zip(texts).collect(),
            offer: Some(way.offer.clone()),
        });
    }
    None
}

impl Way {
    fn of(endpoint: &str, route: &Route, offer: &Shared) -> Self {
        let field = |segment| match segment {
            Segment::One(name) | Segment::Rest(name) => Some(name.to_owned()),
            Segment::Literal(_) => None,
        };
        Way {
            method: route.method.clone(),
            fields: route.segments().filter_map(field).collect(),
            endpoint: endpoint.to_owned(),
            offer: offer.clone(),
        }
    }

    fn takes(&self, method: &Method) -> bool {
        self.method == ROUTE_METHOD_ANY || self.method == method.as_str()
    }
}

/// The path of a route as the radix tree has it: fields are numbered, since two routes may name the same one
/// differently.
fn pattern(route: &Route) -> String {
    let mut pattern = String::with_capacity(route.path.len());
    for (number, segment) in route.segments().enumerate() {
        match segment {
            Segment::Literal(text) => write!(pattern, "/{text}"),
            Segment::One(_) => write!(pattern, "/{{f{number}}}"),
            Segment::Rest(_) => write!(pattern, "/{{*f{number}}}"),
        }
        .expect("a String takes every write");
    }
    if pattern.is_empty() {
        pattern.push('/');
    }
    pattern
}

fn nothing(path: &Path<'_>) -> Refusal {
    let shown: String = path.segments().iter().map(|segment| format!("/{segment}")).collect();
    let shown = if shown.is_empty() { "/".to_owned() } else { shown };
    Refusal::not_found(format!("nothing is at {shown:?}"))
        .help("call a service as /SERVICE, /SERVICE/METHOD or /SERVICE/HANDLER/METHOD")
        .help("`micro-node services` and /openapi.json list them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::{Instance, NodeId};

    /// Services, each with its endpoints and its explicit routes as `ENDPOINT METHOD HOST/PATH`.
    fn routes(services: &[(&str, &[&str], &[&str])]) -> Routes {
        let instances = services.iter().enumerate().map(|(id, (service, endpoints, routes))| {
            let route = |text: &&str| {
                let mut words = text.split(' ');
                let mut word = || words.next().expect("three words").to_owned();
                let (endpoint, method, place) = (word(), word(), word());
                let (host, path) = place.split_at(place.find('/').expect("a path"));
                (endpoint, Route { method, path: path.to_owned(), host: host.to_owned() })
            };
            Instance {
                id: id as u64,
                namespace: Namespace::default(),
                service: service.parse().expect("a good name"),
                version: "1".to_owned(),
                node: NodeId(1),
                endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(),
                routes: routes.iter().map(route).collect(),
                streams: Vec::new(),
                metadata: std::collections::BTreeMap::new(),
                health: micro_sdk::wire::Health::Passing,
            }
        });
        Routes::compile(&registry::Table::of(instances), &Routes::default())
    }

    /// What `METHOD HOST/PATH` is for, as `SERVICE ENDPOINT field=text`; else the status.
    fn find(routes: &Routes, request: &str) -> String {
        let (method, place) = request.split_once(' ').expect("two words");
        let (host, path) = place.split_at(place.find('/').expect("a path"));
        let path = Path::parse(path).expect("a good path");
        match routes.find(&Namespace::default(), host, &method.parse().expect("a method"), &path) {
            Ok(Target { service, endpoint, captured, .. }) => {
                let fields: String = captured.iter().map(|(name, text)| format!(" {name}={text}")).collect();
                format!("{service} {endpoint}{fields}")
            }
            Err(refusal) => {
                let response = refusal.into_response(micro_sdk::wire::TraceId(1));
                let allow = response.headers().get("allow").map_or("", |allow| allow.to_str().expect("text"));
                format!("{} {allow}", response.status().as_u16()).trim().to_owned()
            }
        }
    }

    #[test]
    fn explicit_routes_come_first_and_the_plainest_of_them() {
        let routes = routes(&[
            (
                "shop",
                &["Shop.get", "Shop.list", "Shop.all", "Shop.call"],
                &[
                    "Shop.get GET /shop/carts/{id}",
                    "Shop.list GET /shop/carts/open",
                    "Shop.all GET /shop/{path=**}",
                    "Shop.get PUT /shop/carts/{cart}",
                ],
            ),
            (
                "till",
                &["Till.open", "Till.get"],
                &["Till.open GET till.example/{x}", "Till.get GET /tills/{a}/{b}"],
            ),
            ("v1-foo", &["Foo.bar"], &[]),
            ("v1", &["foo.bar", "foo.baz"], &[]),
            ("app", &["/", "App.call"], &["/ GET app.example/{rest=**}"]),
            (
                "site",
                &["/"],
                &["/ * /docs", "/ * /docs/{rest=**}", "/ * site.example/", "/ * site.example/{rest=**}"],
            ),
        ]);
        for (request, expected) in [
            ("GET /shop/carts/open", "shop Shop.list"),
            ("GET /shop/carts/7", "shop Shop.get id=7"),
            ("PUT /shop/carts/7", "shop Shop.get cart=7"),
            ("GET /shop/carts/%C3%BC", "shop Shop.get id=ü"),
            ("GET /shop/x/y/z", "shop Shop.all path=x/y/z"),
            ("POST /shop/list", "shop Shop.list"),
            ("GET till.example/7", "till Till.open x=7"),
            ("GET other.example/tills/1/2", "till Till.get a=1 b=2"),
            ("GET till.example/tills/1/2", "till Till.get a=1 b=2"),
            ("PATCH /shop/carts/7", "405 GET, HEAD, PUT"),
            ("DELETE /shop/list", "405 GET, HEAD, POST"),
            ("POST /shop", "shop Shop.call"),
            ("POST /till/get", "till Till.get"),
            ("POST /v1/foo/bar", "v1-foo Foo.bar"),
            ("POST /v1/foo/baz", "v1 foo.baz"),
            ("POST /v1/foo/nothing", "v1 foo.nothing"),
            ("GET /nobody", "nobody call"),
            ("PUT /nobody/x", "nobody x"),
            ("GET /shop/nothing", "shop Shop.all path=nothing"),
            ("POST /shop/nothing", "405 GET, HEAD"),
            ("PATCH /app/any/thing/at/all", "app /"),
            ("HEAD /app", "app /"),
            ("POST /app", "app App.call"),
            ("GET app.example/x/y", "app / rest=x/y"),
            ("GET app.example/till/get", "till Till.get"),
            ("GET app.example/till/gone", "till gone"),
            ("GET app.example/tills/1/2", "till Till.get a=1 b=2"),
            ("GET /", "404"),
            ("GET /UPPER/call", "404"),
            ("GET /docs", "site /"),
            ("HEAD /docs/a/b.css", "site / rest=a/b.css"),
            ("OPTIONS /docs/a", "site / rest=a"),
            ("GET site.example/", "site /"),
            ("PUT site.example/x/y", "site / rest=x/y"),
            ("GET site.example/till/get", "till Till.get"),
            ("GET site.example/shop/carts/7", "shop Shop.get id=7"),
        ] {
            assert_eq!(find(&routes, request), expected, "{request}");
        }
    }

    #[test]
    fn of_two_services_with_the_same_route_the_first_by_name_has_it() {
        let routes =
            routes(&[("b", &["B.x"], &["B.x GET /same/{id}"]), ("a", &["A.x"], &["A.x GET /same/{other}"])]);
        assert_eq!(find(&routes, "GET /same/1"), "a A.x other=1");
    }

    #[test]
    fn what_was_found_out_is_kept_while_instances_are_the_same() {
        let instance = |id, service: &str| Instance {
            id,
            namespace: Namespace::default(),
            service: service.parse().expect("a good name"),
            version: "1".to_owned(),
            node: NodeId(1),
            endpoints: vec!["A.x".to_owned()],
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            health: micro_sdk::wire::Health::Passing,
        };
        let latest = Latest::default();
        let table = |instances: Vec<Instance>| Arc::new(registry::Table::of(instances));
        let first = latest.of(&table(vec![instance(1, "a"), instance(2, "b")]));
        let same = latest.of(&table(vec![instance(1, "a"), instance(2, "b")]));
        assert!(Arc::ptr_eq(&first, &same));
        let other = latest.of(&table(vec![instance(1, "a"), instance(3, "b")]));
        let (before, after) = (first.offers(&Namespace::default()), other.offers(&Namespace::default()));
        assert!(Arc::ptr_eq(&before[0], &after[0]) && !Arc::ptr_eq(&before[1], &after[1]));
    }
}
