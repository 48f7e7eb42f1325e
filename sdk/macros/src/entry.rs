//! `#[micro_sdk::main]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result};

/// `main` as the process wants it, around `main` as it was written.
pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    super::refuse_arguments(&attribute)?;
    let ItemFn { attrs, vis, sig, block } = syn::parse2(item)?;
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(sig.fn_token, "`async` is missing: `async fn main() -> Result<()>`"));
    }
    if !sig.inputs.is_empty() {
        return Err(Error::new_spanned(&sig.inputs, "main takes no arguments: see `std::env::args`"));
    }
    let (name, output) = (&sig.ident, &sig.output);
    Ok(quote! {
        #(#attrs)*
        #vis fn #name() -> ::std::process::ExitCode {
            async fn #name() #output #block
            ::micro_sdk::__private::run(#name())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_must_be_async_and_without_arguments() {
        let error = expand(quote!(), quote! { fn main() {} }).expect_err("it is not async").to_string();
        assert!(error.contains("`async` is missing"), "{error}");
        let error = expand(quote!(), quote! { async fn main(a: u8) {} }).expect_err("it has one").to_string();
        assert!(error.contains("no arguments"), "{error}");
        let error =
            expand(quote!(threads = 2), quote! { async fn main() {} }).expect_err("no such").to_string();
        assert!(error.contains("takes no arguments"), "{error}");
    }
}
