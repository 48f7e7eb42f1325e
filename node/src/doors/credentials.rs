//! What a request shows to say who sends it: the admin secret, or an access token of an account, as bearer token.

use crate::node::AdminSecret;
use http::{
    HeaderMap,
    header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL},
};
use micro_actors::{
    auth::{self, Verified},
    is_passed_on,
};
use micro_sdk::wire::{Caller, Code, Fault};
use std::{net::SocketAddr, sync::Arc};

/// What everybody may ask of the proxy: to be let in and out, and what tokens are verified with.
const OPEN_PATHS: [&str; 4] =
    ["/micro.v1.Auth/Login", "/micro.v1.Auth/Refresh", "/micro.v1.Auth/Logout", "/micro.v1.Auth/Keys"];

/// What calls people's services by name: who may, a rule says, as it does where they are called without the SDK.
const CALL_PATH: &str = "/micro.v1.Node/Call";

/// What the paths of the platform begin with.
const PLATFORM_PATHS: &str = "/micro.";

/// Who calls, and the token that says so, if one does.
#[derive(Debug)]
pub(super) struct Known {
    pub caller: Caller,
    pub token: Option<Arc<Verified>>,
}

impl Known {
    pub fn without_token(caller: Caller) -> Self {
        Known { caller, token: None }
    }
}

/// What a door that takes bearer tokens compares them with.
pub(super) struct Credentials {
    pub secret: Arc<AdminSecret>,
    pub guard: auth::Guard,
    /// Who those are that show nothing.
    pub nobody: Caller,
}

impl Credentials {
    /// Who sends a request to `path`, at a door where something has to be shown for what is the platform's. People's
    /// services are called by who a rule says.
    ///
    /// # Errors
    /// [`Code::Denied`] if it shows nothing, where something is needed, or what is not good; [`Code::Usage`] if it
    /// shows two things.
    pub fn known(&self, headers: &HeaderMap, path: &str) -> Result<Known, Fault> {
        let known = self.known_or_nobody(headers)?;
        if is_nobody(&known.caller) && is_platform(path) { Err(missing()) } else { Ok(known) }
    }

    /// Who sends a request, at a door that also takes those who show nothing.
    ///
    /// # Errors
    /// [`Code::Denied`] if what it shows is not good: whoever shows something means to be somebody. [`Code::Usage`] if
    /// it shows two things: whoever is in front of the door may have looked at the other.
    pub fn known_or_nobody(&self, headers: &HeaderMap) -> Result<Known, Fault> {
        match bearer(headers)? {
            Some(token) if self.secret.matches(token) => Ok(Known::without_token(Caller::Admin)),
            Some(token) if token.contains('.') => account(&self.guard, token),
            Some("") => Err(refused("the header `authorization` shows no bearer token")),
            Some(_) => Err(refused("the bearer token is wrong")),
            // That it comes from this host is not its sender's doing: a node sends it, to a door that somebody has
            // registered as a service.
            None if is_passed_on(headers) => Ok(Known::without_token(Caller::Stranger)),
            None => Ok(Known::without_token(self.nobody.clone())),
        }
    }
}

/// Whether a path of gRPC is of the platform, and for those who are known.
pub(super) fn is_platform(path: &str) -> bool {
    path.starts_with(PLATFORM_PATHS) && !is_open(path) && path != CALL_PATH
}

/// Whether everybody may ask this method of the platform.
pub(super) fn is_open(path: &str) -> bool {
    OPEN_PATHS.contains(&path)
}

/// Whether a caller is nobody in particular.
pub(super) fn is_nobody(caller: &Caller) -> bool {
    matches!(caller, Caller::Anonymous | Caller::Stranger)
}

/// That something has to be shown here.
pub(super) fn missing() -> Fault {
    refused("the admin secret or a token is missing")
}

/// Who those are that show nothing to a listener at this address.
pub(super) fn nobody(listener: SocketAddr) -> Caller {
    if listener.ip().is_loopback() { Caller::Anonymous } else { Caller::Stranger }
}

/// What a page says before the token among the protocols of a WebSocket: it can't send other headers with it.
const BEARER_PROTOCOL: &str = "bearer.";

/// The token in the header (RFC 6750, 2.1), or among the protocols of a WebSocket; an empty one in a header of another
/// kind.
///
/// # Errors
/// [`Code::Usage`] if there are several headers: it takes one (RFC 9110, 5.3).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    match (shown.next(), shown.next()) {
        (None, _) => Ok(bearer_protocol(headers)),
        (Some(header), None) => {
            let header = header.to_str().unwrap_or_default();
            let (scheme, token) = header.split_once(' ').unwrap_or_default();
            Ok(Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" }))
        }
        (Some(_), Some(_)) => Err(Fault::new(Code::Usage, "the request has two authorization headers")
            .help("send one: which of them says who calls, nobody can tell")),
    }
}

fn bearer_protocol(headers: &HeaderMap) -> Option<&str> {
    let protocols = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    protocols.split(',').find_map(|protocol| protocol.trim().strip_prefix(BEARER_PROTOCOL))
}

/// Whether a protocol that a page names for a WebSocket is what it shows to say who it is, and goes to no service.
pub(in crate::doors) fn is_bearer_protocol(protocol: &str) -> bool {
    protocol.starts_with(BEARER_PROTOCOL)
}

fn account(guard: &auth::Guard, token: &str) -> Result<Known, Fault> {
    let verified = guard.verify(token)?;
    Ok(Known { caller: verified.caller.clone(), token: Some(verified) })
}

fn refused(why: &str) -> Fault {
    Fault::new(Code::Denied, why)
        .help("log in: micro-node login ACCOUNT")
        .help(
            "or send the admin secret, which is in the file `files/admin.secret` of the node's data directory: for micro-node \
             MICRO_NODE_TOKEN=@FILE, for others the header `Authorization: Bearer SECRET`",
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_bearer_tokens_are_looked_at() {
        let with =
            |value: &'static str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        let bearer =
            |headers: &HeaderMap| super::bearer(headers).map(|token| token.map(str::to_owned)).expect("one");
        let some = |token: &str| Some(token.to_owned());
        assert_eq!(bearer(&HeaderMap::new()), None);
        let protocols =
            |list| HeaderMap::from_iter([(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(list))]);
        assert_eq!(bearer(&protocols("micro-node.v1, bearer.a.b.c")), some("a.b.c"));
        assert_eq!(bearer(&protocols("micro-node.v1")), None);
        assert_eq!(bearer(&with("Bearer a.b.c")), some("a.b.c"));
        assert_eq!(bearer(&with("bearer a.b.c ")), some("a.b.c"));
        for nothing_good in ["Basic YTpi", "Bearer", "Bearer ", "a.b.c", "", "\u{fc}"] {
            let headers = HeaderMap::from_iter([(
                AUTHORIZATION,
                HeaderValue::from_str(nothing_good).expect("a value"),
            )]);
            assert_eq!(bearer(&headers), some(""), "{nothing_good:?} shows something");
        }
        let mut two = with("Bearer a.b.c");
        two.append(AUTHORIZATION, HeaderValue::from_static("Bearer a.b.c"));
        assert_eq!(super::bearer(&two).expect_err("there are two").code, Code::Usage);
    }

    #[test]
    fn only_loopback_is_this_host() {
        let at = |address: &str| nobody(address.parse().expect("an address"));
        assert_eq!((at("127.0.0.1:1"), at("[::1]:1")), (Caller::Anonymous, Caller::Anonymous));
        assert_eq!((at("0.0.0.0:1"), at("10.0.0.1:1")), (Caller::Stranger, Caller::Stranger));
    }
}
