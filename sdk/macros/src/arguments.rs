//! What `#[service(…)]` is told: a name and a version.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, LitStr, Result, meta::ParseNestedMeta, parse::Parser};

/// The longest name of a service: that of a DNS label.
const NAME_BYTES_MAX: usize = 63;

/// What stands in the attribute's parentheses.
#[derive(Default)]
pub(crate) struct Arguments {
    name: Option<LitStr>,
    version: Option<LitStr>,
}

impl Arguments {
    /// Reads `name = "…"` and `version = "…"`, each once at most.
    pub(crate) fn read(tokens: TokenStream) -> Result<Arguments> {
        let mut arguments = Arguments::default();
        let parser = syn::meta::parser(|meta: ParseNestedMeta| {
            let slot = if meta.path.is_ident("name") {
                &mut arguments.name
            } else if meta.path.is_ident("version") {
                &mut arguments.version
            } else {
                return Err(meta.error("not known here: there are `name = \"…\"` and `version = \"…\"`"));
            };
            if slot.is_some() {
                return Err(meta.error("given twice"));
            }
            *slot = Some(meta.value()?.parse()?);
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(arguments)
    }

    /// The service's name: as given, if it is one, else the package's, made one.
    pub(crate) fn name(&self) -> Result<LitStr> {
        if let Some(given) = &self.name {
            let (text, canonical) = (given.value(), canonical(&given.value()));
            return match is_name(&text) {
                true => Ok(given.clone()),
                false if is_name(&canonical) => {
                    Err(Error::new(given.span(), format!("{text:?} is not a service name; {canonical:?} is")))
                }
                false => Err(Error::new(
                    given.span(),
                    format!(
                        "{text:?} is not a service name: it takes 1 to {NAME_BYTES_MAX} of a-z, 0-9 and '-', \
                         and starts and ends with a letter or digit"
                    ),
                )),
            };
        }
        let missing = "the package's name is none for a service: give one, `#[service(name = \"…\")]`";
        // Of the package being compiled: cargo sets it for the compiler.
        let package = canonical(&std::env::var("CARGO_PKG_NAME").unwrap_or_default());
        match is_name(&package) {
            true => Ok(LitStr::new(&package, Span::call_site())),
            false => Err(Error::new(Span::call_site(), missing)),
        }
    }

    /// The service's version: as given, else the package's.
    pub(crate) fn version(&self) -> TokenStream {
        match &self.version {
            Some(version) => quote!(#version),
            None => quote!(::core::env!("CARGO_PKG_VERSION")),
        }
    }
}

/// `text` as a name, as far as that goes without guessing.
fn canonical(text: &str) -> String {
    text.trim().to_ascii_lowercase().replace(['_', ' '], "-")
}

/// The rule of `micro_sdk::wire::ServiceName`, which checks again at run time.
fn is_name(text: &str) -> bool {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    let inner = bytes.iter().all(|byte| edge(Some(byte)) || *byte == b'-');
    inner && bytes.len() <= NAME_BYTES_MAX && edge(bytes.first()) && edge(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_checked_as_the_sdk_checks_it() {
        for good in ["a", "helloworld", "a-1", "0", &"a".repeat(63)] {
            assert!(is_name(good), "{good:?}");
        }
        for bad in ["", "A", "-a", "a-", "a.b", "a/b", "a b", "ü", &"a".repeat(64)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
