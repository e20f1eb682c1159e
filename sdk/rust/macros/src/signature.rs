//! Checks the function under an attribute, explains its errors, and wraps the generated code of a
//! macro. Does not know the worlds.

use proc_macro::TokenStream;
use proc_macro2::{TokenStream as Tokens, TokenTree};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{FnArg, GenericArgument, ItemFn, LitStr, PathArguments, ReturnType, Token, Type, spanned::Spanned};

/// The requirements of an attribute on its function.
pub struct Shape {
    /// The name of the attribute.
    pub attribute: &'static str,
    /// The name of the world in messages.
    pub world: &'static str,
    /// The meaning of the parameter; empty if there is none.
    pub takes: &'static str,
    /// Whether the attribute may declare signals.
    pub signals: bool,
}

/// A function that meets the requirements.
pub struct ExportSignature {
    /// Whether it has a parameter.
    pub takes_input: bool,
    /// The call expression, with `input` if the function has a parameter. It always returns a
    /// `Result`.
    pub call: Tokens,
    /// The types of its input and output, if they can be named outside it.
    input: Option<Type>,
    output: Option<Type>,
    /// The declared signals.
    signals: Vec<Signal>,
}

/// A declared signal: `name = Type`, with the name as an identifier or a string.
struct Signal {
    name: LitStr,
    payload: Type,
}

impl Parse for Signal {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = if input.peek(LitStr) {
            input.parse()?
        } else {
            let name = syn::Ident::parse_any(input)?;
            LitStr::new(&name.to_string(), name.span())
        };
        input.parse::<Token![=]>()?;
        Ok(Self { name, payload: input.parse()? })
    }
}

/// The arguments of an attribute: none, or `signals(…)`.
struct Arguments(Vec<Signal>);

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let name: syn::Ident = input.parse()?;
        if name != "signals" {
            return Err(syn::Error::new(name.span(), "expected `signals(name = Type, …)`"));
        }
        let list;
        syn::parenthesized!(list in input);
        let signals = list.parse_terminated(Signal::parse, Token![,])?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self(signals.into_iter().collect()))
    }
}

