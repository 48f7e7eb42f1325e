//! Texts that may end with a star, which stands for whatever follows.

/// Whether `pattern` means `text`: the same, or all that begin so.
pub(super) fn means(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}

/// Whether a text means anything: it is not empty, and a star is at its end alone.
pub(super) fn is_pattern(text: &str) -> bool {
    let plain = text.strip_suffix('*').unwrap_or(text);
    !text.is_empty() && !plain.contains('*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_whatever_follows() {
        for (pattern, text, meant) in [
            ("eu-1", "eu-1", true),
            ("eu-1", "eu-12", false),
            ("eu-*", "eu-12", true),
            ("eu-*", "eu-", true),
            ("eu-*", "us-1", false),
            ("*", "", true),
        ] {
            assert_eq!(means(pattern, text), meant, "{pattern} and {text}");
        }
        for (text, good) in
            [("a", true), ("a*", true), ("*", true), ("", false), ("a*b", false), ("a**", false)]
        {
            assert_eq!(is_pattern(text), good, "{text}");
        }
    }
}
