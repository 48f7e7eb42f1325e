//! A secret that is shown to nobody by accident.

use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// The environment variable that holds the admin secret, or the token of an account.
pub(crate) const TOKEN_VARIABLE: &str = "MICRO_NODE_TOKEN";

/// A secret: the admin secret, a token of an account, or a join token. Never printed, wiped when its last copy goes.
///
/// What is sent passes through the HTTP library's buffers, which are not wiped.
#[derive(Clone)]
pub struct Token(Arc<Zeroizing<String>>);

impl Token {
    /// `secret`, without white space around it (files end with a newline).
    pub fn new(secret: impl Into<String>) -> Token {
        let secret = Zeroizing::new(secret.into());
        Token(Arc::new(Zeroizing::new(secret.trim().to_owned())))
    }

    /// The secret in `MICRO_NODE_TOKEN`, if one is set.
    pub fn from_env() -> Option<Token> {
        std::env::var(TOKEN_VARIABLE).ok().map(Token::new).filter(|token| !token.expose().is_empty())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(secret: String) -> Token {
        Token::new(secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([secret])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        let token = Token::new("hush\n");
        assert_eq!(token.expose(), "hush");
        assert_eq!(format!("{token:?}"), "Token([secret])");
    }
}
