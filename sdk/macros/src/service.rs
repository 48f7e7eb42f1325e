//! `#[service]`: reads an `impl`, checks what can be checked here, and writes the dispatch.

use crate::{arguments::Arguments, route::Route, streams::Side};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, ImplItem, ImplItemFn, ItemImpl, Lit, Meta, Result, ReturnType,
    Type, ext::IdentExt, spanned::Spanned,
};

/// The impl as it was, and an impl of `micro_sdk::serve::Service` beside it.
pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments = Arguments::read(attribute)?;
    let mut item: ItemImpl = syn::parse2(item)?;
    if let Some((_, path, _)) = &item.trait_ {
        return Err(Error::new_spanned(path, "#[service] goes on an inherent impl: `impl Greeter { … }`"));
    }
    let handler = handler(&item.self_ty)?;
    let written = item.clone();
    // The compiler knows nothing of this attribute.
    for method in item.items.iter_mut() {
        if let ImplItem::Fn(method) = method {
            method.attrs.retain(|attribute| !Route::is(attribute));
        }
    }
    let endpoints = written
        .items
        .iter()
        .filter_map(|item| match item {
            ImplItem::Fn(method) if method.sig.asyncness.is_some() => Some(Endpoint::read(&handler, method)),
            _ => None,
        })
        .collect::<Result<Vec<Endpoint>>>()?;
    if endpoints.is_empty() {
        let none = "a service needs an endpoint: `async fn call(&self, req: Hello) -> Result<Greeting>`";
        return Err(Error::new_spanned(&item.self_ty, none));
    }
    let described = endpoints.iter().map(Endpoint::description);
    let (streams, calls): (Vec<_>, Vec<_>) = endpoints.iter().partition(|endpoint| endpoint.is_stream());
    let arms = calls.into_iter().map(Endpoint::arm);
    let converse = converse(&streams);
    let (name, version) = (arguments.name()?, arguments.version());
    let (generics, _, bounds) = item.generics.split_for_impl();
    let ty = &item.self_ty;
    Ok(quote! {
        #item

        impl #generics ::micro_sdk::serve::Service for #ty #bounds {
            fn name(&self) -> &str {
                #name
            }

            fn version(&self) -> &str {
                #version
            }

            fn endpoints(&self) -> ::std::vec::Vec<::micro_sdk::wire::Endpoint> {
                let mut endpoints = ::std::vec::Vec::new();
                #(#described)*
                endpoints
            }

            fn dispatch<'a>(
                &'a self,
                endpoint: &'a str,
                ctx: ::micro_sdk::serve::Ctx,
                body: ::micro_sdk::__private::Bytes,
            ) -> ::micro_sdk::__private::BoxFuture<
                'a,
                ::core::result::Result<::micro_sdk::__private::Bytes, ::micro_sdk::wire::Fault>,
            > {
                let _ = (&ctx, &body);
                match endpoint {
                    #(#arms)*
                    _ => {
                        let fault = ::micro_sdk::__private::unknown_endpoint(self, endpoint);
                        ::std::boxed::Box::pin(async move { ::core::result::Result::Err(fault) })
                    }
                }
            }

            #converse
        }
    })
}

/// The method that answers calls of streams; none where there are none.
fn converse(streams: &[&Endpoint<'_>]) -> Option<TokenStream> {
    let arms: Vec<_> = streams.iter().map(|endpoint| endpoint.conversation()).collect();
    (!arms.is_empty()).then(|| {
        quote! {
            fn converse<'a>(
                &'a self,
                endpoint: &'a str,
                ctx: ::micro_sdk::serve::Ctx,
                inbox: ::micro_sdk::serve::Inbox,
                outbox: ::micro_sdk::serve::Outbox,
            ) -> ::micro_sdk::__private::BoxFuture<
                'a,
                ::core::result::Result<(), ::micro_sdk::wire::Fault>,
            > {
                let _ = (&ctx, &inbox, &outbox);
                match endpoint {
                    #(#arms)*
                    _ => {
                        let fault = ::micro_sdk::__private::unknown_endpoint(self, endpoint);
                        ::std::boxed::Box::pin(async move { ::core::result::Result::Err(fault) })
                    }
                }
            }
        }
    })
}

/// The name of the type that has the methods.
fn handler(ty: &Type) -> Result<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.unraw().to_string()),
        _ => None,
    }
    .ok_or_else(|| Error::new_spanned(ty, "#[service] goes on the impl of a struct or an enum"))
}

