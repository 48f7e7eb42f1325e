//! What is asked for, as rules name it: `type:name:endpoint`.
//!
//! | type | name | endpoints |
//! |---|---|---|
//! | `service` | of a person's service | `Handler.method` |
//! | `store` | `database/table` | `read`, `write` |
//! | `config` | the path in the tree | `read`, `write`, `secrets` |
//! | `blob` | of the blob | `read`, `write` |
//! | `registry` | of a service | `read`, `write` |
//! | `network`, `auth` | what of it | `read`, `write` |
//!
//! A method of a service may be written without its handler in a rule.
//!
//! What belongs to the mesh as a whole, such as leases, members and keys, is judged as of the namespace `default`,
//! whose accounts run the mesh.

use crate::{auth::glob::Glob, spelling::nearest};
use micro_sdk::wire::{Code, Fault, Namespace, ServiceName};
use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

/// The longest part of a resource in a rule: the longest path of the configuration and more.
const PART_BYTES_MAX: usize = 512;
/// Reads.
pub const READ: &str = "read";
/// Writes.
pub const WRITE: &str = "write";
/// Reads secrets as they are.
pub const SECRETS: &str = "secrets";

/// The types that there are, and the endpoints of each; those of services are what people make them.
const TYPES: [(&str, &[&str]); 7] = [
    ("service", &[]),
    ("store", &[READ, WRITE]),
    ("config", &[READ, WRITE, SECRETS]),
    ("blob", &[READ, WRITE]),
    ("registry", &[READ, WRITE]),
    ("network", &[READ, WRITE]),
    ("auth", &[READ, WRITE]),
];

/// The names that there are of the types which are not people's to name.
pub(crate) const NAMES: [(&str, &[&str]); 2] = [
    ("network", &["audit", "authority", "backup", "members", "settings", "status", "tokens"]),
    ("auth", &["accounts", "keys", "rules"]),
];

/// The name of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// As it is.
    Whole(&'a str),
    /// Two names with a slash between them.
    Pair(&'a str, &'a str),
}

impl<'a> Name<'a> {
    /// As one text.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Name::Whole(text) => text.into(),
            Name::Pair(first, second) => [first, "/", second].concat().into(),
        }
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Whole(text) => f.write_str(text),
            Name::Pair(first, second) => write!(f, "{first}/{second}"),
        }
    }
}

/// What is asked for. Making one allocates nothing: those who may do everything are not kept waiting.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// The tenant that it belongs to; none for what belongs to the mesh as a whole.
    pub namespace: Option<&'a Namespace>,
    /// Its type.
    pub kind: &'a str,
    /// Its name.
    pub name: Name<'a>,
    /// What is done with it.
    pub endpoint: &'a str,
    /// Whatever lies below it is meant too: all whose names begin with its name and this text. So a rule that denies a
    /// part denies the whole to whoever asks for it at once.
    pub below: Option<&'a str>,
}

impl<'a> Resource<'a> {
    /// One that belongs to a tenant.
    pub fn new(namespace: &'a Namespace, kind: &'a str, name: Name<'a>, endpoint: &'a str) -> Self {
        Resource { namespace: Some(namespace), kind, name, endpoint, below: None }
    }

    /// One that belongs to the mesh as a whole.
    pub const fn of_mesh(kind: &'a str, name: &'a str, endpoint: &'a str) -> Self {
        Resource { namespace: None, kind, name: Name::Whole(name), endpoint, below: None }
    }

    /// One that is called by one name.
    pub fn of(namespace: &'a Namespace, kind: &'a str, name: &'a str, endpoint: &'a str) -> Self {
        Resource::new(namespace, kind, Name::Whole(name), endpoint)
    }

    /// One that belongs to the same tenant as another.
    #[must_use]
    pub fn beside(&self, kind: &'a str, name: &'a str, endpoint: &'a str) -> Self {
        Resource { kind, name: Name::Whole(name), endpoint, below: None, ..*self }
    }

    /// One as a person writes it: `type:name:endpoint`.
    ///
    /// # Errors
    /// [`Code::Usage`] if it has not three parts, or is of no type or endpoint that there is.
    pub fn parse_known(namespace: &'a Namespace, text: &'a str) -> Result<Self, Fault> {
        let [kind, name, endpoint] = parts(text)?;
        text.parse::<Pattern>()?.check_known()?;
        let resource = Resource::of(namespace, kind, name, endpoint);
        // Whoever reads or writes at a path does so to all below it.
        Ok(if kind == "config" { resource.and_below(".") } else { resource })
    }

    /// An endpoint of a person's service.
    pub fn of_service(namespace: &'a Namespace, service: &'a str, endpoint: &'a str) -> Self {
        Resource::new(namespace, "service", Name::Whole(service), endpoint)
    }

    /// The same with all that lies below it behind `separator`.
    #[must_use]
    pub fn and_below(self, separator: &'a str) -> Self {
        Resource { below: Some(separator), ..self }
    }

