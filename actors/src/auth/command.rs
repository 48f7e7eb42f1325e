//! What admission puts into the log, and what applying it returns.

use bincode::{Decode, Encode};
use micro_mesh::Trust;
use micro_sdk::wire::NodeId;

/// A change of admission. Stored in the log: grows at its end only.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AuthCommand {
    /// Sets the sealed authority, unless there is one.
    SetAuthority {
        /// Its private key and certificate, sealed.
        sealed: Vec<u8>,
    },
    /// Adds a join token.
    AddToken {
        /// The SHA-256 of its secret.
        hash: [u8; 32],
        /// Until when it can be used, in seconds since 1970.
        expires: u64,
        /// The time at the proposer: tokens that expired a day before it are forgotten.
        now: u64,
    },
    /// Uses up a join token for one node.
    UseToken {
        /// The SHA-256 of its secret.
        hash: [u8; 32],
        /// The time at the proposer.
        now: u64,
        /// Whom it lets in.
        node: NodeRecord,
    },
    /// Forgets a node that left or was removed, and remembers that it must not come back while its certificate is good.
    RemoveNode {
        /// Which one.
        node: NodeId,
        /// The time at the proposer, in seconds since 1970.
        now: u64,
    },
    /// Has another authority certify from now on. The one that did is believed until [`DropFormer`](Self::DropFormer).
    ReplaceAuthority {
        /// The SHA-256 of the sealed authority that is replaced.
        former: [u8; 32],
        /// The private key and certificate of the new one, sealed.
        sealed: Vec<u8>,
        /// Who is believed from now on: the new one and the former one.
        trust: Trust,
    },
    /// Ends the belief in authorities that certified before the one with this pin.
    DropFormer {
        /// The SHA-256 of the certificate of the one that certifies.
        pin: [u8; 32],
    },
    /// Takes note of the certificate that a node uses. Nodes that are gone have none.
    KeepCertificate {
        /// What is known of it.
        certificate: CertificateRecord,
    },
}

/// The certificate that a node uses.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificateRecord {
    /// The node.
    pub node: NodeId,
    /// The public key that is certified: it is certified again if its private half is there, and no other.
    pub public_key: Vec<u8>,
    /// The pin of the authority that signed it: the SHA-256 of its certificate.
    pub authority: [u8; 32],
    /// When it was made, in seconds since 1970.
    pub issued: u64,
    /// When it ends, in seconds since 1970.
    pub ends: u64,
}

/// A node that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeRecord {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// The public key that was certified.
    pub public_key: Vec<u8>,
    /// Where it could be reached when it was let in.
    pub address: String,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AuthOutcome {
    /// Done, or done before in the same way.
    Done,
    /// There is no such token: never made, forgotten, or of another mesh.
    UnknownToken,
    /// The token let another node in before.
    UsedToken {
        /// That node's name.
        by: String,
    },
    /// The token's time is over.
    ExpiredToken {
        /// When it was, in seconds since 1970.
        at: u64,
    },
    /// The command can't be read. Nothing was changed.
    Invalid {
        /// Why.
        why: String,
    },
    /// The authority is another one meanwhile.
    OtherAuthority,
    /// The mesh goes over from one authority to the next already.
    HandingOver,
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::Codec;

    #[test]
    fn layout_is_frozen() {
        assert_eq!(Codec::encode(&AuthCommand::SetAuthority { sealed: vec![5] }), [1, 0, 0, 1, 5]);
        assert_eq!(Codec::encode(&AuthCommand::RemoveNode { node: NodeId(9), now: 5 }), [1, 0, 3, 9, 5]);
        assert_eq!(Codec::encode(&AuthOutcome::ExpiredToken { at: 4 }), [1, 0, 3, 4]);
        assert_eq!(Codec::encode(&AuthOutcome::HandingOver), [1, 0, 6]);
        let [former, pin, authority] = [[7; 32]; 3];
        let replace = AuthCommand::ReplaceAuthority { former, sealed: vec![5], trust: Trust::of(&[4]) };
        assert_eq!(Codec::encode(&replace), [&[1, 0, 4][..], &[7; 32], &[1, 5, 0, 1, 4, 0, 0]].concat());
        assert_eq!(Codec::encode(&AuthCommand::DropFormer { pin }), [&[1, 0, 5][..], &[7; 32]].concat());
        let node = NodeId(9);
        let certificate = CertificateRecord { node, public_key: vec![1], authority, issued: 2, ends: 3 };
        let keep = AuthCommand::KeepCertificate { certificate };
        assert_eq!(Codec::encode(&keep), [&[1, 0, 6, 9, 1, 1][..], &[7; 32], &[2, 3]].concat());
    }
}