/// One endpoint, as the method says it.
struct Endpoint<'a> {
    name: String,
    doc: String,
    method: &'a ImplItemFn,
    request: Side<'a>,
    answer: Side<'a>,
    takes_ctx: bool,
    /// Ways to it over HTTP.
    routes: Vec<Route>,
    /// `#[cfg]`s of the method hold for everything that names it.
    cfgs: Vec<&'a Attribute>,
}

impl<'a> Endpoint<'a> {
    fn read(handler: &str, method: &'a ImplItemFn) -> Result<Endpoint<'a>> {
        let signature = &method.sig;
        if !signature.generics.params.is_empty() {
            let generic =
                "an endpoint can't be generic: its request and answer are types that a schema describes";
            return Err(Error::new_spanned(&signature.generics, generic));
        }
        let mut arguments = signature.inputs.iter();
        match arguments.next() {
            Some(FnArg::Receiver(own)) if is_shared(own) => {}
            Some(FnArg::Receiver(own)) => {
                return Err(Error::new_spanned(
                    own,
                    "calls come at the same time: an endpoint takes `&self`",
                ));
            }
            _ => return Err(Error::new(signature.ident.span(), shape("`&self` is missing"))),
        }
        let request = match arguments.next() {
            Some(FnArg::Typed(argument)) => owned(&argument.ty)?,
            _ => return Err(Error::new(signature.ident.span(), shape("the request is missing"))),
        };
        let takes_ctx = match arguments.next() {
            Some(FnArg::Typed(argument)) if is_ctx(&argument.ty) => true,
            Some(other) => return Err(Error::new_spanned(other, shape("this can only be `ctx: Ctx`"))),
            None => false,
        };
        if is_ctx(request) {
            return Err(Error::new_spanned(request, shape("the request comes before the context")));
        }
        let request = Side::taken(request)?;
        if let Some(more) = arguments.next() {
            return Err(Error::new_spanned(more, shape("this is one too many")));
        }
        let answer = match &signature.output {
            ReturnType::Type(_, ty) => Side::given(owned(ty)?)?,
            ReturnType::Default => {
                return Err(Error::new(signature.ident.span(), "an endpoint returns a `Result<T>`"));
            }
        };
        let name = format!("{handler}.{}", signature.ident.unraw());
        let cfgs = method.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
        let routes = Route::read(&method.attrs)?;
        Ok(Endpoint { name, doc: doc(&method.attrs), method, request, answer, takes_ctx, routes, cfgs })
    }

    /// The statement that adds the endpoint's description.
    fn description(&self) -> TokenStream {
        let Endpoint { name, doc, request, answer, routes, cfgs, .. } = self;
        let streams = self.is_stream().then(|| {
            let (client, server) = (request.stream, answer.stream);
            quote!(.streams(#client, #server))
        });
        let (request, answer) = (request.message, answer.message);
        quote_spanned! {answer.span()=>
            #(#cfgs)*
            endpoints.push(
                ::micro_sdk::__private::endpoint::<#request, #answer>(#name, #doc) #streams #(#routes)*
            );
        }
    }

    fn is_stream(&self) -> bool {
        self.request.stream || self.answer.stream
    }

    /// The arm that answers its calls. Spanned on the method's name, where the compiler says so if its future
    /// is not `Send`.
    fn arm(&self) -> TokenStream {
        let Endpoint { name, request: Side { message: request, .. }, cfgs, .. } = self;
        let (method, call) = (&self.method.sig.ident, self.call());
        quote_spanned! {method.span()=>
            #(#cfgs)*
            #name => ::std::boxed::Box::pin(async move {
                let request: #request = ::micro_sdk::__private::decode(#name, &body)?;
                ::micro_sdk::__private::encode(#call.await)
            }),
        }
    }

    /// The same where one side at least is a stream.
    fn conversation(&self) -> TokenStream {
        let Endpoint { name, request: Side { message, stream }, cfgs, .. } = self;
        let (method, call) = (&self.method.sig.ident, self.call());
        let request = match stream {
            true => quote!(let request = inbox.all::<#message>(#name);),
            // The type is said, since clippy minds a request of `()` whose type is not.
            false => quote!(let request: #message = inbox.one(#name).await?;),
        };
        let answer = match self.answer.stream {
            true => quote_spanned!(method.span()=> outbox.answer_all(#call.await)),
            false => quote_spanned!(method.span()=> outbox.answer(#call.await)),
        };
        quote_spanned! {method.span()=>
            #(#cfgs)*
            #name => ::std::boxed::Box::pin(async move {
                #request
                #answer.await
            }),
        }
    }

    /// The call of the method.
    fn call(&self) -> TokenStream {
        let method = &self.method.sig.ident;
        match self.takes_ctx {
            true => quote_spanned!(method.span()=> self.#method(request, ctx)),
            false => quote_spanned!(method.span()=> self.#method(request)),
        }
    }
}

fn shape(problem: &str) -> String {
    format!(
        "{problem}: an endpoint is `async fn name(&self, request: T) -> Result<U>`, with `ctx: Ctx` after \
         the request if wanted; other async methods go in an impl without #[service]"
    )
}

fn is_shared(own: &syn::Receiver) -> bool {
    own.reference.is_some() && own.mutability.is_none() && own.colon_token.is_none()
}

fn is_ctx(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Ctx"))
}

/// `ty`, if a value of it can outlive the bytes that it was read from.
fn owned(ty: &Type) -> Result<&Type> {
    match ty {
        Type::Reference(_) => {
            Err(Error::new_spanned(ty, "requests and answers are owned: take away the `&`"))
        }
        Type::ImplTrait(_) => Err(Error::new_spanned(
            ty,
            "name the type: a schema can't be made of `impl Trait`; a stream of requests is a `Streaming<T>`",
        )),
        ty => Ok(ty),
    }
}

/// The doc comment, a line each, without the space after the slashes.
fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<String> = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error that a service with this attribute and these items gives.
    fn error(attribute: TokenStream, items: TokenStream) -> String {
        expand(attribute, quote! { impl Greeter { #items } }).expect_err("it is no service").to_string()
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        let cases = [
            (quote!(), "needs an endpoint"),
            (
                quote!(
                    fn sync(&self, a: A) -> Result<B> {}
                ),
                "needs an endpoint",
            ),
            (
                quote!(
                    async fn f(a: A) -> Result<B> {}
                ),
                "`&self` is missing",
            ),
            (
                quote!(
                    async fn f(&mut self, a: A) -> Result<B> {}
                ),
                "takes `&self`",
            ),
            (
                quote!(
                    async fn f(self: Arc<Self>, a: A) -> Result<B> {}
                ),
                "takes `&self`",
            ),
            (
                quote!(
                    async fn f(&self) -> Result<B> {}
                ),
                "request is missing",
            ),
            (
                quote!(
                    async fn f(&self, ctx: Ctx) -> Result<B> {}
                ),
                "request comes before",
            ),
            (
                quote!(
                    async fn f(&self, a: &A) -> Result<B> {}
                ),
                "owned",
            ),
            (
                quote!(
                    async fn f(&self, a: impl A) -> Result<B> {}
                ),
                "name the type",
            ),
            (
                quote!(
                    async fn f(&self, a: A, b: B) -> Result<B> {}
                ),
                "only be `ctx: Ctx`",
            ),
            (
                quote!(
                    async fn f(&self, a: A, ctx: Ctx, b: B) -> Result<B> {}
                ),
                "one too many",
            ),
            (
                quote!(
                    async fn f<T>(&self, a: T) -> Result<B> {}
                ),
                "generic",
            ),
            (
                quote!(
                    async fn f(&self, a: A) {}
                ),
                "returns a `Result<T>`",
            ),
        ];
        for (items, reason) in cases {
            let text = error(quote!(), items.clone());
            assert!(text.contains(reason), "{items}: {text}");
        }
    }

    #[test]
    fn a_bad_attribute_is_refused_with_the_reason() {
        let good = quote!(
            async fn f(&self, a: A) -> Result<B> {}
        );
        let cases = [
            (quote!(name = "Chat_Room"), "\"chat-room\" is"),
            (quote!(name = "a/b"), "takes 1 to 63"),
            (quote!(name = ""), "takes 1 to 63"),
            (quote!(name = "a", name = "b"), "given twice"),
            (quote!(title = "a"), "not known here"),
            (quote!(name = 1), "string literal"),
        ];
        for (attribute, reason) in cases {
            let text = error(attribute.clone(), good.clone());
            assert!(text.contains(reason), "{attribute}: {text}");
        }
        let on_trait = expand(quote!(), quote! { impl Trait for Greeter { #good } });
        assert!(on_trait.expect_err("it is a trait's").to_string().contains("inherent impl"));
    }
}
