//! Requests as ACME has them: JSON, signed with the key of an account (RFC 7515, RFC 8555, 6.2).

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use serde_json::{Value, json};

/// A public key, as a point that is not compressed, and the hash by which challenges name it (RFC 7638).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    point: Vec<u8>,
    pub thumbprint: String,
}

/// Who says that a request is theirs.
#[derive(Debug)]
pub enum Signer {
    /// Somebody new, by the key.
    Key(PublicKey),
    /// An account, by its address.
    Account(String),
}

/// A request whose signature was not checked yet.
#[derive(Debug)]
pub struct Request {
    pub nonce: String,
    pub url: String,
    pub signer: Signer,
    /// What is asked; none where something is only looked at.
    pub payload: Option<Value>,
    signed: String,
    signature: Vec<u8>,
}

pub fn decoded(text: &str) -> anyhow::Result<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).with_context(|| format!("{text:?} is not base64url"))
}

fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    Ok(value[name].as_str().with_context(|| format!("{name} is missing in {value}"))?.to_owned())
}

impl PublicKey {
    fn of(jwk: &Value) -> anyhow::Result<Self> {
        ensure!(jwk["kty"] == "EC" && jwk["crv"] == "P-256", "another kind of key: {jwk}");
        ensure!(jwk.get("d").is_none(), "it sends its private key");
        let (x, y) = (text(jwk, "x")?, text(jwk, "y")?);
        let point = [&[4][..], &decoded(&x)?, &decoded(&y)?].concat();
        ensure!(point.len() == 65, "the key has {} bytes", point.len());
        let canonical = json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y }).to_string();
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        Ok(PublicKey { point, thumbprint })
    }
}

impl Request {
    pub fn parse(body: &[u8]) -> anyhow::Result<Self> {
        let body: Value = serde_json::from_slice(body)?;
        let (protected, payload) = (text(&body, "protected")?, text(&body, "payload")?);
        let head: Value = serde_json::from_slice(&decoded(&protected)?)?;
        ensure!(head["alg"] == "ES256", "another algorithm: {head}");
        let signer = match (head.get("jwk"), head.get("kid").and_then(Value::as_str)) {
            (Some(key), None) => Signer::Key(PublicKey::of(key)?),
            (None, Some(account)) => Signer::Account(account.to_owned()),
            _ => bail!("it names a key and an account, or neither: {head}"),
        };
        let signed = format!("{protected}.{payload}");
        let asked = decoded(&payload)?;
        let payload = if asked.is_empty() { None } else { Some(serde_json::from_slice(&asked)?) };
        let signature = decoded(&text(&body, "signature")?)?;
        Ok(Request {
            nonce: text(&head, "nonce")?,
            url: text(&head, "url")?,
            signer,
            payload,
            signed,
            signature,
        })
    }

    /// Whether it was signed with this key.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.point);
        key.verify(self.signed.as_bytes(), &self.signature).is_ok()
    }
}
