//! How much callers may ask for before anything is done for them: connections and requests of an address, requests of
//! an account, logins.
//!
//! | who | what counts | usually |
//! |---|---|---|
//! | who is not known | requests of their address | 200 a second for other hosts, without a bound for this one |
//! | an account | its requests | 50,000 a second |
//! | who logs in | of one address for one account; of the address; of the account | 1, 10 and 10 a second |
//! | an address | its connections at each port | 256 for other hosts, without a bound for this one |
//!
//! The unix socket has none of these but logins as one account: it is for root and the node's own user. Neither has the
//! admin. What belongs to this host is one address to all of its programs: a bound would have the greedy one keep the
//! others out. What a person says in so many words counts for this host too.

mod rate;
mod table;

pub(super) use rate::{Bucket, Rate};

use crate::{
    config::LimitsConfig,
    doors::tally::{DoorName, Reason, Tally},
};
use micro_actors::audit::Origin;
use micro_sdk::wire::{AccountCaller, AccountName, Caller, Code, Fault, Namespace};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use table::Table;
use tokio::time::Instant;
use tonic::Status;

/// Requests a second of one address of another host whose callers are not known: a page with all that is on it, again
/// and again. More is a program, and a program can log in.
const UNKNOWN: NonZeroU32 = NonZeroU32::new(200).expect("it is more than nothing");
/// Requests a second of one account: more than one node answers. It is for accounts that a person has given less.
const ACCOUNT: NonZeroU32 = NonZeroU32::new(50_000).expect("it is more than nothing");
/// Logins a second: each costs this node some 20 ms of a core and 19 MiB, so that ten leave most of one core.
const LOGIN: NonZeroU32 = NonZeroU32::new(10).expect("it is more than nothing");
/// How many logins come at once, of an address or an account, as when all services of a host start.
const LOGIN_BURST: u32 = 100;
/// Logins for one account from one address, for each of those: a person who has forgotten the secret tries less, and a
/// stranger who knows a name can't use up what its owner may try from elsewhere.
const PAIR_SHARE: u32 = 10;
/// Connections of one address of another host at each port: a browser opens six, a pool of a large program some tens.
const CONNECTIONS: NonZeroU32 = NonZeroU32::new(256).expect("it is more than nothing");

/// Says when to ask again, in seconds (RFC 9110, 10.2.3).
pub(super) const RETRY_AFTER: &str = "retry-after";
/// Says the same to clients of gRPC that ask again by themselves, in milliseconds (gRPC A6).
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A refusal, and when to ask again.
#[derive(Clone, Debug)]
pub(super) struct Exceeded {
    pub fault: Fault,
    pub retry_after: Duration,
}

impl From<Exceeded> for Status {
    fn from(exceeded: Exceeded) -> Status {
        let Exceeded { fault, retry_after } = exceeded;
        let mut status = Status::from(fault);
        let seconds = retry_after.as_secs();
        status.metadata_mut().insert(RETRY_AFTER, seconds.into());
        status.metadata_mut().insert(PUSHBACK, seconds.saturating_mul(1000).into());
        status
    }
}

/// What callers have asked for lately. All doors and threads share it.
pub(super) struct Limits {
    config: RwLock<LimitsConfig>,
    began: Instant,
    tally: Arc<Tally>,
    unknown: Table,
    accounts: Table,
    logins: Table,
    /// How many connections each address has at each door; none that has none.
    connections: Mutex<BTreeMap<(u8, IpAddr), u32>>,
}

/// Counts a connection of an address for as long as it is open.
pub(super) struct Place {
    limits: Arc<Limits>,
    key: (u8, IpAddr),
}

