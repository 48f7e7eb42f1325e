//! Which authorities a node believes: one, and two while the mesh goes over from one to the next.
//!
//! ```text
//!   believed by all: A ──► A vouches for B ──► B certifies, A and B are believed ──► all have one of B ──► B
//! ```
//!
//! Whoever was off meanwhile and believes A alone follows the certificate by which A vouches for B, for as long as it
//! is shown: until A is dropped.

use super::{Authority, Certificate, IdentityError, in_words, sha256, validity};
use bincode::{Decode, Encode};
use micro_sdk::wire::Codec;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::SystemTime;

/// The longest encoded trust: a few certificates of less than 1 KiB each.
const TRUST_BYTES_MAX: usize = 32 << 10;

/// The authorities that a node believes. Public: their certificates, no keys.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Trust {
    /// How many authorities the mesh had before.
    generation: u64,
    /// The certificate of the one that certifies, DER.
    authority: Vec<u8>,
    /// The certificates of those that did before and are still believed.
    former: Vec<Vec<u8>>,
    /// The certificates by which they vouch for the one that certifies.
    bridges: Vec<Vec<u8>>,
}

impl Trust {
    /// The trust in one authority, by its certificate, and nobody else.
    pub fn of(authority: &[u8]) -> Self {
        Trust { generation: 0, authority: authority.to_vec(), former: Vec::new(), bridges: Vec::new() }
    }

    /// The trust in `successor`, and for a while still in `former`, the authority of this trust, which vouches for it.
    ///
    /// # Errors
    /// If the key of one of them can't be read.
    pub fn hand_over(
        &self,
        former: &Authority,
        successor: &Authority,
        now: SystemTime,
    ) -> Result<Self, IdentityError> {
        Ok(Trust {
            generation: self.generation + 1,
            authority: successor.certificate().to_vec(),
            former: vec![former.certificate().to_vec()],
            bridges: vec![former.vouch_for(successor, now)?],
        })
    }

    /// The trust in the one that certifies alone.
    #[must_use]
    pub fn without_former(&self) -> Self {
        Trust { former: Vec::new(), bridges: Vec::new(), ..self.clone() }
    }

    /// Whether this is from later in the life of the mesh than `other`.
    pub fn is_later_than(&self, other: &Trust) -> bool {
        let rank = |trust: &Trust| (trust.generation, !trust.is_handing_over());
        rank(self) > rank(other)
    }

    /// Whether a former authority is believed too.
    pub fn is_handing_over(&self) -> bool {
        !self.former.is_empty()
    }

    /// What names the authority that certifies, in join tokens too: the SHA-256 of its certificate.
    pub fn pin(&self) -> [u8; 32] {
        sha256(&self.authority)
    }

    /// What names the former ones that are still believed.
    pub fn former_pins(&self) -> Vec<[u8; 32]> {
        self.former.iter().map(|authority| sha256(authority)).collect()
    }

    /// When the authority that certifies was made and when it ends, if its certificate can be read.
    pub fn validity(&self) -> Option<(SystemTime, SystemTime)> {
        validity::of_certificate(&self.authority).map(|(from, until)| (from + super::SKEW, until))
    }

    /// The certificates of all that are believed, the one that certifies first.
    pub(crate) fn authorities(&self) -> impl Iterator<Item = &Vec<u8>> {
        std::iter::once(&self.authority).chain(&self.former)
    }

    /// The certificates that lead from a former authority to the one that certifies.
    pub(crate) fn bridges(&self) -> &[Vec<u8>] {
        &self.bridges
    }

    /// Whether this authority, by its certificate, is believed.
    pub fn believes(&self, authority: &[u8]) -> bool {
        self.authorities().any(|believed| believed == authority)
    }

