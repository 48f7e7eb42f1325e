//! Certificates to knock with: those of real nodes, as their data directories have them, and those of authorities that
//! nobody has asked.

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ED25519,
};
use std::{fs, path::Path};

/// What comes before a certificate of some hundred bytes, and before its first part.
const CERTIFICATE: u8 = 0x30;
/// How many bytes say the length of a certificate.
const LONG: u8 = 0x82;
/// What comes before the 32 bytes of an Ed25519 key (RFC 8410, 7), with the length of all in its second byte.
const KEY: [u8; 4] = [0x04, 0x22, 0x04, 0x20];
/// The same from its beginning, in the oldest version of the form, which all programs read.
const KEY_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A chain of certificates and its key, both as PEM.
pub struct Identity {
    chain: String,
    key: String,
}

impl Identity {
    /// That of the node whose data directory this is.
    pub fn of_node(data: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(data.join("files/identity"))?;
        let chain: String = certificates(&bytes).iter().map(|der| pem("CERTIFICATE", der)).collect();
        ensure!(!chain.is_empty(), "no certificate is in it");
        Ok(Identity { chain, key: ed25519(&bytes).context("no key is in it")? })
    }

    /// Its certificate with the key of another.
    pub fn with_key_of(&self, other: &Identity) -> Self {
        Identity { chain: self.chain.clone(), key: other.key.clone() }
    }

    /// One for `names` by an authority of its own, which is called as those of meshes are.
    pub fn foreign(names: &[&str], algorithm: &'static rcgen::SignatureAlgorithm) -> anyhow::Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "micro-node");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate_for(algorithm)?)?;
        let key = KeyPair::generate_for(algorithm)?;
        let leaf = params(names)?.signed_by(&key, &authority)?;
        Ok(Identity { chain: leaf.pem() + &authority.pem(), key: private(&key) })
    }

    /// One for `names` that is its own authority.
    pub fn self_signed(names: &[&str]) -> anyhow::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        Ok(Identity { chain: params(names)?.self_signed(&key)?.pem(), key: private(&key) })
    }

    /// The same with its chain repeated.
    pub fn repeated(mut self, times: usize) -> Self {
        self.chain = self.chain.repeat(times);
        self
    }

    /// Writes it where the client finds it.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        fs::write(folder.join(format!("{name}.pem")), &self.chain)?;
        fs::write(folder.join(format!("{name}.key.pem")), &self.key)?;
        Ok(())
    }
}

/// All that the client is given: of three nodes of a mesh, and of one of another.
pub fn write_all(
    folder: &Path,
    own: &Path,
    member: &Path,
    other_mesh: &Path,
    name: &str,
) -> anyhow::Result<()> {
    let (own, member) = (Identity::of_node(own)?, Identity::of_node(member)?);
    let many: Vec<String> = (0..20).map(|number| format!("{number}.{name}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let identities = [
        ("stolen", member.with_key_of(&own)),
        ("member", member),
        ("own", own),
        ("other-mesh", Identity::of_node(other_mesh)?),
        ("foreign", Identity::foreign(&[name], &PKCS_ED25519)?),
        ("foreign-p256", Identity::foreign(&[name], &PKCS_ECDSA_P256_SHA256)?),
        ("self-signed", Identity::self_signed(&[name])?),
        ("nameless", Identity::self_signed(&[])?),
        ("wide", Identity::self_signed(&many)?),
        ("long", Identity::self_signed(&[name])?.repeated(40)),
    ];
    identities.iter().try_for_each(|(name, identity)| identity.write(folder, name))
}

fn params(names: &[&str]) -> anyhow::Result<CertificateParams> {
    Ok(CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?)
}

/// The Ed25519 key among some bytes, as PEM.
fn ed25519(bytes: &[u8]) -> Option<String> {
    let at = bytes.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    Some(pem("PRIVATE KEY", &[&KEY_PREFIX[..], bytes.get(at..at + 32)?].concat()))
}

/// A key as PEM.
fn private(key: &KeyPair) -> String {
    ed25519(key.serialized_der()).unwrap_or_else(|| key.serialize_pem())
}

/// The certificates among some bytes: those of a node are the leaf and its authority's.
fn certificates(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(&[first, long, high, low, inner, ..]) = bytes.get(at..) {
        let length = 4 + usize::from(u16::from_be_bytes([high, low]));
        match bytes.get(at..at + length).filter(|_| (first, long, inner) == (CERTIFICATE, LONG, CERTIFICATE))
        {
            Some(certificate) => {
                found.push(certificate);
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
