//! Databases: those that requests name, and the one of the platform itself.

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use micro_sdk::wire::ServiceName;

/// What the platform's own database is called in state keys. It is no name, so no request can say it, and it comes
/// behind all that are.
pub(crate) const RESERVED: &str = "~platform";

/// A database of a namespace. The platform's own is made in this process only: it is neither parsed nor decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Database(Option<ServiceName>);

impl Database {
    /// One that a request names.
    pub fn named(name: ServiceName) -> Self {
        Database(Some(name))
    }

    /// The platform's own.
    pub fn reserved() -> Self {
        Database(None)
    }

    /// As it stands in state keys.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or(RESERVED, ServiceName::as_str)
    }
}

impl Encode for Database {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.as_str().encode(encoder)
    }
}

impl<C> Decode<C> for Database {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        ServiceName::decode(decoder).map(Database::named)
    }
}

bincode::impl_borrow_decode!(Database);

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::Codec;

    #[test]
    fn the_reserved_database_can_be_neither_parsed_nor_decoded() {
        assert!(RESERVED.parse::<ServiceName>().is_err());
        assert!("z".repeat(63).as_str() < RESERVED, "it comes behind all names");
        let named = Database::named("crm".parse().expect("a good name"));
        assert_eq!(Codec::decode::<Database, 100>(&Codec::encode(&named)), Ok(named));
        assert!(Codec::decode::<Database, 100>(&Codec::encode(&Database::reserved())).is_err());
    }
}
