//! What calls have in common that go to the same instance.

use micro_sdk::wire::{Code, Fault, Head};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What begins the name of a header.
const HEADER: &str = "header:";

/// Where the key of a call is found. Calls without one go wherever it suits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sticky {
    /// The account that calls.
    Caller,
    /// A header that it sent along, by its name in lowercase.
    Header(String),
}

impl Sticky {
    /// The key of a call.
    pub fn key<'h>(&self, head: &'h Head) -> Option<Cow<'h, str>> {
        match self {
            Sticky::Caller => {
                let account = head.caller.account()?;
                Some(format!("{}/{}", account.namespace, account.name).into())
            }
            Sticky::Header(name) => {
                let found = head.metadata.iter().find(|(header, _)| header == name);
                found.map(|(_, value)| value.as_str().into())
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        match self {
            Sticky::Header(name) if crate::registry::is_reserved(name) => {
                let message = format!("the policy is wrong at sticky: header {name:?} is the platform's own");
                Err(Fault::new(Code::Usage, message)
                    .help("name a header that callers send, such as header:user-id"))
            }
            _ => Ok(()),
        }
    }
}

impl TryFrom<String> for Sticky {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix(HEADER) {
            Some(name) if http::HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Ok(Sticky::Header(name.to_ascii_lowercase()))
            }
            None if text == "caller" => Ok(Sticky::Caller),
            _ => Err(format!("{text:?} is no key: write caller or header:NAME")),
        }
    }
}

impl From<Sticky> for String {
    fn from(sticky: Sticky) -> Self {
        match sticky {
            Sticky::Caller => "caller".to_owned(),
            Sticky::Header(name) => [HEADER, &name].concat(),
        }
    }
}