    /// As it is written where an account of `own` asks for it, with the tenant if that is another.
    pub(crate) fn as_asked_from(&self, own: &Namespace) -> String {
        let Resource { kind, name, endpoint, .. } = self;
        match self.tenant() {
            tenant if tenant == own.as_str() => format!("{kind}:{name}:{endpoint}"),
            tenant => format!("{kind}:{name}:{endpoint} --namespace {tenant}"),
        }
    }

    /// Whether it is the one of this name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        matches!(self.name, Name::Whole(own) if own == name)
    }

    /// The tenant in whose rules it is looked up.
    pub fn tenant(&self) -> &str {
        self.namespace.map_or("default", Namespace::as_str)
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.name, self.endpoint)?;
        match self.namespace {
            Some(namespace) if *namespace != Namespace::default() => write!(f, " of {namespace}"),
            _ => Ok(()),
        }
    }
}

/// Which resources a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub kind: Glob,
    pub name: Glob,
    pub endpoint: Glob,
}

impl Pattern {
    /// Refuses what is about nothing that there is: a rule that was meant to deny something, and says it wrong, denies
    /// nothing.
    ///
    /// # Errors
    /// [`Code::Usage`] for another type, an endpoint that the type has not, or a name that nothing of it can have.
    pub fn check_known(&self) -> Result<(), Fault> {
        let meant: Vec<_> = TYPES.iter().filter(|(kind, _)| self.kind.matches(kind)).collect();
        if meant.is_empty() {
            let all = TYPES.map(|(kind, _)| kind).join(", ");
            let unknown = self.kind.as_str();
            let fault = Fault::new(Code::Usage, format!("there is no resource of type {unknown:?}"));
            let fault = match nearest(unknown, TYPES.map(|(kind, _)| kind)) {
                Some(kind) => fault.help(format!("did you mean `{kind}`?")),
                None => fault,
            };
            return Err(fault.help(format!("the types are {all}")));
        }
        let has = |endpoints: &[&str]| endpoints.iter().any(|endpoint| self.endpoint.matches(endpoint));
        if meant.iter().any(|(_, endpoints)| endpoints.is_empty() || has(endpoints)) {
            return self.check_name();
        }
        let message = format!("no {} has an endpoint {:?}", self.kind, self.endpoint.as_str());
        let all: BTreeSet<&str> = meant.iter().flat_map(|(_, endpoints)| endpoints.iter().copied()).collect();
        let all: Vec<&str> = all.into_iter().collect();
        Err(Fault::new(Code::Usage, message).help(format!("the endpoints are {}", all.join(", "))))
    }

    fn check_name(&self) -> Result<(), Fault> {
        let (kind, name) = (self.kind.as_str(), self.name.as_str());
        if let Some((_, names)) = NAMES.iter().find(|(named, _)| *named == kind) {
            if names.iter().any(|known| self.name.matches(known)) {
                return Ok(());
            }
            let fault = Fault::new(Code::Usage, format!("there is no {kind} of the name {name:?}"));
            let fault = match nearest(name, names.iter().copied()) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault,
            };
            return Err(fault.help(format!("there are {}", names.join(", "))));
        }
        // The list of all services has the empty name.
        if kind == "service" || (kind == "registry" && !name.is_empty()) {
            // What a star stands for can be made up; what is around it can't.
            let named = name.replace('*', "a").parse::<ServiceName>();
            named.map_err(|error| {
                Fault::new(Code::Usage, format!("no service can have the name {name:?}: {error}"))
            })?;
        }
        Ok(())
    }

    /// Whether it is about this resource, whose name is given as one text. `deny` says that it takes away: then it is
    /// about what has such a part.
    pub fn matches(&self, resource: &Resource<'_>, name: &str, deny: bool) -> bool {
        self.has_endpoint(resource)
            && self.kind.matches(resource.kind)
            && (self.name.matches(name) || (deny && self.has_part(resource, name)))
    }

    /// Whether it is about what is done. A method of a service may be written without its handler, and is then meant
    /// whichever handler has it: else a rule that denies it would deny nothing.
    pub fn has_endpoint(&self, resource: &Resource<'_>) -> bool {
        let whole = resource.endpoint;
        let bare = resource.kind == "service" && !self.endpoint.as_str().contains(['.', '/']);
        let method = whole.rsplit_once('.').filter(|_| bare && !whole.starts_with('/'));
        self.endpoint.matches(whole) || method.is_some_and(|(_, method)| self.endpoint.matches(method))
    }

    fn has_part(&self, resource: &Resource<'_>, name: &str) -> bool {
        match resource.below {
            // The root of a tree has everything below it.
            Some(_) if name.is_empty() => true,
            Some(separator) => self.name.reaches(&[name, separator].concat()),
            None => false,
        }
    }
}