    /// Checks that a chain of certificates, a node's own first, leads to an authority that is believed, and counts at
    /// `now`.
    ///
    /// # Errors
    /// [`IdentityError::Untrusted`] with the reason.
    pub(crate) fn verify(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<(), IdentityError> {
        let untrusted = |error: webpki::Error| IdentityError::Untrusted(in_words(&error).to_owned());
        let authorities: Vec<_> =
            self.authorities().map(|authority| CertificateDer::from(authority.as_slice())).collect();
        let anchors: Result<Vec<TrustAnchor<'_>>, _> =
            authorities.iter().map(webpki::anchor_from_trusted_cert).collect();
        let anchors = anchors.map_err(untrusted)?;
        let missing = || IdentityError::Certificate("there is none".to_owned());
        let (leaf, others) = chain.split_first().ok_or_else(missing)?;
        let end = webpki::EndEntityCert::try_from(leaf).map_err(untrusted)?;
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        end.verify_for_usage(
            &[webpki::ring::ED25519],
            &anchors,
            others,
            UnixTime::since_unix_epoch(since_epoch),
            webpki::KeyUsage::client_auth(),
            None,
            None,
        )
        .map(drop)
        .map_err(untrusted)
    }

    /// Checks that a certificate is of an authority that is believed, and counts at `now`.
    ///
    /// # Errors
    /// [`IdentityError::Untrusted`] with the reason.
    pub fn check(&self, certificate: &Certificate, now: SystemTime) -> Result<(), IdentityError> {
        let chain = self.bridges.iter().map(|bridge| CertificateDer::from(bridge.as_slice()));
        let leaf = CertificateDer::from(certificate.leaf.as_slice());
        self.verify(&std::iter::once(leaf).chain(chain).collect::<Vec<_>>(), now)
    }

    /// The trust as bytes.
    pub fn encode(&self) -> Vec<u8> {
        Codec::encode(self)
    }

    /// The trust in `bytes`, as [`Trust::encode`] made them.
    ///
    /// # Errors
    /// If they are garbled.
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        Ok(Codec::decode::<_, TRUST_BYTES_MAX>(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CERTIFICATE_LIFE, NodeKey};
    use micro_sdk::wire::{ClusterId, NodeId};
    use std::time::Duration;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn chain(certificate: &Certificate, trust: &Trust) -> Vec<CertificateDer<'static>> {
        let bridges = trust.bridges().iter().cloned();
        std::iter::once(certificate.leaf.clone()).chain(bridges).map(CertificateDer::from).collect()
    }

    #[test]
    fn whoever_believes_only_the_former_authority_follows_it_to_the_next() {
        let (old, new) = (Authority::generate(ClusterId(7), now()), Authority::generate(ClusterId(7), now()));
        let both = Trust::of(old.certificate()).hand_over(&old, &new, now()).expect("good keys");
        assert_eq!((both.pin(), both.former_pins()), (new.pin(), vec![old.pin()]));
        let key = NodeKey::generate().request(NodeId(3));
        let issue =
            |authority: &Authority| authority.issue(&key, CERTIFICATE_LIFE, now()).expect("a good key");
        let (by_old, by_new) = (issue(&old), issue(&new));
        let (before, after) = (Trust::of(old.certificate()), both.without_former());
        for (trust, certificate, shown, good) in [
            (&both, &by_old, &both, true),
            (&both, &by_new, &both, true),
            (&before, &by_new, &both, true),
            (&before, &by_new, &after, false),
            (&after, &by_old, &both, false),
            (&after, &by_new, &before, true),
        ] {
            let verified = trust.verify(&chain(certificate, shown), now());
            assert_eq!(verified.is_ok(), good, "{verified:?}");
        }
        assert!(both.is_handing_over() && !after.is_handing_over());
        assert!(both.is_later_than(&before) && after.is_later_than(&both) && !before.is_later_than(&after));
        assert_eq!(Trust::decode(&both.encode()), Ok(both));
    }

    #[test]
    fn nobody_is_vouched_for_by_an_authority_of_another_mesh() {
        let (old, new) = (Authority::generate(ClusterId(7), now()), Authority::generate(ClusterId(8), now()));
        let both = Trust::of(old.certificate()).hand_over(&old, &new, now()).expect("good keys");
        let key = NodeKey::generate().request(NodeId(3));
        let foreign = new.issue(&key, CERTIFICATE_LIFE, now()).expect("a good key");
        let before = Trust::of(old.certificate());
        assert!(before.verify(&chain(&foreign, &both), now()).is_err());
    }
}
