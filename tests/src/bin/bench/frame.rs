//! Prepared gRPC requests: a 16-byte key and a 256-byte value, encoded by hand so that both stores get the same.

/// The key.
pub const KEY: &str = "bench/0123456789";
/// The value that the load writes.
pub const VALUE: [u8; 256] = [b'v'; 256];

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The value is written under the key, and is on a quorum's disks when the answer comes.
    Put,
    /// The value under the key, as of now.
    Linearizable,
    /// The value under the key, as the node that is asked happens to have it.
    Stale,
}

impl Kind {
    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Put => "put",
            Kind::Linearizable => "linearizable read",
            Kind::Stale => "stale read",
        }
    }

    /// The fewest bytes of a good answer. A refusal is an HTTP 200 without a message, so it has none of them.
    pub fn answer_bytes_min(self) -> usize {
        const PREFIX: usize = 5;
        match self {
            // The version, or etcd's header: one field at the least.
            Kind::Put => PREFIX + 2,
            Kind::Linearizable | Kind::Stale => PREFIX + KEY.len() + VALUE.len(),
        }
    }
}

/// Which store is spoken to.
#[derive(Clone, Copy, Debug)]
pub enum Dialect {
    /// `micro.v1.Store`.
    Micro,
    /// `etcdserverpb.KV`.
    Etcd,
}

impl Dialect {
    /// The path that answers this kind of request.
    pub fn path(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Dialect::Micro, Kind::Put) => "/micro.v1.Store/Write",
            (Dialect::Micro, _) => "/micro.v1.Store/Read",
            (Dialect::Etcd, Kind::Put) => "/etcdserverpb.KV/Put",
            (Dialect::Etcd, _) => "/etcdserverpb.KV/Range",
        }
    }

    /// The request, with gRPC's prefix. Reads have no use for `value`.
    pub fn frame(self, kind: Kind, value: &[u8]) -> Vec<u8> {
        // The fields' numbers of WriteRequest and ReadRequest, of PutRequest and RangeRequest.
        let (key_field, value_field, stale_field) = match self {
            Dialect::Micro => (2, 3, 3),
            Dialect::Etcd => (1, 2, 7),
        };
        let mut message = Vec::new();
        bytes_field(key_field, KEY.as_bytes(), &mut message);
        match kind {
            Kind::Put => bytes_field(value_field, value, &mut message),
            Kind::Linearizable => (),
            Kind::Stale => message.extend([stale_field << 3, 1]),
        }
        // Not compressed, and the length.
        let length = u32::try_from(message.len()).expect("a request is a few hundred bytes");
        let mut frame = vec![0];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend(message);
        frame
    }
}

/// Protobuf's field of bytes: a tag of wire type 2, the length as a varint, the bytes.
fn bytes_field(number: u8, bytes: &[u8], message: &mut Vec<u8>) {
    message.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(bytes);
}
