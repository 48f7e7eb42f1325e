//! Times as people write them: `250ms`, `1m30s`.

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::time::Duration;

fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write it as 10s, 500ms or 1m30s");
    let signed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}

/// As it is read again.
pub(super) fn show(time: Duration) -> String {
    format!("{:#}", SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)).replace(' ', "")
}

pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show(*time))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The same for what may be left out.
pub(super) mod maybe {
    use super::{Deserialize, Deserializer, Duration, Error, Serializer, parse, show};

    pub fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_some(&show(*time)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse(&text)).transpose().map_err(D::Error::custom)
    }
}
