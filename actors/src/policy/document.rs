//! What is to be done with the calls of one service, as people write it.

use super::{
    node_pattern::NodePattern,
    span,
    star::{is_pattern, means},
    sticky::Sticky,
    version::VersionPattern,
};
use crate::kit::RAW;
use micro_sdk::wire::{Code, Fault, metadata};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The longest document: a page of text, which every node keeps for every service that has one.
pub const POLICY_BYTES_MAX: usize = 16 << 10;
/// Attempts of one call at most: more help nobody, and are many times the load.
pub const ATTEMPTS_MAX: u8 = 10;
/// Endpoints and routes of one document at most.
const LIST_MAX: usize = 64;
/// The longest time in a document: a call takes less.
const TIME_MAX: Duration = Duration::from_secs(600);

/// How a service is called. What a document leaves out is as here, which is also what counts for a service without one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How long a call may take that asks for more, or for nothing. Streams may go on.
    #[serde(with = "span::maybe", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// The endpoints that may be done twice, by full name or with a star at the end: only they are tried again when
    /// nobody knows what came of the first attempt, and only they are hedged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idempotent: Vec<String>,
    /// What is tried again.
    pub retry: RetryPolicy,
    /// What is asked of a second instance when the first takes long.
    pub hedge: HedgePolicy,
    /// When an instance gets no calls for a while.
    pub breaker: BreakerPolicy,
    /// How much an instance works at once.
    pub limit: LimitPolicy,
    /// How far calls go.
    pub locality: LocalityPolicy,
    /// Which instances get which share of the calls. None: all are alike.
    #[serde(rename = "route", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<WeightedRoute>,
    /// What calls have in common that go to the same instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
}

/// What is tried again: what certainly did nothing, and what may be done twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Attempts of one call, the first one included: 1 is none again.
    pub attempts: u8,
    /// The share of a caller's calls that may be tried again in the long run, from 0 to 1.
    pub budget: f64,
    /// How many may be tried again at once.
    pub burst: u32,
    /// The pause before the second attempt at most. It doubles with each, and a random part of it is waited.
    #[serde(with = "span")]
    pub backoff: Duration,
    /// What it doubles up to.
    #[serde(with = "span")]
    pub backoff_max: Duration,
}

impl Default for RetryPolicy {
    /// A fifth more load at most, which an instance that is short of room survives (Finagle's default, and Envoy's).
    fn default() -> Self {
        let (backoff, backoff_max) = (Duration::from_millis(25), Duration::from_secs(1));
        RetryPolicy { attempts: 3, budget: 0.2, burst: 10, backoff, backoff_max }
    }
}

/// A second attempt beside a first that takes long (J. Dean, L. A. Barroso, "The Tail at Scale", 2013). The first answer
/// counts. It costs as a retry does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HedgePolicy {
    /// Whether it is done, for endpoints that may be done twice.
    pub enabled: bool,
    /// The share of calls that are answered sooner than a second is asked, from 0.5 to 0.999.
    pub quantile: f64,
    /// A second is never asked sooner.
    #[serde(with = "span")]
    pub least: Duration,
}

impl Default for HedgePolicy {
    /// Behind the 95th of a hundred: five in a hundred are asked twice, and the slowest of them are cut off.
    fn default() -> Self {
        HedgePolicy { enabled: true, quantile: 0.95, least: Duration::from_millis(1) }
    }
}

/// When an instance gets no calls for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerPolicy {
    /// So many calls lost one after the other open its circuit: unreachable, broken off, or not answered in time.
    pub failures: u32,
    /// For how long at first. One call then tries it.
    #[serde(with = "span")]
    pub open: Duration,
    /// Up to how long it doubles each time that this fails.
    #[serde(with = "span")]
    pub open_max: Duration,
    /// The share of its calls that an instance may fail, where the others fail less than half as many, from 0 to 1.
    pub failing: f64,
    /// So many calls in the last seconds make that a judgement.
    pub least_calls: u32,
    /// The share of the instances that may be passed over for failing, from 0 to 1: if more fail, it is not they.
    pub ejected: f64,
}

