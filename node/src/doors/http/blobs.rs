//! Public blobs over HTTP: `GET` and `HEAD` of `/-/blob/NAMESPACE/NAME`. No service's name begins with a dash.

use super::problem::Refusal;
use crate::node::{Context, Local};
use axum::{body::Body, response::Response};
use futures::stream;
use http::{
    HeaderValue, Method,
    header::{
        CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, X_CONTENT_TYPE_OPTIONS,
    },
    request::Parts,
};
use micro_actors::blob::{BlobName, BlobView, GetBlobRequest};
use micro_sdk::wire::{Code, Fault, Namespace};
use percent_encoding::percent_decode_str;

/// What the paths of public blobs begin with.
const PREFIX: &str = "/-/blob/";
/// What is said of a blob of which nobody said what it is.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Whether a request is for a public blob.
pub(super) fn wanted(request: &Parts) -> bool {
    request.uri.path().starts_with(PREFIX)
}

/// Answers it. The bytes follow as fast as the caller takes them.
///
/// # Errors
/// 404 for what is not there or not public, 405 for anything but `GET` and `HEAD`.
pub(super) async fn answer(local: &Local, context: &Context, request: &Parts) -> Result<Response, Refusal> {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(Refusal::method(&request.method, "GET, HEAD"));
    }
    let (namespace, name) = target(request.uri.path())?;
    let (view, body) = if request.method == Method::HEAD {
        (local.head_blob(context, &namespace, &name, false).await?, Body::empty())
    } else {
        let get = GetBlobRequest { namespace, name, offset: 0, length: None, stale: false };
        let download = local.get_blob(context, get).await?;
        let view = download.view().clone();
        // After a failure the body ends short of its length, so that nobody takes it for whole.
        let pieces = stream::try_unfold(download, |mut download| async move {
            let piece = download.next().await?;
            Ok::<_, Fault>(piece.map(|piece| (piece, download)))
        });
        (view, Body::from_stream(pieces))
    };
    let mut response = Response::new(body);
    describe(&view, response.headers_mut());
    Ok(response)
}

/// The namespace and the name in a path.
fn target(path: &str) -> Result<(Namespace, BlobName), Fault> {
    let shape = || {
        Fault::new(Code::NotFound, format!("nothing is at {path:?}"))
            .help("read a public blob as /-/blob/NAMESPACE/NAME, such as /-/blob/default/logo.png")
    };
    let rest = path.strip_prefix(PREFIX).ok_or_else(shape)?;
    let (namespace, name) = rest.split_once('/').ok_or_else(shape)?;
    let name = percent_decode_str(name).decode_utf8().map_err(|_| shape())?;
    Ok((namespace.parse().map_err(|_| shape())?, BlobName::parse(&name)?))
}

fn describe(view: &BlobView, headers: &mut HeaderMap) {
    let text = |text: &str| HeaderValue::from_str(text).ok();
    let kind = text(&view.content_type).filter(|kind| !kind.is_empty());
    headers.insert(CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static(UNKNOWN_TYPE)));
    headers.insert(CONTENT_LENGTH, view.bytes.into());
    if let Some(tag) = text(&format!("\"{}\"", view.hash)) {
        headers.insert(ETAG, tag);
    }
    // A page among the blobs must not act as if it were of this host.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_namespace_and_a_blob() {
        let (namespace, name) = target("/-/blob/default/a/b%20c+d").expect("a good path");
        assert_eq!((namespace, name.as_str()), (Namespace::default(), "a/b c+d"));
        for bad in ["/-/blob/default", "/-/blob/default/", "/-/blob/X/a", "/-/blob/default/a%00"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
