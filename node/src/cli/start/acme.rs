//! The flags by which the HTTP api has certificates from an authority (ACME, RFC 8555).

use crate::cli::{failure::Failure, input};
use clap::{Args, builder::FalseyValueParser};
use micro_actors::acme::{AcmeSettings, Domain};
use micro_sdk::wire::{Code, Fault};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::path::{Path, PathBuf};

/// How many names there may be: each has a certificate of its own, and public authorities give fifty a week.
const DOMAINS_MAX: usize = 32;
/// The largest file with authorities: as large as all that systems believe.
const ROOT_BYTES_MAX: usize = 1 << 20;
/// The longest address of a directory, and of whom an authority writes to.
const TEXT_BYTES_MAX: usize = 500;
/// The directory of Let's Encrypt.
pub(super) const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Certificates of the HTTP api from an authority.
#[derive(Debug, Args)]
pub(super) struct AcmeFlags {
    /// A name for which the HTTP api gets a certificate from an authority by itself (ACME), and renews it; may be given
    /// more than once. The api is then for TLS only, answers to these names, and has to be reached at them on port 443
    #[arg(long, env = "MICRO_NODE_ACME_DOMAIN", value_name = "DOMAIN", value_delimiter = ',',
          conflicts_with_all = ["api_tls_cert", "api_tls_key"])]
    acme_domain: Vec<Domain>,

    /// Agree to the terms of service of that authority
    #[arg(long, env = "MICRO_NODE_ACME_AGREE_TOS", value_parser = FalseyValueParser::new())]
    acme_agree_tos: bool,

    /// Where the authority writes to if something is wrong. It is told when the mesh's account there is made
    #[arg(long, env = "MICRO_NODE_ACME_EMAIL", value_name = "ADDRESS",
          value_parser = email)]
    acme_email: Option<String>,

    /// The directory of the authority
    #[arg(long, env = "MICRO_NODE_ACME_DIRECTORY", value_name = "URL", value_parser = directory,
          default_value = DIRECTORY)]
    acme_directory: String,

    /// By whom that directory is believed, as a file in PEM [default: those whom the system believes]
    #[arg(long, env = "MICRO_NODE_ACME_ROOT", value_name = "FILE")]
    acme_root: Option<PathBuf>,
}

impl AcmeFlags {
    /// What they say; none if no name is given.
    ///
    /// # Errors
    /// If there are too many names, or the file can't be used.
    pub(super) fn settings(self) -> Result<Option<AcmeSettings>, Failure> {
        let mut domains: Vec<Domain> = Vec::new();
        for domain in self.acme_domain {
            if !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        if domains.is_empty() {
            let vain = self.acme_agree_tos || self.acme_email.is_some() || self.acme_root.is_some();
            return if vain { Err(nothing_to_order()) } else { Ok(None) };
        }
        if !self.acme_agree_tos {
            // No default agrees for somebody, and a file may say one and a flag the other.
            let message =
                "certificates are ordered of an authority only if its terms of service are agreed to";
            return Err(Fault::new(Code::Usage, message)
                .help("agree to them: --acme-agree-tos, or agree_tos = true in [acme] of the file")
                .into());
        }
        if domains.len() > DOMAINS_MAX {
            let message =
                format!("--acme-domain takes {DOMAINS_MAX} names at most, and {} are given", domains.len());
            return Err(Fault::new(Code::Usage, message).into());
        }
        let roots = self.acme_root.as_deref().map(roots).transpose()?;
        Ok(Some(AcmeSettings { domains, email: self.acme_email, directory: self.acme_directory, roots }))
    }
}

/// The refusal of words about an order that nobody gives.
fn nothing_to_order() -> Failure {
    Fault::new(Code::Usage, "an authority is spoken of, and nothing is to be ordered there")
        .help("name what to order a certificate for: --acme-domain, or domains in [acme] of the file")
        .into()
}

/// The authorities in a file.
fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let help = "give --acme-root the path of a file with certificates in PEM";
    let bytes = input::file(&path.display().to_string(), ROOT_BYTES_MAX, help)?;
    let bad = |why: String| {
        Fault::new(Code::Usage, format!("--acme-root {} can't be used: {why}", path.display()))
            .help("give certificates in PEM: each begins with -----BEGIN CERTIFICATE-----")
    };
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(error.to_string()))?;
    if found.is_empty() {
        return Err(bad("there is no certificate in it".to_owned()).into());
    }
    let mut store = RootCertStore::empty();
    for root in &found {
        store.add(root.clone()).map_err(|error| bad(error.to_string()))?;
    }
    Ok(found)
}

/// Reads the address of a directory: what is sent there must be seen by nobody else.
pub(super) fn directory(text: &str) -> Result<String, String> {
    let wrong = || "write it as https://HOST/PATH".to_owned();
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let whole = uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty());
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if whole && plain && text.len() <= TEXT_BYTES_MAX { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// Reads where the authority writes to. Whether somebody reads it there, nobody can say.
pub(super) fn email(text: &str) -> Result<String, String> {
    let parts = text.split_once('@').filter(|(who, host)| !who.is_empty() && !host.is_empty());
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b",;<>\"?&%".contains(&byte));
    match parts {
        Some((_, host)) if plain && !host.contains('@') && text.len() <= TEXT_BYTES_MAX => {
            Ok(text.to_owned())
        }
        _ => Err("write it as ops@example.org".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_https_and_mail_goes_to_one_address() {
        for good in ["https://acme.example/directory", "https://127.0.0.1:14000/dir"] {
            assert_eq!(directory(good), Ok(good.to_owned()));
        }
        let long = format!("https://acme.example/{}", "a".repeat(TEXT_BYTES_MAX));
        for bad in
            ["http://acme.example/directory", "acme.example", "https://", "https:///x", "https://u@h/", &long]
        {
            assert!(directory(bad).is_err(), "{bad}");
        }
        assert!(email("ops@example.org").is_ok());
        for bad in ["ops", "@example.org", "ops@", "a@b@c", "a@b,c@d", "a b@c", "a@b?subject=x", ""] {
            assert!(email(bad).is_err(), "{bad}");
        }
    }
}