impl Default for BreakerPolicy {
    /// Envoy's: five in a row; half of the calls; never more than half of the instances.
    fn default() -> Self {
        BreakerPolicy {
            failures: 5,
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            failing: 0.5,
            least_calls: 20,
            ejected: 0.5,
        }
    }
}

/// How much an instance works at once. The node that it is attached to finds out how much is good for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitPolicy {
    /// Calls at most. The instance may have asked for less.
    pub most: u32,
    /// Calls that it always may have.
    pub least: u32,
    /// Whether it is given fewer when its answers become slower by what waits in it.
    pub adaptive: bool,
}

impl Default for LimitPolicy {
    fn default() -> Self {
        LimitPolicy { most: 4096, least: 16, adaptive: true }
    }
}

/// How far calls go: to this node, this zone, this region, this cloud, the others; no farther than there is somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalityPolicy {
    /// Whether they stay near at all.
    pub enabled: bool,
    /// So many times slower than one farther away has the near one to be before calls spill over; at least 1.
    pub spill: f64,
    /// And by so much.
    #[serde(with = "span")]
    pub least: Duration,
}

impl Default for LocalityPolicy {
    /// Thrice, and by more than the network between two zones takes: near is cheap, and does not flutter.
    fn default() -> Self {
        LocalityPolicy { enabled: true, spill: 3.0, least: Duration::from_millis(5) }
    }
}

/// A share of the calls, and the instances that it goes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedRoute {
    /// The share, as a part of the sum of all weights.
    pub weight: u32,
    /// Their version: as it is, or with a star at the end. None: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionPattern>,
    /// What their metadata says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What the nodes are like that they are attached to. None: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodePattern>,
}

impl Policy {
    /// Reads a document in JSON, and checks it.
    ///
    /// # Errors
    /// [`Code::Usage`] with the path of what is wrong.
    pub fn parse(json: &str) -> Result<Self, Fault> {
        if json.len() > POLICY_BYTES_MAX {
            let length = json.len();
            return Err(wrong("", format!("it has {length} bytes, and {POLICY_BYTES_MAX} is the limit")));
        }
        // To serde, a list could be a struct too.
        if !json.trim_start().starts_with('{') {
            return Err(wrong("", "it has to be an object with the fields that are set".to_owned()));
        }
        let deserializer = &mut serde_json::Deserializer::from_str(json);
        let policy: Policy = serde_path_to_error::deserialize(deserializer)
            .map_err(|error| wrong(&error.path().to_string(), reason(&error.into_inner())))?;
        policy.check()?;
        Ok(policy)
    }

    /// Whether an endpoint may be done twice.
    pub fn is_idempotent(&self, endpoint: &str) -> bool {
        // What takes HTTP as it is has one endpoint, and each path is of it.
        let raw = |pattern: &str| pattern == RAW && endpoint.starts_with(RAW);
        self.idempotent.iter().any(|pattern| means(pattern, endpoint) || raw(pattern))
    }

