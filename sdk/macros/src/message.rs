//! `#[message]`. An attribute and not a derive, because a derive can't add other derives.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use std::collections::BTreeSet;
use syn::{Attribute, Error, Item, Path, Result, Token, punctuated::Punctuated};

/// The item with the derives of a message.
pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    super::refuse_arguments(&attribute)?;
    let parsed: Item = syn::parse2(item.clone())?;
    let attributes = match &parsed {
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        other => {
            let only = "#[message] goes on a struct or an enum";
            return Err(Error::new_spanned(other.to_token_stream().into_iter().next(), only));
        }
    };
    let present = derived(attributes)?;
    let all = [
        ("Serialize", quote!(::micro_sdk::__private::serde::Serialize)),
        ("Deserialize", quote!(::micro_sdk::__private::serde::Deserialize)),
        ("JsonSchema", quote!(::micro_sdk::__private::schemars::JsonSchema)),
        ("Clone", quote!(::core::clone::Clone)),
        ("Debug", quote!(::core::fmt::Debug)),
    ];
    let derives = all.into_iter().filter(|(name, _)| !present.contains(*name)).map(|(_, path)| path);
    Ok(quote! {
        #[derive(#(#derives),*)]
        #[serde(crate = "::micro_sdk::__private::serde")]
        #[schemars(crate = "::micro_sdk::__private::schemars")]
        #item
    })
}

/// The last segments of the paths that `attributes` derive.
fn derived(attributes: &[Attribute]) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let paths = attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)?;
        names.extend(paths.iter().filter_map(|path| path.segments.last()).map(|last| last.ident.to_string()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_of_fields_are_messages() {
        for item in [quote! { fn f() {} }, quote! { union U { a: u8 } }, quote! { type A = u8; }] {
            let error = expand(quote!(), item).expect_err("it is no message").to_string();
            assert!(error.contains("a struct or an enum"), "{error}");
        }
    }

    #[test]
    fn what_is_derived_already_is_not_derived_again() {
        let tokens =
            expand(quote!(), quote! { #[derive(Clone, std::fmt::Debug)] struct A; }).expect("a message");
        let text = tokens.to_string();
        assert_eq!(text.matches("Clone").count(), 1, "{text}");
        assert_eq!(text.matches("Debug").count(), 1, "{text}");
        assert_eq!(text.matches("Serialize").count(), 1, "{text}");
    }
}
