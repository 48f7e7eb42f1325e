//! The names in certificates: `<node>.<cluster>.mesh.micro`.

use super::{IdentityError, in_words};
use micro_sdk::wire::{ClusterId, NodeId};
use rustls::pki_types::CertificateDer;

/// What the name of every node ends with. Certificates for anything else will end differently, and so can
/// never pass for a node's.
const SUFFIX: &str = "mesh.micro";

/// The DNS name that certifies `node` of `cluster`.
pub(crate) fn dns_name(node: NodeId, cluster: ClusterId) -> String {
    format!("{node}.{}", domain(cluster))
}

/// The domain that all nodes of `cluster` are in.
pub(super) fn domain(cluster: ClusterId) -> String {
    format!("{cluster}.{SUFFIX}")
}

/// The node and mesh that `name` certifies, if it is such a name.
pub(crate) fn parse(name: &str) -> Option<(NodeId, ClusterId)> {
    let (node, rest) = name.split_once('.')?;
    let (cluster, suffix) = rest.split_once('.')?;
    if suffix != SUFFIX {
        return None;
    }
    Some((node.parse().ok()?, cluster.parse().ok()?))
}

/// The one node that the certificate in `der` names. Says nothing about who signed it.
///
/// # Errors
/// If it can't be read, or has not exactly one DNS name, or that is not a node's.
pub(crate) fn of_certificate(der: &[u8]) -> Result<(NodeId, ClusterId), IdentityError> {
    let der = CertificateDer::from(der);
    let certificate = webpki::EndEntityCert::try_from(&der)
        .map_err(|error| IdentityError::Certificate(in_words(&error).to_owned()))?;
    let mut names = certificate.valid_dns_names();
    match (names.next(), names.next()) {
        (Some(name), None) => parse(name)
            .ok_or_else(|| IdentityError::Certificate(format!("{name:?} is not the name of a node"))),
        (None, _) => Err(IdentityError::Certificate("it names nobody".to_owned())),
        (Some(_), Some(_)) => Err(IdentityError::Certificate("it has more than one name".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back() {
        let name = dns_name(NodeId(255), ClusterId(1));
        assert_eq!(name, "00000000000000ff.00000000000000000000000000000001.mesh.micro");
        assert_eq!(parse(&name), Some((NodeId(255), ClusterId(1))));
        assert!(name.split('.').all(|label| label.len() <= 63));
    }

    #[test]
    fn other_names_are_nobody() {
        for name in ["", "a.b.mesh.micro", "mesh.micro", "00000000000000ff.mesh.micro", "localhost"] {
            assert_eq!(parse(name), None, "{name:?}");
        }
        let name = dns_name(NodeId(255), ClusterId(1));
        assert_eq!(parse(&format!("{name}.evil")), None);
        assert_eq!(parse(&format!("x.{name}")), None);
    }
}
