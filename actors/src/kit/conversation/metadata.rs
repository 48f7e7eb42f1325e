//! Headers of HTTP as they travel between nodes.

use http::{HeaderMap, HeaderName, HeaderValue};
use micro_mesh::Metadata;

/// The headers as metadata.
pub(super) fn metadata(headers: &HeaderMap) -> Metadata {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// Metadata as headers, without what can't be one.
pub(super) fn headers(metadata: Metadata) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(metadata.len());
    for (name, value) in metadata {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&value)) {
            headers.append(name, value);
        }
    }
    headers
}
