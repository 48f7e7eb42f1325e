//! Accounts as they travel: who calls, once a door has made sure of it. Checked once, where they come in.

use super::{
    Namespace,
    name::{NameError, checked},
};
use bincode::{Decode, Encode, de::Decoder, error::DecodeError};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest name of an account: a mail address of the usual kind fits, and two of them fit a line.
pub const ACCOUNT_NAME_BYTES_MAX: usize = 128;
/// The longest scope.
pub const SCOPE_BYTES_MAX: usize = 64;
/// The scopes of one account at most: all of them travel in each token, which has to fit the headers of a request.
pub const SCOPES_MAX: usize = 32;

/// What an account may not be given as a scope, since rules mean something else by it.
const RESERVED_SCOPES: [&str; 5] = ["user", "service", "node", "public", "loopback"];

/// What kind of caller an account is for. Each is a scope too, that nobody can be given otherwise.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// A person.
    #[default]
    User,
    /// A program.
    Service,
    /// A node, or what speaks for one from outside the mesh.
    Node,
}

impl AccountKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            AccountKind::User => "user",
            AccountKind::Service => "service",
            AccountKind::Node => "node",
        }
    }
}

impl FromStr for AccountKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "user" => Ok(AccountKind::User),
            "service" => Ok(AccountKind::Service),
            "node" => Ok(AccountKind::Node),
            other => Err(format!("{other:?} is no kind of account: user, service and node are")),
        }
    }
}

impl fmt::Display for AccountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Refuses what does not consist of small letters, digits and `also`, does not begin with a letter or digit, is longer
/// than `max` bytes, or is `taken`.
fn check(kind: &'static str, max: usize, also: &[u8], taken: &[&str], text: &str) -> Result<(), NameError> {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let good = bytes.first().is_some_and(edge) && bytes.iter().all(|byte| edge(byte) || also.contains(byte));
    if good && bytes.len() <= max && !taken.contains(&text) {
        return Ok(());
    }
    let also = String::from_utf8_lossy(also);
    let mut rule = format!("it takes 1 to {max} of a-z, 0-9 and {also}, starts with a letter or digit");
    if !taken.is_empty() {
        rule += &format!(", and is none of {}", taken.join(", "));
    }
    Err(NameError::because(kind, text.chars().take(max + 1).collect(), rule))
}

checked! {
    /// What an account is called in its namespace. One spelling only: two names that look alike to a person are two
    /// accounts to nobody.
    AccountName, |text| check("account", ACCOUNT_NAME_BYTES_MAX, b"._@+-", &[], text)
}

checked! {
    /// What an account may act as, such as `admin` or `billing`: rules say what that means.
    Scope, |text| check("scope", SCOPE_BYTES_MAX, b"._-", &RESERVED_SCOPES, text)
}

/// An account as a caller.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct AccountCaller {
    /// Its tenant.
    pub namespace: Namespace,
    /// What it is called there.
    pub name: AccountName,
    /// What it is for.
    pub kind: AccountKind,
    /// What it may act as, at most [`SCOPES_MAX`].
    pub scopes: Vec<Scope>,
}

impl<C> Decode<C> for AccountCaller {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let namespace = Namespace::decode(decoder)?;
        let name = AccountName::decode(decoder)?;
        let kind = AccountKind::decode(decoder)?;
        let scopes = Vec::<Scope>::decode(decoder)?;
        if scopes.len() > SCOPES_MAX {
            return Err(DecodeError::OtherString(format!("{} scopes are too many", scopes.len())));
        }
        Ok(AccountCaller { namespace, name, kind, scopes })
    }
}

bincode::impl_borrow_decode!(AccountCaller);

impl AccountCaller {
    /// Whether it may act as `scope`.
    pub fn has(&self, scope: &str) -> bool {
        scope == self.kind.name() || self.scopes.iter().any(|own| own.as_str() == scope)
    }
}

impl fmt::Display for AccountCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace != Namespace::default() {
            write!(f, "{}/", self.namespace)?;
        }
        write!(f, "{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Codec;

    #[test]
    fn names_have_one_spelling() {
        for good in ["jane", "jane.doe@example.org", "svc-1", "0+x_y"] {
            assert_eq!(good.parse::<AccountName>().map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "Jane", "a/b", "a:b", ".a", "a b", "ü", &"a".repeat(ACCOUNT_NAME_BYTES_MAX + 1)] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?} was taken for a name");
        }
        for bad in ["*", "user", "loopback", "a/b", ""] {
            assert!(bad.parse::<Scope>().is_err(), "{bad:?} was taken for a scope");
        }
    }

    #[test]
    fn what_another_node_says_of_a_caller_is_checked() {
        let caller = AccountCaller {
            namespace: Namespace::default(),
            name: "jane".parse().expect("a good name"),
            kind: AccountKind::User,
            scopes: vec!["ops".parse().expect("a good scope")],
        };
        let bytes = Codec::encode(&caller);
        assert_eq!(bytes, b"\x01\0\x07default\x04jane\0\x01\x03ops");
        assert_eq!(Codec::decode::<AccountCaller, 100>(&bytes), Ok(caller.clone()));
        let many = AccountCaller { scopes: vec![caller.scopes[0].clone(); SCOPES_MAX + 1], ..caller };
        assert!(Codec::decode::<AccountCaller, 1000>(&Codec::encode(&many)).is_err());
        assert!(Codec::decode::<AccountCaller, 100>(b"\x01\0\x07default\x04JANE\0\0").is_err());
    }
}
