//! Patterns of names, in which `*` stands for any text, the empty one too.

use std::fmt;

/// A pattern. Matching takes time in the product of both lengths at worst, whatever the pattern is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(Box<str>);

impl Glob {
    pub fn new(text: &str) -> Self {
        Glob(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for one text only.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// What every text that it matches begins with.
    pub fn beginning(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Behind the last star: where to go on if what follows it does not fit here.
        let mut retry: Option<(usize, usize)> = None;
        while t < text.len() {
            if pattern.get(p) == Some(&b'*') {
                retry = Some((p + 1, t));
                p += 1;
            } else if pattern.get(p) == Some(&text[t]) {
                (p, t) = (p + 1, t + 1);
            } else if let Some((after, from)) = retry {
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }

    /// Whether it matches any text that begins with `beginning`.
    pub fn reaches(&self, beginning: &str) -> bool {
        let own = self.beginning();
        if self.is_exact() {
            return own.starts_with(beginning);
        }
        // Up to its first star it is a text; from there on, all that follows can be made up.
        own.starts_with(beginning) || beginning.starts_with(own)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let cases = [
            ("*", "", true),
            ("*", "a/b:c", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "bca", true),
            ("*a", "bac", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "ab", false),
            ("**", "x", true),
            ("shop/*", "shop", false),
            ("shop/*", "shop/", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_reaches_below_a_beginning() {
        let cases = [
            ("shop.key", "shop.", true),
            ("shop", "shop.", false),
            ("shop.*", "shop.", true),
            ("*.key", "shop.", true),
            ("shop*", "shop.limits.", true),
            ("cart.*", "shop.", false),
            ("*", "", true),
            ("sh*", "", true),
        ];
        for (pattern, beginning, expected) in cases {
            assert_eq!(Glob::new(pattern).reaches(beginning), expected, "{pattern} {beginning}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let (pattern, text) = ("*a".repeat(30) + "b", "a".repeat(1000));
        assert!(!Glob::new(&pattern).matches(&text));
    }
}