impl ExportSignature {
    /// Generates the component's section with the schemas of its input and output, unless both may
    /// be any value.
    pub fn section(&self) -> Tokens {
        let node = |of: &Option<Type>| match of {
            Some(of) => quote!(::tidemill_sdk::schema::Probe::<#of>::NODE),
            None => quote!(&::tidemill_sdk::schema::Node::Any),
        };
        let (input, output) = (node(&self.input), node(&self.output));
        let signals = self.signals.iter().map(|Signal { name, payload }| {
            let node = node(&Some(payload.clone()));
            quote!((#name, #node))
        });
        let signals = quote!(&[#(#signals),*]);
        quote! {
            #[cfg(target_arch = "wasm32")]
            const _: () = {
                #[allow(unused_imports)]
                use ::tidemill_sdk::schema::Otherwise as _;
                const LEN: usize = ::tidemill_sdk::schema::section_len(#input, #output, #signals);
                #[unsafe(link_section = "tidemill:schema")]
                static SECTION: [u8; LEN] = ::tidemill_sdk::schema::section(#input, #output, #signals);
            };
        }
    }
}

/// The generated parts of a macro.
pub struct Export {
    /// The trait of the world's bindings.
    pub guest: Tokens,
    /// The function of the trait.
    pub function: Tokens,
    /// The implementation for a type `__TidemillExport`, and the exports.
    pub item: Tokens,
}

impl Shape {
    /// Returns the unchanged function and the code that `export` generates for it.
    pub fn expand(
        &self,
        arguments: TokenStream,
        item: TokenStream,
        export: impl FnOnce(ExportSignature) -> Export,
    ) -> TokenStream {
        let kept = Tokens::from(item.clone());
        let checked = syn::parse::<ItemFn>(item)
            .map_err(|error| {
                syn::Error::new(
                    error.span(),
                    format!("`#[tidemill_sdk::{}]` needs a function: {error}", self.attribute),
                )
            })
            .and_then(|function| {
                if !self.signals && !arguments.is_empty() {
                    let given = Tokens::from(arguments);
                    return Err(syn::Error::new(given.span(), format!("`{}` takes no arguments", self.attribute)));
                }
                let Arguments(signals) = syn::parse(arguments)?;
                Ok(ExportSignature { signals, ..self.check(&function)? })
            });
        match checked {
            Ok(exported) => {
                let Export { guest, function, item: exports } = export(exported);
                quote! {
                    #kept
                    const _: () = {
                        struct __TidemillExport;
                        #exports
                        // Outside a component, nothing calls the export. The author must not get a
                        // warning about that.
                        #[allow(dead_code)]
                        fn __tidemill_reached() {
                            let _ = (__TidemillExport, <__TidemillExport as #guest>::#function);
                        }
                    };
                }
                .into()
            }
            Err(error) => {
                let error = error.to_compile_error();
                quote!(#kept #error).into()
            }
        }
    }

    fn check(&self, function: &ItemFn) -> syn::Result<ExportSignature> {
        let signature = &function.sig;
        let refuse = |spanned: &dyn ToSpan, why: String| Err(syn::Error::new(spanned.to_span(), why));
        if let Some(keyword) = &signature.asyncness {
            return refuse(keyword, format!("a {} is not async: its host calls wait by themselves", self.world));
        }
        if !signature.generics.params.is_empty() {
            return refuse(&signature.generics, format!("a {} has no generic parameters", self.world));
        }
        let most = usize::from(!self.takes.is_empty());
        if signature.inputs.len() > most {
            let what = if most == 0 { "nothing".into() } else { format!("one parameter, {}", self.takes) };
            return refuse(&signature.inputs, format!("a {} takes {what}", self.world));
        }
        if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
            return refuse(receiver, format!("a {} is a plain function, not a method", self.world));
        }
        let takes_input = !signature.inputs.is_empty();
        let name = &signature.ident;
        let call = if takes_input { quote!(#name(input)) } else { quote!(#name()) };
        let call = if returns_result(&signature.output) {
            call
        } else {
            quote!(::std::result::Result::<_, ::tidemill_sdk::Error>::Ok(#call))
        };
        let input = match signature.inputs.first() {
            Some(FnArg::Typed(input)) => Some((*input.ty).clone()),
            _ => None,
        };
        let output = returned(&signature.output);
        let (input, output) = (input.filter(can_be_named), output.filter(can_be_named));
        Ok(ExportSignature { takes_input, call, input, output, signals: Vec::new() })
    }
}

/// Returns the return type, or the success type of a `Result`.
fn returned(output: &ReturnType) -> Option<Type> {
    let ReturnType::Type(_, returned) = output else { return None };
    if !returns_result(output) {
        return Some((**returned).clone());
    }
    let Type::Path(path) = &**returned else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(good) => Some(good.clone()),
        _ => None,
    })
}

/// Neither `impl Trait` nor an omitted lifetime may appear in a constant.
fn can_be_named(of: &Type) -> bool {
    fn elsewhere(tokens: Tokens) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == "impl",
            TokenTree::Punct(punct) => punct.as_char() == '&' || punct.as_char() == '\'',
            TokenTree::Group(group) => elsewhere(group.stream()),
            TokenTree::Literal(_) => false,
        })
    }
    !elsewhere(quote!(#of))
}

/// Recognizes `Result` by its name, with any path and with the omissions of an alias.
fn returns_result(output: &ReturnType) -> bool {
    match output {
        ReturnType::Type(_, returned) => match &**returned {
            Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Result"),
            _ => false,
        },
        ReturnType::Default => false,
    }
}

trait ToSpan {
    fn to_span(&self) -> proc_macro2::Span;
}

impl<T: Spanned> ToSpan for T {
    fn to_span(&self) -> proc_macro2::Span {
        self.span()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKFLOW: Shape = Shape { attribute: "workflow", world: "workflow", takes: "the run's input", signals: true };
    const HEALTH: Shape = Shape { attribute: "health", world: "health check", takes: "", signals: false };

    fn check(shape: &Shape, function: &str) -> Result<(bool, String), String> {
        let function = syn::parse_str::<ItemFn>(function).map_err(|error| error.to_string())?;
        let exported = shape.check(&function).map_err(|error| error.to_string())?;
        Ok((exported.takes_input, exported.call.to_string()))
    }

    #[test]
    fn a_result_is_known_by_its_name_and_all_else_is_wrapped() {
        let result = Ok((true, "f (input)".to_owned()));
        assert_eq!(check(&WORKFLOW, "fn f(i: Input) -> Result<Output, Error> {}"), result);
        assert_eq!(check(&WORKFLOW, "fn f(i: Input) -> tidemill_sdk::Result<Output> {}"), result);
        for plain in ["fn f() {}", "fn f() -> u8 {}", "fn f() -> (u8, u8) {}", "fn f() -> Option<Result<u8>> {}"] {
            let (takes_input, call) = check(&WORKFLOW, plain).unwrap();
            assert!(!takes_input && call.contains("Ok (f ())"), "{call}");
        }
    }

    #[test]
    fn signals_are_declared_by_name_and_type() {
        let declared = |text: &str| -> Result<Vec<(String, String)>, String> {
            let Arguments(signals) = syn::parse_str(text).map_err(|error| error.to_string())?;
            let shown = |Signal { name, payload }: &Signal| (name.value(), quote!(#payload).to_string());
            Ok(signals.iter().map(shown).collect())
        };
        let two = vec![("decision".to_owned(), "bool".to_owned()), ("paid-late".to_owned(), "Paid".to_owned())];
        assert_eq!(declared(r#"signals(decision = bool, "paid-late" = Paid)"#), Ok(two));
        assert_eq!(declared(""), Ok(Vec::new()));
        for wrong in ["signal(a = bool)", "signals(a)", "signals(a = )", "signals"] {
            assert!(declared(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said_in_the_authors_words() {
        for (shape, function, why) in [
            (&WORKFLOW, "async fn f(i: u8) -> u8 {}", "a workflow is not async: its host calls wait by themselves"),
            (&WORKFLOW, "fn f<T>(i: T) -> u8 {}", "a workflow has no generic parameters"),
            (&WORKFLOW, "fn f(a: u8, b: u8) -> u8 {}", "a workflow takes one parameter, the run's input"),
            (&WORKFLOW, "fn f(&self) -> u8 {}", "a workflow is a plain function, not a method"),
            (&HEALTH, "fn f(a: u8) -> u8 {}", "a health check takes nothing"),
        ] {
            assert_eq!(check(shape, function), Err(why.to_owned()), "{function}");
        }
    }
}
