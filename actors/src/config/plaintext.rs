//! Text that may be a secret.

use bincode::{Decode, Encode};
use std::fmt;
use zeroize::Zeroize;

/// JSON text that may be a secret: never printed, and wiped when it goes. What is sent passes through buffers of the
/// libraries below, which are not.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Plaintext(String);

impl Plaintext {
    /// `text`, which is kept from now on.
    pub fn new(text: impl Into<String>) -> Self {
        Plaintext(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text itself, for who sends it on.
    pub fn into_exposed(mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_printed() {
        assert_eq!(format!("{:?}", Plaintext::new("hunter2")), "Plaintext(…)");
    }
}
