//! Which sides of an endpoint are streams: that of the caller by `Streaming<T>`, that of the service by
//! `Result<impl Stream<Item = Result<U>>>`.

use syn::{AssocType, Error, GenericArgument, Path, PathArguments, Result, Type, TypeParamBound};

/// A side of an endpoint, as its type says.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    /// The type of one message. Of an answer, it is that of a result.
    pub(crate) message: &'a Type,
    /// Whether there is any number of them.
    pub(crate) stream: bool,
}

impl<'a> Side<'a> {
    /// What a request of this type is.
    pub(crate) fn taken(ty: &'a Type) -> Result<Side<'a>> {
        let Some(path) = path_of(ty).filter(|path| ends_with(path, "Streaming")) else {
            return Ok(Side { message: ty, stream: false });
        };
        match first_type(path) {
            Some(message) => Ok(Side { message, stream: true }),
            None => Err(Error::new_spanned(ty, "the type of a message is missing: `Streaming<T>`")),
        }
    }

    /// What an answer of this type is.
    pub(crate) fn given(ty: &'a Type) -> Result<Side<'a>> {
        let Some(Type::ImplTrait(given)) = path_of(ty).and_then(first_type) else {
            return Ok(Side { message: ty, stream: false });
        };
        let stream = given.bounds.iter().find_map(|bound| match bound {
            TypeParamBound::Trait(bound) if ends_with(&bound.path, "Stream") => Some(&bound.path),
            _ => None,
        });
        let other = "name the type: a schema can't be made of `impl Trait`, but for `impl Stream`";
        let stream = stream.ok_or_else(|| Error::new_spanned(given, other))?;
        let item = "what the stream gives is missing: `impl Stream<Item = Result<T>>`";
        let message = item_of(stream).ok_or_else(|| Error::new_spanned(stream, item))?;
        Ok(Side { message, stream: true })
    }
}

fn path_of(ty: &Type) -> Option<&Path> {
    match ty {
        Type::Path(ty) => Some(&ty.path),
        _ => None,
    }
}

fn ends_with(path: &Path, name: &str) -> bool {
    path.segments.last().is_some_and(|last| last.ident == name)
}

/// What stands in the angle brackets at the end of a path.
fn arguments(path: &Path) -> impl Iterator<Item = &GenericArgument> {
    let arguments = match path.segments.last().map(|last| &last.arguments) {
        Some(PathArguments::AngleBracketed(arguments)) => Some(&arguments.args),
        _ => None,
    };
    arguments.into_iter().flatten()
}

fn first_type(path: &Path) -> Option<&Type> {
    arguments(path).find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn item_of(stream: &Path) -> Option<&Type> {
    arguments(stream).find_map(|argument| match argument {
        GenericArgument::AssocType(AssocType { ident, ty, .. }) if ident == "Item" => Some(ty),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;

    /// The type of a message of a request of type `text`, with a star for a stream; or why it is none.
    fn taken(text: &str) -> String {
        let ty: Type = syn::parse_str(text).expect("a type");
        shown(Side::taken(&ty))
    }

    /// The same of an answer.
    fn given(text: &str) -> String {
        let ty: Type = syn::parse_str(text).expect("a type");
        shown(Side::given(&ty))
    }

    fn shown(side: Result<Side<'_>>) -> String {
        match side {
            Ok(side) => {
                let message = side.message.to_token_stream().to_string().replace(' ', "");
                if side.stream { format!("{message}*") } else { message }
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn streams_are_told_by_their_types() {
        for (text, expected) in [
            ("Line", "Line"),
            ("Streaming<Line>", "Line*"),
            ("serve::Streaming<Vec<u8>>", "Vec<u8>*"),
            ("Vec<Line>", "Vec<Line>"),
            ("Streaming", "the type of a message is missing: `Streaming<T>`"),
        ] {
            assert_eq!(taken(text), expected);
        }
        for (text, expected) in [
            ("Result<Line>", "Result<Line>"),
            ("Answer", "Answer"),
            ("Result<impl Stream<Item = Result<Line>>>", "Result<Line>*"),
            ("Result<impl Stream<Item = Result<u8, E>> + use<'_>, F>", "Result<u8,E>*"),
        ] {
            assert_eq!(given(text), expected);
        }
        assert!(given("Result<impl Stream>").contains("Item = Result<T>"));
        assert!(given("Result<impl Clone>").contains("name the type"));
    }
}
