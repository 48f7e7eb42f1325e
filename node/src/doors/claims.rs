//! What a request may say of who sends it, and is not believed: a service that takes HTTP as it is could be led to
//! believe it, as many are that stand behind a proxy. The node says who calls, under names that callers can't use.

use http::{
    HeaderName,
    header::{AUTHORIZATION, FORWARDED, PROXY_AUTHORIZATION},
};
use micro_actors::{header_begins_with, is_reserved};

/// What names of headers begin with that say who a client is, or how it was found out: what proxies and those that
/// authenticate in front of a program put there.
const BEGINNINGS: [&str; 21] = [
    "cf-connecting-ip",
    "remote-user",
    "ssl-client-",
    "true-client-ip",
    "x-authenticated-",
    "x-client-",
    "x-cluster-client-ip",
    "x-forwarded-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-auth-user",
    "x-goog-authenticated-user-",
    "x-ms-client-principal",
    "tailscale-user-",
    "x-real-ip",
    "x-remote-",
    "x-ssl-",
    "x-webauth-user",
    // Where servers behind a proxy read another path than the one that was authorized.
    "x-original-url",
    "x-rewrite-url",
    // A socket's handshake is between two neighbours.
    "sec-websocket-",
];

/// Whether a header is for the node, or can't be a caller's word.
pub(in crate::doors) fn is_kept_back(name: &HeaderName) -> bool {
    [AUTHORIZATION, PROXY_AUTHORIZATION, FORWARDED].contains(name)
        || is_reserved(name.as_str())
        || BEGINNINGS.iter().any(|own| header_begins_with(name.as_str(), own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_says_who_they_are() {
        let kept_back = |name: &str| is_kept_back(&name.parse().expect("a good name"));
        for name in [
            "authorization",
            "forwarded",
            "proxy-authorization",
            "micro-account",
            "micro_caller",
            "x-real-ip",
            "X_Real_IP",
            "x-remote-user",
            "x-remote-groups",
            "remote-user",
            "x-authenticated-userid",
            "x-webauth-user",
            "x-auth-user",
            "x_original_url",
            "x-rewrite-url",
            "x-goog-authenticated-user-email",
            "tailscale-user-login",
            "x-client-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "cf-connecting-ipv6",
            "x-cluster-client-ip",
            "x-ssl-client-verify",
            "ssl-client-cert",
            "x-forwarded-for",
            "x_forwarded_proto",
        ] {
            assert!(kept_back(name), "{name}");
        }
        for name in ["cookie", "accept", "user-agent", "x-request-id", "x-csrf-token", "via", "remote"] {
            assert!(!kept_back(name), "{name}");
        }
    }
}
