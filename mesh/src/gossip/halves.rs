//! Answers in two halves, where so many nodes are known that one message has no room for both.
//!
//! chitchat answers a digest (`Syn`) with its own digest and with news (`SynAck`), and what of its message the digest
//! leaves is for news. Digests name everybody of whom anything is known, those that died within the last minutes and
//! former lives of nodes included; from 948 ids on one fills the whole message, and chitchat fails
//! (<https://github.com/quickwit-oss/quickwit/issues/6653> is of the same kind). So where there may be as many, its two
//! halves travel apart:
//!
//! ```text
//! A ── its digest ────────────────► B      chitchat is shown it as an answer without news
//! A ◄─────────────── news for A ─── B      which it answers with news alone, as it does
//! A ◄────────────── its digest ──── B      chitchat is asked for a digest, which is sent as an answer without news
//! A ── news for B ────────────────► B
//! ```

use super::digest::{Entry, HEADER_BYTES, KIND_PLACE, SYN, SYN_ACK, count};

/// Ids that two nodes may know together, of which one still answers in one message: 55 KB of them leave 10 KB for news.
const TOGETHER_MAX: usize = 800;
/// News of which there are none: the end of them.
const NO_NEWS: u8 = 0;

/// Whether an answer to this message, as chitchat writes it, is to travel in halves, by a node that knows so many ids.
pub(super) fn apart(message: &[u8], known: usize) -> bool {
    message.get(KIND_PLACE) == Some(&SYN) && known + ids_in(message) > TOGETHER_MAX
}

/// The ids that the digest of a message names, as chitchat writes it; none if it has no digest.
pub(super) fn ids_in(message: &[u8]) -> usize {
    let has_digest = message.get(KIND_PLACE).is_some_and(|kind| [SYN, SYN_ACK].contains(kind));
    let mut digest = message.get(HEADER_BYTES..).filter(|_| has_digest).unwrap_or_default();
    count(&mut digest).map_or(0, usize::from)
}

/// The digest of a `Syn` as a `SynAck` without news; none if it is garbled.
pub(super) fn without_news(syn: &[u8]) -> Option<Vec<u8>> {
    let (header, digest) = syn.split_at_checked(HEADER_BYTES)?;
    let mut rest = digest;
    for _ in 0..count(&mut rest)? {
        Entry::read(&mut rest)?;
    }
    let mut answer = header.to_vec();
    answer[KIND_PLACE] = SYN_ACK;
    answer.extend_from_slice(&digest[..digest.len() - rest.len()]);
    answer.push(NO_NEWS);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::digest::{ENTRY_BYTES, written::of_nodes};
    use chitchat::{ChitchatMessage, Deserializable};

    fn asked(nodes: u64) -> Vec<u8> {
        of_nodes(SYN, (1..=nodes).map(|node| (node, 3)))
    }

    #[test]
    fn a_digest_that_is_sent_as_an_answer_is_the_same_and_has_no_news() {
        let asked = asked(900);
        let answer = without_news(&asked).expect("it is whole");
        let read = |bytes: &[u8]| ChitchatMessage::deserialize(&mut &bytes[..]).expect("it is whole");
        let ChitchatMessage::SynAck { digest, .. } = read(&answer) else { panic!("it is an answer") };
        let ChitchatMessage::Syn { digest: told, .. } = read(&asked) else { panic!("it is a question") };
        assert_eq!(digest, told);
        assert_eq!(answer.len(), HEADER_BYTES + 2 + 900 * ENTRY_BYTES + 1);
        for cut in [0, 3, 5, 80] {
            assert_eq!(without_news(&asked[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn only_questions_of_many_are_answered_in_halves() {
        let asked = asked(500);
        assert!(!apart(&asked, 300) && apart(&asked, 301));
        assert_eq!((ids_in(&asked), ids_in(&asked[..5]), ids_in(&[0, 0, 0, 2, 1, 1])), (500, 0, 0));
        let answer = without_news(&asked).expect("it is whole");
        assert!(!apart(&answer, 10_000) && !apart(&[], 10_000));
    }
}