/// A resource as a person writes it, of three parts with colons between them. A name may hold colons itself.
pub(crate) fn parts(text: &str) -> Result<[&str; 3], Fault> {
    let refused = |why: String| {
        Fault::new(Code::Usage, why)
            .help("write it as TYPE:NAME:ENDPOINT, such as service:shop:* or store:crm/people:read")
    };
    let split = text.split_once(':').and_then(|(kind, rest)| {
        let (name, endpoint) = rest.rsplit_once(':')?;
        Some([kind, name, endpoint])
    });
    let parts = split.ok_or_else(|| refused(format!("{text:?} is no resource: it has no three parts")))?;
    if let Some(part) = parts.iter().find(|part| part.len() > PART_BYTES_MAX) {
        let message = format!("a part of {} bytes is longer than the limit of {PART_BYTES_MAX}", part.len());
        return Err(refused(message));
    }
    if parts[0].is_empty() || parts[2].is_empty() {
        return Err(refused(format!("{text:?} is no resource: its type or endpoint is empty")));
    }
    Ok(parts)
}

impl FromStr for Pattern {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let [kind, name, endpoint] = parts(text)?.map(Glob::new);
        Ok(Pattern { kind, name, endpoint })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.name, self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_three_parts() {
        let pattern: Pattern = "store:crm/*:read".parse().expect("a good resource");
        assert_eq!(pattern.to_string(), "store:crm/*:read");
        let colons: Pattern = "blob:a:b:c:read".parse().expect("names hold colons");
        assert_eq!((colons.name.as_str(), colons.endpoint.as_str()), ("a:b:c", "read"));
        for bad in ["", "service", "service:x", ":x:y", "x:y:", &format!("a:{}:b", "x".repeat(600))] {
            assert!(bad.parse::<Pattern>().is_err_and(|fault| fault.code == Code::Usage), "{bad}");
        }
    }

    #[test]
    fn a_method_is_meant_without_its_handler_too() {
        let namespace = Namespace::default();
        let matches = |pattern: &str, endpoint: &str| {
            let pattern: Pattern = pattern.parse().expect("a good resource");
            let resource = Resource::of_service(&namespace, "shop", endpoint);
            pattern.matches(&resource, "shop", false)
        };
        for (pattern, endpoint, expected) in [
            ("service:shop:Wipe", "Cart.Wipe", true),
            ("service:shop:Wipe", "acme.v1.Cart.Wipe", true),
            ("service:shop:Wi*", "Cart.Wipe", true),
            ("service:shop:Wipe", "Wipe", true),
            ("service:shop:Stock.Wipe", "Cart.Wipe", false),
            ("service:shop:Cart", "Cart.Wipe", false),
            ("service:shop:txt", "/shop/a.txt", false),
            ("service:shop:*", "/shop/a.txt", true),
        ] {
            assert_eq!(matches(pattern, endpoint), expected, "{pattern} {endpoint}");
        }
    }

    #[test]
    fn a_rule_is_about_what_there_is() {
        let refused = |text: &str| {
            let pattern: Pattern = text.parse().expect("it has three parts");
            pattern.check_known().err().map(|fault| fault.help[0].clone())
        };
        for good in [
            "*:*:*",
            "service:shop:Cart.add",
            "store:crm/*:read",
            "config:a:s*",
            "s*:x:anything",
            "auth:rules:*",
            "auth:r*:write",
            "service:shop-*:Cart.add",
            "registry::read",
        ] {
            assert_eq!(refused(good), None, "{good}");
        }
        for near in ["stor:crm/*:read", "storre:crm/*:read", "stores:x:read", "stare:x:read"] {
            assert_eq!(refused(near).as_deref(), Some("did you mean `store`?"), "{near}");
        }
        for (wrong, help) in [
            ("auth:acounts:read", "did you mean `accounts`?"),
            ("network:memberz:read", "did you mean `members`?"),
            ("auth:x*:read", "there are accounts, keys, rules"),
        ] {
            assert_eq!(refused(wrong).as_deref(), Some(help), "{wrong}");
        }
        for never in ["service:HELLO:*", "service::*", "registry:a b:read", "service:X*:call"] {
            let pattern: Pattern = never.parse().expect("it has three parts");
            assert!(pattern.check_known().is_err_and(|fault| fault.code == Code::Usage), "{never}");
        }
        let home = Namespace::default();
        assert!(Resource::parse_known(&home, "storre:t:x").is_err_and(|fault| fault.code == Code::Usage));
        assert_eq!(
            refused("table:crm/*:read").as_deref(),
            Some("the types are service, store, config, blob, registry, network, auth")
        );
        assert_eq!(refused("store:crm/*:reed").as_deref(), Some("the endpoints are read, write"));
        assert_eq!(refused("config:a:raed").as_deref(), Some("the endpoints are read, secrets, write"));
    }

    #[test]
    fn what_takes_a_part_away_takes_the_whole_away() {
        let namespace = Namespace::default();
        let all_of = |name| Resource::new(&namespace, "config", Name::Whole(name), READ).and_below(".");
        let key: Pattern = "config:shop.key:read".parse().expect("a good resource");
        assert!(key.matches(&all_of("shop"), "shop", true));
        assert!(key.matches(&all_of(""), "", true));
        assert!(!key.matches(&all_of("shop"), "shop", false), "a grant of a part is none of the whole");
        assert!(!key.matches(&all_of("shopping"), "shopping", true));
        assert!(!key.matches(&all_of("shop.limits"), "shop.limits", true));
    }
}
