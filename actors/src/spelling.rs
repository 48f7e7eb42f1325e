//! How names are spelled: what languages differ in, and which of those that there are was meant by one that there is
//! not.

use micro_sdk::wire::{Namespace, ServiceName};

/// A name without what languages differ in: case, dashes and underscores.
pub fn folded(name: &str) -> String {
    let letters = name.chars().filter(|letter| !matches!(letter, '-' | '_'));
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// The longest word that is compared, in bytes. It may come from anybody, and the work is the product of both lengths.
const WORD_BYTES_MAX: usize = 64;

/// The name that is nearest to `word`, if it is near enough to be meant: one slip for three letters.
pub fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = folded(word);
    let names = names.into_iter().filter(|name| name.len() <= 2 * WORD_BYTES_MAX);
    let slips = |name: &'n str| (strsim::damerau_levenshtein(&word, &folded(name)), name);
    let near = names.map(slips).min_by_key(|(slips, _)| *slips);
    near.filter(|(slips, _)| *slips <= (word.chars().count() / 3).max(1)).map(|(_, name)| name)
}

/// A service as a sentence names it, and as a command does.
pub(crate) fn named(namespace: &Namespace, service: &ServiceName) -> (String, String) {
    if *namespace == Namespace::default() {
        return (service.to_string(), service.to_string());
    }
    (format!("{service} of {namespace}"), format!("{service} --namespace {namespace}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let names = ["status", "start", "store", "services", "help"];
        for (word, expected) in [
            ("stauts", Some("status")),
            ("Status", Some("status")),
            ("sevices", Some("services")),
            ("stor", Some("store")),
            ("helloworld", None),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
        assert_eq!(nearest("status", []), None);
        assert_eq!(nearest(&"status".repeat(1 << 20), names), None);
    }
}