    /// Those that it says may be done twice, and that mean none of these endpoints.
    pub fn idempotent_beyond<'p>(&'p self, endpoints: &[&str]) -> Vec<&'p str> {
        // Its paths are what a service has that takes HTTP as it is.
        let raw = |pattern: &str| pattern.starts_with(RAW) && endpoints.contains(&RAW);
        let known = |pattern: &str| raw(pattern) || endpoints.iter().any(|endpoint| means(pattern, endpoint));
        self.idempotent.iter().map(String::as_str).filter(|pattern| !known(pattern)).collect()
    }

    fn check(&self) -> Result<(), Fault> {
        let Policy { timeout, idempotent, retry, hedge, breaker, limit, locality, routes, sticky } = self;
        let within = |path: &str, is: f64, least: f64, most: f64| match (least..=most).contains(&is) {
            true => Ok(()),
            false => Err(wrong(path, format!("{is} is not between {least} and {most}"))),
        };
        let time = |path: &str, is: Duration| match !is.is_zero() && is <= TIME_MAX {
            true => Ok(()),
            false => Err(wrong(path, "it has to be more than nothing, and 10m at most".to_owned())),
        };
        timeout.map_or(Ok(()), |is| time("timeout", is))?;
        within("retry.attempts", retry.attempts.into(), 1.0, ATTEMPTS_MAX.into())?;
        within("retry.budget", retry.budget, 0.0, 1.0)?;
        within("retry.burst", retry.burst.into(), 0.0, 1000.0)?;
        time("retry.backoff", retry.backoff)?;
        time("retry.backoff_max", retry.backoff_max)?;
        let up_to = |path: &str, is: Duration, most: Duration| match is <= most {
            true => Ok(()),
            false => {
                Err(wrong(path, format!("{is:?} is longer than {path}_max, which is {most:?}: set both")))
            }
        };
        up_to("retry.backoff", retry.backoff, retry.backoff_max)?;
        within("hedge.quantile", hedge.quantile, 0.5, 0.999)?;
        time("hedge.least", hedge.least)?;
        within("breaker.failures", breaker.failures.into(), 1.0, 1000.0)?;
        time("breaker.open", breaker.open)?;
        time("breaker.open_max", breaker.open_max)?;
        up_to("breaker.open", breaker.open, breaker.open_max)?;
        within("breaker.failing", breaker.failing, 0.01, 1.0)?;
        within("breaker.least_calls", breaker.least_calls.into(), 1.0, 1e6)?;
        within("breaker.ejected", breaker.ejected, 0.0, 1.0)?;
        within("limit.most", limit.most.into(), 1.0, 65_536.0)?;
        within("limit.least", limit.least.into(), 1.0, limit.most.into())?;
        within("locality.spill", locality.spill, 1.0, 1e6)?;
        time("locality.least", locality.least)?;
        for (path, length) in [("idempotent", idempotent.len()), ("route", routes.len())] {
            within(path, length as f64, 0.0, LIST_MAX as f64)?;
        }
        if !routes.is_empty() && routes.iter().all(|route| route.weight == 0) {
            return Err(wrong("route", "all weights are 0: no call could go anywhere".to_owned()));
        }
        for (place, route) in routes.iter().enumerate() {
            metadata::check(&route.labels)
                .map_err(|error| wrong(&format!("route[{place}].labels"), error.to_string()))?;
            if route.node.as_ref().is_some_and(NodePattern::is_empty) {
                let why = "it says nothing of nodes: cloud, region, zone or name are to be said";
                return Err(wrong(&format!("route[{place}].node"), why.to_owned()));
            }
        }
        for (place, name) in idempotent.iter().enumerate() {
            let nameless = |sign: char| sign.is_whitespace() || sign.is_control();
            if !is_pattern(name) || name.contains(nameless) {
                let path = format!("idempotent[{place}]");
                let why = format!("{name:?} is no endpoint: it has no spaces, and a star at the end alone");
                return Err(wrong(&path, why));
            }
        }
        sticky.as_ref().map_or(Ok(()), Sticky::check)
    }
}

/// What serde says, without the place in a text that nobody has written so, and without Rust's names of numbers.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let bare = |(rust, words): (&str, String)| Some(format!("{}{words}", text.strip_suffix(rust)?));
    let up_to = |most: u32| format!("a number from 0 to {most}");
    // The only number that small.
    let attempts = format!("a number from 1 to {ATTEMPTS_MAX}");
    [("u8", attempts), ("u32", up_to(u32::MAX)), ("f64", "a number".to_owned())]
        .into_iter()
        .find_map(bare)
        .unwrap_or_else(|| text.to_owned())
}