impl Limits {
    /// As a person has set them.
    pub fn new(config: LimitsConfig, tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Limits {
            config: RwLock::new(config),
            began: Instant::now(),
            tally,
            unknown: Table::default(),
            accounts: Table::default(),
            logins: Table::default(),
            connections: Mutex::default(),
        })
    }

    /// As a person sets them from now on. What was counted so far counts.
    pub fn set(&self, config: LimitsConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    fn config(&self) -> LimitsConfig {
        *self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection; none if its address has as many as it may.
    pub fn connect(self: &Arc<Self>, door: DoorName, address: IpAddr) -> Option<Place> {
        let key = (door as u8, network(address));
        let usual = (!address.to_canonical().is_loopback()).then_some(CONNECTIONS);
        let most = self.config().connections.or(usual).map_or(u32::MAX, NonZeroU32::get);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let open = connections.entry(key).or_default();
        if *open >= most {
            drop(connections);
            self.tally.refused(door, Reason::Connections);
            return None;
        }
        *open += 1;
        Some(Place { limits: self.clone(), key })
    }

    /// Whether a caller may ask for something now. Whoever was refused at a door counts as not known.
    ///
    /// # Errors
    /// [`Code::Limited`], with when to ask again.
    pub fn admit(&self, caller: &Caller, origin: Origin) -> Result<(), Exceeded> {
        match (caller, origin.ip()) {
            (Caller::Admin | Caller::Node(_), _) | (_, None) => Ok(()),
            (Caller::Account(account), Some(_)) => self.admit_account(account, origin),
            (Caller::Anonymous | Caller::Stranger, Some(address)) => self.admit_unknown(address, origin),
        }
    }

    fn admit_account(&self, account: &AccountCaller, origin: Origin) -> Result<(), Exceeded> {
        let Some(rate) = self.config().account.or(Some(ACCOUNT)) else { return Ok(()) };
        let taken = self.accounts.take((&account.namespace, &account.name), Rate::twice(rate), self.now());
        taken.map_err(|wait| {
            let what = format!("the account {account} asks for more than {rate} things a second");
            self.exceeded(origin, Reason::Account, what, wait)
        })
    }

    fn admit_unknown(&self, address: IpAddr, origin: Origin) -> Result<(), Exceeded> {
        let usual = (!address.to_canonical().is_loopback()).then_some(UNKNOWN);
        let Some(rate) = self.config().unknown.or(usual) else { return Ok(()) };
        let taken = self.unknown.take(network(address), Rate::twice(rate), self.now());
        taken.map_err(|wait| {
            let what =
                format!("callers without an account ask for more than {rate} things a second from {address}");
            self.exceeded(origin, Reason::Unknown, what, wait)
        })
    }

    /// Whether somebody may try a secret now: `account` names whose, if that is a name.
    ///
    /// # Errors
    /// [`Code::Limited`], with when to ask again.
    pub fn login(&self, origin: Origin, account: Option<(&Namespace, &AccountName)>) -> Result<(), Exceeded> {
        let Some(rate) = self.config().login.or(Some(LOGIN)) else { return Ok(()) };
        let now = self.now();
        let pair = Rate::new(NonZeroU32::new(rate.get() / PAIR_SHARE).unwrap_or(NonZeroU32::MIN), PAIR_SHARE);
        let all = Rate::new(rate, LOGIN_BURST);
        let network = origin.ip().map(network);
        let refused = |what: String, wait| self.exceeded(origin, Reason::Login, what, wait);
        // The narrowest first: what it refuses is not taken from the others.
        if let (Some(network), Some(account)) = (network, account) {
            let taken = self.logins.take((network, account), pair, now);
            taken
                .map_err(|wait| refused(format!("too many logins as {} from {network}", account.1), wait))?;
        }
        if let Some(network) = network {
            self.logins
                .take(network, all, now)
                .map_err(|wait| refused(format!("too many logins from {network}"), wait))?;
        }
        if let Some(account) = account {
            let taken = self.logins.take(account, all, now);
            taken.map_err(|wait| {
                // That somebody else's flood is in the way costs this address nothing.
                if let Some(network) = network {
                    self.logins.give_back(network, all);
                }
                refused(format!("too many logins as {}", account.1), wait)
            })?;
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn exceeded(&self, origin: Origin, reason: Reason, what: String, wait: Duration) -> Exceeded {
        if let Some(door) = DoorName::of(origin) {
            self.tally.refused(door, reason);
        }
        // Whole seconds, since that is what HTTP has.
        let retry_after = Duration::from_secs(wait.as_secs() + 1);
        let fault = Fault::new(Code::Limited, what);
        let help = match reason {
            Reason::Unknown => "log in: accounts may ask for more",
            _ => "who runs the node can allow more: micro-node start --help",
        };
        let fault = fault.help(format!("try again in {} s", retry_after.as_secs())).help(help);
        Exceeded { fault, retry_after }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.limits.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = connections.get_mut(&self.key) {
            *open -= 1;
            if *open == 0 {
                connections.remove(&self.key);
            }
        }
    }
}

/// What counts as one address: of IPv6, what one customer is given (RFC 6177), which is all of one host's to choose
/// from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limit;
    use micro_sdk::wire::AccountKind;

    fn config(limit: Limit) -> LimitsConfig {
        LimitsConfig { unknown: limit, account: limit, login: limit, connections: limit }
    }

    fn at(text: &str) -> Limit {
        text.parse().expect("a good limit")
    }

    fn from(host: &str) -> Origin {
        Origin::Api((host.parse::<IpAddr>().expect("an address"), 1).into())
    }

    fn jane() -> Caller {
        Caller::Account(Arc::new(AccountCaller {
            namespace: Namespace::default(),
            name: "jane".parse().expect("a good name"),
            kind: AccountKind::User,
            scopes: Vec::new(),
        }))
    }

    /// How many of a thousand at once are let in.
    fn admitted(limits: &Limits, caller: &Caller, origin: Origin) -> usize {
        (0..1000).filter(|_| limits.admit(caller, origin).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_are_not_known_are_limited_by_their_address() {
        let socket = Origin::Socket { uid: 0 };
        for (limit, host, caller, expected) in [
            (Limit::Usual, from("10.0.0.1"), Caller::Stranger, 400),
            (Limit::Usual, from("127.0.0.1"), Caller::Anonymous, 1000),
            (at("5"), from("127.0.0.1"), Caller::Anonymous, 10),
            (at("5"), from("::ffff:127.0.0.1"), Caller::Anonymous, 10),
            (at("5"), from("127.0.0.1"), Caller::Admin, 1000),
            (at("5"), from("10.0.0.1"), jane(), 10),
            (Limit::Usual, from("10.0.0.1"), jane(), 1000),
            (at("5"), socket, Caller::Anonymous, 1000),
            (Limit::Off, from("10.0.0.1"), Caller::Stranger, 1000),
        ] {
            let limits = Limits::new(config(limit), Tally::new());
            assert_eq!(admitted(&limits, &caller, host), expected, "{limit:?} {host:?} {caller}");
        }
        let limits = Limits::new(config(at("5")), Tally::new());
        assert_eq!(admitted(&limits, &Caller::Stranger, from("2001:db8::1")), 10);
        assert_eq!(
            admitted(&limits, &Caller::Stranger, from("2001:db8::ffff:2")),
            0,
            "it is the same network"
        );
        assert_eq!(admitted(&limits, &Caller::Stranger, from("2001:db8:0:1::1")), 10, "it is another one");
        let refused = limits.admit(&Caller::Stranger, from("2001:db8::1")).expect_err("it has had its share");
        assert_eq!((refused.fault.code, refused.retry_after), (Code::Limited, Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn logins_from_one_address_leave_those_from_another() {
        let limits = Limits::new(LimitsConfig::default(), Tally::new());
        let (namespace, name): (_, AccountName) =
            (Namespace::default(), "jane".parse().expect("a good name"));
        let tried = |host: &str| {
            (0..1000).filter(|_| limits.login(from(host), Some((&namespace, &name))).is_ok()).count()
        };
        assert_eq!(tried("10.0.0.1"), 10, "few for one account");
        assert_eq!(tried("10.0.0.2"), 10, "its owner elsewhere is not kept out");
        let others: Vec<AccountName> =
            (0..1000).map(|number| format!("a{number}").parse().expect("a good name")).collect();
        let tried =
            others.iter().filter(|name| limits.login(from("10.0.0.1"), Some((&namespace, name))).is_ok());
        assert_eq!(tried.count(), 90, "more for all accounts of an address, and not without an end");
        let hosts = (0..200).map(|host| from(&format!("10.0.1.{host}")));
        let tried = hosts.filter(|host| limits.login(*host, Some((&namespace, &name))).is_ok());
        assert_eq!(tried.count(), 80, "and no more for one account from all addresses");
    }

    #[test]
    fn connections_of_an_address_are_counted_while_they_are_open() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let _entered = runtime.enter();
        let limits = Limits::new(config(at("2")), Tally::new());
        let connect = || limits.connect(DoorName::Api, [127, 0, 0, 1].into());
        let (first, _second) = (connect().expect("there is room"), connect().expect("there is room"));
        assert!(connect().is_none());
        assert!(limits.connect(DoorName::Proxy, [127, 0, 0, 1].into()).is_some(), "at another door");
        drop(first);
        assert!(connect().is_some());
    }
}
