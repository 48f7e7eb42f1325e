//! The attribute macros of the micro-node SDK. Use them through `micro_sdk::prelude`.
//!
//! Each expands to code that names `::micro_sdk` and nothing else, so a service depends on that crate and
//! tokio only.

mod arguments;
mod entry;
mod message;
mod route;
mod service;
mod streams;

use proc_macro::TokenStream;

/// Makes an inherent `impl` a service: each `async` method is an endpoint, `Type.method`.
///
/// An endpoint takes `&self`, one request and, if it wants, `ctx: Ctx`; it returns `Result<T>`, or `Result<T,
/// E>` where `E: Into<Fault>`. Request and answer are [`macro@message`]s, or anything with `Deserialize` or
/// `Serialize` and `JsonSchema`. Doc comments become the documentation of the API. Methods without `async`,
/// and those of other
/// `impl` blocks, are left alone.
///
/// Where the request is a `Streaming<T>`, the caller says any number of messages; where the answer is `Result<impl
/// Stream<Item = Result<U>>>`, the service does. An error in the stream ends it, and is the end of the call.
///
/// An endpoint is called over HTTP as `/SERVICE/METHOD`. `#[endpoint(get = "/greet/{name}")]` on it adds a path of its own
/// for one of `get`, `post`, `put`, `patch` and `delete`; `{name}` is one segment, given as the field `name` of the
/// request, and `{path=**}` at the end all that is left. With `host = "shop.example.org"` it is for that host alone.
///
/// The service is named after its package, with `_` as `-` and in lowercase, and has its version, unless the
/// attribute says otherwise: `#[service(name = "chat", version = "2")]`.
#[proc_macro_attribute]
pub fn service(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    finish(service::expand(attribute.into(), item.clone()), item)
}

/// Makes a struct or enum something that endpoints take and give: `Serialize`, `Deserialize`, `JsonSchema`,
/// `Clone` and `Debug`, unless a `derive` below it has them already. `#[serde(…)]` works as ever.
#[proc_macro_attribute]
pub fn message(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    finish(message::expand(attribute.into(), item.clone()), item)
}

/// Makes `async fn main() -> Result<()>` the program: it runs on one thread, prints the error that it
/// returns, and exits with that error's code.
#[proc_macro_attribute]
pub fn main(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    finish(entry::expand(attribute.into(), item.clone()), proc_macro2::TokenStream::new())
}

/// The expansion; or the error beside what the user wrote, so that it is the only error shown.
fn finish(expansion: syn::Result<proc_macro2::TokenStream>, item: proc_macro2::TokenStream) -> TokenStream {
    let tokens = expansion.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote::quote! { #item #error }
    });
    tokens.into()
}

/// The error for an attribute that was given something and takes nothing.
fn refuse_arguments(attribute: &proc_macro2::TokenStream) -> syn::Result<()> {
    match attribute.is_empty() {
        true => Ok(()),
        false => Err(syn::Error::new_spanned(attribute, "this attribute takes no arguments")),
    }
}
