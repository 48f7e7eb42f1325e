//! Access tokens: JSON Web Tokens signed with Ed25519 (RFC 7519, RFC 8037), good for a quarter of an hour.
//!
//! ```text
//!   header.claims.signature      header: {"alg":"EdDSA","kid":KEY,"typ":"JWT"}
//! ```
//!
//! How a token is verified is said by the key that it names and by nothing else in it: there is one algorithm, and what
//! the header says of it is only compared.

use crate::auth::signing_key::{PublicKeys, SigningKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use micro_sdk::wire::{AccountCaller, AccountKind, AccountName, Namespace, SCOPES_MAX, Scope};
use serde::{Deserialize, Serialize};

/// How long a token is good, in seconds: as long as a node that is cut off from the others may go on taking one that
/// was revoked, and long enough that few are made.
pub(crate) const LIFE_S: u64 = 15 * 60;
/// How far the clocks of two nodes may be apart, in seconds.
pub(crate) const LEEWAY_S: u64 = 60;
/// The longest token: that of an account with as many scopes as there may be, each as long as it may be.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Whom tokens are for.
const AUDIENCE: &str = "micro-node";
const ALGORITHM: &str = "EdDSA";

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not three parts of base64url with JSON in them, or is too long.
    #[error("it is no token of a mesh: {0}")]
    Garbled(&'static str),
    /// It says that it is signed in another way.
    #[error("it says that it is signed otherwise than with EdDSA")]
    Algorithm,
    /// No key here is called so: it was given up, it is of another mesh, or it is so new that this node has not heard.
    #[error("the key that signed it is not one of this mesh's any more, or not known here yet")]
    UnknownKey,
    /// No key here is called so, and the node has just started: it may have come in since.
    #[error("this node has just started, and does not know all keys yet")]
    Starting,
    /// The signature is not that key's.
    #[error("its signature is wrong")]
    Signature,
    /// It is for another mesh or for something else.
    #[error("its {0} is another")]
    Foreign(&'static str),
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time is to come.
    #[error("it is not good yet: the clock of the node that made it, or of this one, is wrong")]
    Early,
    /// It, its session or its account was revoked.
    #[error("it was revoked")]
    Revoked,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The mesh.
    pub iss: String,
    /// What it is for.
    pub aud: String,
    /// The account.
    pub sub: AccountName,
    /// The account's namespace.
    pub ns: Namespace,
    /// What the account is for.
    pub kind: AccountKind,
    /// What it may act as.
    pub scopes: Vec<Scope>,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// From when on it is good.
    pub nbf: u64,
    /// Until when it is good.
    pub exp: u64,
    /// Its own id.
    pub jti: String,
    /// The session that it belongs to: what a login began.
    pub sid: String,
    /// The state of the account: what is revoked is all up to one.
    #[serde(rename = "gen")]
    pub generation: u64,
}

impl Claims {
    /// What a token for `caller` says from `now_s` on.
    pub fn new(
        issuer: String,
        caller: &AccountCaller,
        generation: u64,
        ids: [String; 2],
        now_s: u64,
    ) -> Self {
        let [jti, sid] = ids;
        Claims {
            iss: issuer,
            aud: AUDIENCE.to_owned(),
            sub: caller.name.clone(),
            ns: caller.namespace.clone(),
            kind: caller.kind,
            scopes: caller.scopes.clone(),
            iat: now_s,
            nbf: now_s,
            exp: now_s + LIFE_S,
            jti,
            sid,
            generation,
        }
    }

    /// Whose token it is.
    pub fn caller(&self) -> AccountCaller {
        AccountCaller {
            namespace: self.ns.clone(),
            name: self.sub.clone(),
            kind: self.kind,
            scopes: self.scopes.clone(),
        }
    }

    /// Whether now is its time.
    ///
    /// # Errors
    /// [`TokenError::Expired`] or [`TokenError::Early`].
    pub fn check_time(&self, now_s: u64) -> Result<(), TokenError> {
        if now_s >= self.exp.saturating_add(LEEWAY_S) {
            return Err(TokenError::Expired);
        }
        if self.nbf > now_s.saturating_add(LEEWAY_S) {
            return Err(TokenError::Early);
        }
        Ok(())
    }
}

/// The token with these claims.
pub(crate) fn sign(key: &SigningKey, claims: &Claims) -> String {
    let header = Header { alg: ALGORITHM.to_owned(), kid: key.id.clone(), typ: "JWT".to_owned() };
    let json = |part: Result<Vec<u8>, serde_json::Error>| {
        URL_SAFE_NO_PAD.encode(part.expect("texts and numbers are always JSON"))
    };
    let signed = format!("{}.{}", json(serde_json::to_vec(&header)), json(serde_json::to_vec(claims)));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// What a token says, and which key signed it, if it is one of this mesh and its time is now.
///
/// # Errors
/// Why it is not taken. That it was revoked is for others to find out.
pub(crate) fn verify(
    token: &str,
    issuer: &str,
    keys: &PublicKeys,
    now_s: u64,
) -> Result<(Claims, String), TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Garbled("it is too long"));
    }
    let three = || TokenError::Garbled("it has not three parts");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(three)?;
    let (header, claims) = signed.split_once('.').ok_or_else(three)?;
    if claims.contains('.') {
        return Err(three());
    }
    let header: Header = parse(header)?;
    if header.alg != ALGORITHM || header.typ != "JWT" {
        return Err(TokenError::Algorithm);
    }
    let signature = decode(signature)?;
    match keys.verify(&header.kid, signed.as_bytes(), &signature) {
        None => return Err(TokenError::UnknownKey),
        Some(false) => return Err(TokenError::Signature),
        Some(true) => {}
    }
    let claims: Claims = parse(claims)?;
    if claims.iss != issuer {
        return Err(TokenError::Foreign("mesh"));
    }
    if claims.aud != AUDIENCE {
        return Err(TokenError::Foreign("audience"));
    }
    if claims.jti.is_empty() || claims.sid.is_empty() || claims.scopes.len() > SCOPES_MAX {
        return Err(TokenError::Garbled("its claims are not complete"));
    }
    claims.check_time(now_s)?;
    Ok((claims, header.kid))
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Garbled("a part of it is not base64url"))
}

