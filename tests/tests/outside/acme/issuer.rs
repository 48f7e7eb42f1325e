//! The keys of the authority: a root, one below it that signs, and the certificate of its directory.

use anyhow::{Context, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What signs certificates.
pub struct Issuer {
    root: CertifiedIssuer<'static, KeyPair>,
    below: CertifiedIssuer<'static, KeyPair>,
}

fn authority(name: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

impl Issuer {
    pub fn new() -> anyhow::Result<Self> {
        let root = CertifiedIssuer::self_signed(authority("the root")?, KeyPair::generate()?)?;
        let below = CertifiedIssuer::signed_by(authority("the one below")?, KeyPair::generate()?, &root)?;
        Ok(Issuer { root, below })
    }

    /// The root's certificate.
    pub fn root(&self) -> String {
        self.root.pem()
    }

    /// How the directory shows itself.
    pub fn directory(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let chain = vec![params.signed_by(&key, &self.below)?.der().clone(), self.below.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }

    /// A certificate for what is asked for in `request`, whose names have to be these, and what leads to the root.
    pub fn issue(&self, request: &[u8], names: &[String], life: Duration) -> anyhow::Result<String> {
        // It checks that who asks has the key.
        let mut request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request.to_vec()))?;
        let mut asked: Vec<String> = Vec::new();
        for name in &request.params.subject_alt_names {
            let SanType::DnsName(name) = name else { anyhow::bail!("it is for {name:?}") };
            asked.push(name.as_str().to_owned());
        }
        let common = request.params.distinguished_name.get(&DnType::CommonName);
        ensure!(asked == names && common.is_none(), "it is for {asked:?} and {common:?}, not for {names:?}");
        let now = SystemTime::now();
        request.params.not_before = now.into();
        request.params.not_after = now.checked_add(life).context("it ends some day")?.into();
        Ok(request.signed_by(&self.below)?.pem() + &self.below.pem())
    }
}
