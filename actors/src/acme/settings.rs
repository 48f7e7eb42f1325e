//! What a node was told of certificates from an authority, checked.

use crate::acme::Domain;
use rustls::pki_types::CertificateDer;

/// For which names the HTTP api has certificates, and where they are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The names, each once and at least one. Who names none that is among them is shown the first's certificate.
    pub domains: Vec<Domain>,
    /// Where the authority writes to if something is wrong.
    pub email: Option<String>,
    /// The address of the authority's directory, an `https` one.
    pub directory: String,
    /// The authorities by which the directory itself is believed; none for those that the system believes.
    pub roots: Option<Vec<CertificateDer<'static>>>,
}