fn parse<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, TokenError> {
    serde_json::from_slice(&decode(part)?)
        .map_err(|_| TokenError::Garbled("a part of it says something else"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{SealKey, signing_key::StoredKey, tests::seams};
    use micro_sdk::wire::ClusterId;
    use ring::hmac;
    use serde_json::{Value, json};

    const NOW: u64 = 1_800_000_000;

    struct Mint {
        key: SigningKey,
        public: [u8; 32],
        keys: PublicKeys,
    }

    impl Mint {
        fn new() -> Self {
            let (seams, seal, cluster) = (seams(), SealKey::generate(&seams()), ClusterId(7));
            let stored = StoredKey::generate(&seams, &seal, cluster, 5);
            let key = stored.open(&seal, cluster).expect("it is the seal");
            Mint { key, public: stored.public, keys: PublicKeys::new([stored.public]) }
        }

        fn claims(&self) -> Claims {
            let caller = AccountCaller {
                namespace: Namespace::default(),
                name: "jane".parse().expect("a good name"),
                kind: AccountKind::User,
                scopes: vec!["ops".parse().expect("a good scope")],
            };
            Claims::new("mesh".to_owned(), &caller, 3, ["j".to_owned(), "s".to_owned()], NOW)
        }

        /// A token with any header and claims, signed well.
        fn forge(&self, header: &Value, claims: &Value) -> String {
            let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
            format!("{signed}.{signature}")
        }

        fn with(&self, name: &str, value: Value) -> String {
            let mut claims = serde_json::to_value(self.claims()).expect("it is JSON");
            claims[name] = value;
            self.forge(&json!({ "alg": "EdDSA", "kid": self.key.id, "typ": "JWT" }), &claims)
        }

        fn verify(&self, token: &str) -> Result<Claims, TokenError> {
            verify(token, "mesh", &self.keys, NOW).map(|(claims, _)| claims)
        }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let mint = Mint::new();
        let token = sign(&mint.key, &mint.claims());
        assert_eq!(mint.verify(&token), Ok(mint.claims()));
        assert_eq!(verify(&token, "mesh", &mint.keys, NOW + LIFE_S + LEEWAY_S - 1).map(drop), Ok(()));
    }

    #[test]
    fn what_only_looks_like_a_token_is_refused() {
        use TokenError::{Algorithm, Early, Expired, Foreign, Garbled, Signature, UnknownKey};
        let mint = Mint::new();
        let good = sign(&mint.key, &mint.claims());
        let claims = serde_json::to_value(mint.claims()).expect("it is JSON");
        let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid, "typ": "JWT" });
        // The classic: the public key as the secret of a keyed hash.
        let (signed, _) = good.rsplit_once('.').expect("three parts");
        let (_, payload) = signed.split_once('.').expect("three parts");
        let head = URL_SAFE_NO_PAD.encode(header("HS256", &mint.key.id).to_string());
        let hashed = format!("{head}.{payload}");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &mint.public), hashed.as_bytes());
        let keyed_hash = format!("{hashed}.{}", URL_SAFE_NO_PAD.encode(tag));
        let unsigned =
            format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(header("none", &mint.key.id).to_string()));
        let mut bent = good.clone().into_bytes();
        let middle = bent.len() / 2;
        bent[middle] = if bent[middle] == b'A' { b'B' } else { b'A' };
        let bent = String::from_utf8(bent).expect("it is ASCII");
        let cases: Vec<(&str, String, TokenError)> = vec![
            ("empty", String::new(), Garbled("it has not three parts")),
            ("two parts", "a.b".to_owned(), Garbled("it has not three parts")),
            ("four parts", format!("{good}.x"), Garbled("it has not three parts")),
            ("no base64", "!.!.!".to_owned(), Garbled("a part of it is not base64url")),
            ("huge", "a".repeat(TOKEN_BYTES_MAX + 1), Garbled("it is too long")),
            ("alg none", unsigned, Algorithm),
            ("alg HS256 with the public key", keyed_hash, Algorithm),
            ("alg in another case", mint.forge(&header("eddsa", &mint.key.id), &claims), Algorithm),
            ("another kid", mint.forge(&header("EdDSA", "another"), &claims), UnknownKey),
            (
                "no kid",
                mint.forge(&json!({ "alg": "EdDSA", "typ": "JWT" }), &claims),
                Garbled("a part of it says something else"),
            ),
            ("bent claims", bent, Signature),
            ("truncated signature", good[..good.len() - 2].to_owned(), Signature),
            (
                "another's signature",
                {
                    let other = sign(&Mint::new().key, &mint.claims());
                    format!("{signed}.{}", other.rsplit_once('.').expect("three parts").1)
                },
                Signature,
            ),
            ("another mesh", mint.with("iss", json!("other")), Foreign("mesh")),
            ("another audience", mint.with("aud", json!("x")), Foreign("audience")),
            (
                "many audiences",
                mint.with("aud", json!(["micro-node"])),
                Garbled("a part of it says something else"),
            ),
            ("expired", mint.with("exp", json!(NOW - LEEWAY_S)), Expired),
            ("to come", mint.with("nbf", json!(NOW + LEEWAY_S + 1)), Early),
            ("no jti", mint.with("jti", json!("")), Garbled("its claims are not complete")),
            ("time as text", mint.with("exp", json!("never")), Garbled("a part of it says something else")),
            ("negative time", mint.with("exp", json!(-1)), Garbled("a part of it says something else")),
            (
                "a name that is none",
                mint.with("sub", json!("a/b")),
                Garbled("a part of it says something else"),
            ),
        ];
        for (what, token, expected) in cases {
            assert_eq!(mint.verify(&token), Err(expected), "{what}");
        }
    }

    #[test]
    fn no_prefix_and_no_changed_byte_passes() {
        let mint = Mint::new();
        let good = sign(&mint.key, &mint.claims());
        for at in 0..good.len() {
            assert!(mint.verify(&good[..at]).is_err(), "its first {at} bytes");
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(mint.verify(&changed).is_err(), "byte {at} changed");
            }
        }
    }
}
