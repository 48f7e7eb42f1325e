//! Prepared gRPC requests: a 16-byte key and a 256-byte value, encoded by hand so that both stores get the same.

/// The key.
pub const KEY: &str = "bench/0123456789";
/// The value.
pub const VALUE: &[u8] = &[b'v'; 256];

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8], message: &mut Vec<u8>) {
    message.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(bytes);
}

/// A message behind gRPC's prefix: not compressed, and its length.
fn grpc(message: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a request is a few hundred bytes");
    let mut frame = vec![0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend(message);
    frame
}

/// `micro.v1.WriteRequest`.
pub fn write() -> Vec<u8> {
    let mut message = Vec::new();
    field(2, KEY.as_bytes(), &mut message);
    field(3, VALUE, &mut message);
    grpc(message)
}

/// `micro.v1.ReadRequest`.
pub fn read(stale: bool) -> Vec<u8> {
    let mut message = Vec::new();
    field(2, KEY.as_bytes(), &mut message);
    if stale {
        message.extend_from_slice(&[3 << 3, 1]);
    }
    grpc(message)
}

/// `etcdserverpb.PutRequest`.
pub fn put() -> Vec<u8> {
    let mut message = Vec::new();
    field(1, KEY.as_bytes(), &mut message);
    field(2, VALUE, &mut message);
    grpc(message)
}

/// `etcdserverpb.RangeRequest`.
pub fn range() -> Vec<u8> {
    let mut message = Vec::new();
    field(1, KEY.as_bytes(), &mut message);
    grpc(message)
}