fn wrong(path: &str, why: String) -> Fault {
    let at = if path.is_empty() || path == "." { String::new() } else { format!(" at {path}") };
    Fault::new(Code::Usage, format!("the policy is wrong{at}: {why}"))
        .help("`micro-node policy --help` shows a policy with all that can be set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_for_a_service_without_a_document() {
        assert_eq!(Policy::parse("{}"), Ok(Policy::default()));
        let policy = Policy::parse(r#"{"timeout": "2s", "retry": {"attempts": 5}}"#).expect("a good policy");
        assert_eq!(
            (policy.timeout, policy.retry.attempts, policy.retry.burst),
            (Some(Duration::from_secs(2)), 5, 10)
        );
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let text = r#"{"timeout": "1m30s", "idempotent": ["Cart.list", "Stock.*"], "sticky": "header:user-id",
            "route": [{"weight": 95, "version": "1.*"}, {"weight": 5, "labels": {"track": "canary"}},
                {"weight": 1, "node": {"region": "eu-*", "zone": "a"}}]}"#;
        let policy = Policy::parse(text).expect("a good policy");
        let written = serde_json::to_string(&policy).expect("a policy is JSON");
        assert_eq!(Policy::parse(&written), Ok(policy.clone()));
        assert!(policy.is_idempotent("Stock.count") && !policy.is_idempotent("Cart.add"));
        let raw = Policy::parse(r#"{"idempotent": ["/"]}"#).expect("a good policy");
        assert!(raw.is_idempotent("/shop/carts") && !raw.is_idempotent("Cart.list"));
    }

    #[test]
    fn what_no_endpoint_is_called_is_found() {
        let policy = Policy::parse(r#"{"idempotent": ["Cart.list", "Cart.lst", "Stock.*", "/carts"]}"#);
        let policy = policy.expect("a good policy");
        assert_eq!(policy.idempotent_beyond(&["Cart.list", "Cart.add"]), ["Cart.lst", "Stock.*", "/carts"]);
        assert_eq!(policy.idempotent_beyond(&["/"]), ["Cart.list", "Cart.lst", "Stock.*"]);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (text, at) in [
            (r#"{"retrys": {}}"#, "unknown field `retrys`"),
            (r#"{"retry": {"attempts": 0}}"#, "at retry.attempts: 0 is not between 1 and 10"),
            (r#"{"retry": {"backoff": "soon"}}"#, "at retry.backoff:"),
            (
                r#"{"retry": {"backoff": "2s"}}"#,
                "at retry.backoff: 2s is longer than retry.backoff_max, which is 1s",
            ),
            (
                r#"{"retry": {"attempts": 300}}"#,
                "at retry.attempts: invalid value: integer `300`, expected a number from 1 to 10",
            ),
            (r#"{"retry": {"budget": 2}}"#, "at retry.budget: 2 is not between 0 and 1"),
            (r#"{"breaker": {"open": "10m", "open_max": "1s"}}"#, "at breaker.open: 600s is longer than"),
            (r#"{"hedge": {"quantile": 0.2}}"#, "at hedge.quantile"),
            (r#"{"limit": {"most": 4, "least": 8}}"#, "at limit.least: 8 is not between 1 and 4"),
            (r#"{"route": [{"weight": 0}]}"#, "all weights are 0"),
            (r#"{"route": [{"weight": -1}]}"#, "at route[0].weight"),
            (r#"{"route": [{"weight": 1, "node": {}}]}"#, "at route[0].node: it says nothing"),
            (
                r#"{"route": [{"weight": 1}, {"weight": 1, "node": {"zone": "a*b"}}]}"#,
                "at route[1].node.zone:",
            ),
            (r#"{"route": [{"weight": 1, "node": {"cloud": "a b"}}]}"#, "at route[0].node.cloud:"),
            (r#"{"route": [{"weight": 1, "node": {"place": "a"}}]}"#, "unknown field `place`"),
            (r#"{"idempotent": ["*.list"]}"#, "at idempotent[0]"),
            (r#"{"idempotent": ["Cart list"]}"#, "at idempotent[0]"),
            (r#"{"route": [{"weight": 1, "version": "["}]}"#, r#"at route[0].version: "[" is no version"#),
            (r#"{"route": [{"weight": 1, "version": ">=1.2"}]}"#, "ranges and regular expressions are not"),
            (r#"{"route": [{"weight": 1, "labels": {"a b": "c"}}]}"#, "at route[0].labels:"),
            (r#"{"route": [{"weight": 1, "labels": {"a": "b\nc"}}]}"#, "at route[0].labels:"),
            (r#"{"sticky": "cookie"}"#, "at sticky"),
            (r#"{"timeout": "0s"}"#, "at timeout"),
            ("[]", "the policy is wrong"),
        ] {
            let fault = Policy::parse(text).expect_err(text);
            assert_eq!(fault.code, Code::Usage);
            assert!(fault.message.contains(at), "{text}: {}", fault.message);
        }
    }
}
