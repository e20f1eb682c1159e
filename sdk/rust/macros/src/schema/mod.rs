//! `#[derive(Schema)]`: describes a type's JSON by serde's rules as a constant. The SDK writes it
//! as text.

mod attributes;
mod names;

use attributes::Attributes;
use proc_macro2::{TokenStream as Tokens, TokenTree};
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Fields, GenericParam, Type, Variant};

/// Generates the implementation for a type.
///
/// # Errors
/// The type is a union, which has no JSON.
pub fn derive(input: &DeriveInput) -> syn::Result<Tokens> {
    let own = Attributes::of(&input.attrs)?;
    let parameters: Vec<String> = input.generics.type_params().map(|parameter| parameter.ident.to_string()).collect();
    let node = if own.any {
        quote!(#SCHEMA::Node::Any)
    } else {
        match &input.data {
            Data::Struct(data) => structure(&own, &data.fields, &parameters)?,
            Data::Enum(data) => enumeration(&own, data.variants.iter(), &parameters)?,
            Data::Union(data) => {
                return Err(syn::Error::new(data.union_token.span, "a union has no JSON, so it has no schema"));
            }
        }
    };
    let node = described(&own, node);
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for parameter in &mut generics.params {
        if let GenericParam::Type(parameter) = parameter {
            parameter.bounds.push(syn::parse_quote!(::tidemill_sdk::Schema));
        }
    }
    let (before, _, bounds) = generics.split_for_impl();
    let (_, after, _) = input.generics.split_for_impl();
    Ok(quote! {
        impl #before ::tidemill_sdk::Schema for #name #after #bounds {
            const NODE: &'static ::tidemill_sdk::schema::Node = {
                #[allow(unused_imports)]
                use ::tidemill_sdk::schema::Otherwise as _;
                &#node
            };
        }
    })
}

/// The module path at the start of all generated paths.
struct Path;
const SCHEMA: Path = Path;

impl quote::ToTokens for Path {
    fn to_tokens(&self, tokens: &mut Tokens) {
        tokens.extend(quote!(::tidemill_sdk::schema));
    }
}

fn described(attributes: &Attributes, node: Tokens) -> Tokens {
    match &attributes.described {
        Some(what) => quote!(#SCHEMA::Node::Described(#what, &#node)),
        None => node,
    }
}

/// Returns a reference to the constant of a type. A type that depends on parameters must have a
/// schema; others may lack one.
fn node_of(of: &Type, parameters: &[String]) -> Tokens {
    if mentions(quote!(#of), parameters) {
        quote!(<#of as ::tidemill_sdk::Schema>::NODE)
    } else {
        quote!(#SCHEMA::Probe::<#of>::NODE)
    }
}

fn mentions(tokens: Tokens, names: &[String]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.iter().any(|name| ident == name),
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => false,
    })
}

fn structure(own: &Attributes, fields: &Fields, parameters: &[String]) -> syn::Result<Tokens> {
    match fields {
        Fields::Named(named) if own.transparent && named.named.len() == 1 => {
            let node = node_of(&named.named[0].ty, parameters);
            Ok(quote!(#SCHEMA::Node::Same(#node)))
        }
        Fields::Named(_) => object(own, fields, &[], own.default, own.fields, parameters),
        Fields::Unnamed(unnamed) => tuple(unnamed.unnamed.iter().map(|field| &field.ty), parameters),
        Fields::Unit => Ok(quote!(#SCHEMA::Node::Null)),
    }
}

/// Describes unnamed fields. A struct with a single unnamed field has the description of that
/// field.
fn tuple<'a>(types: impl Iterator<Item = &'a Type>, parameters: &[String]) -> syn::Result<Tokens> {
    let nodes: Vec<Tokens> = types.map(|part| node_of(part, parameters)).collect();
    Ok(match nodes.as_slice() {
        [] => quote!(#SCHEMA::Node::Tuple(&[])),
        [one] => quote!(#SCHEMA::Node::Same(#one)),
        all => quote!(#SCHEMA::Node::Tuple(&[#(#all),*])),
    })
}

/// Describes an object, with the tag of the variant before its fields.
fn object(
    own: &Attributes,
    fields: &Fields,
    tags: &[Tokens],
    all_default: bool,
    convention: Option<names::Convention>,
    parameters: &[String],
) -> syn::Result<Tokens> {
    let mut parts = tags.to_vec();
    let mut open = false;
    for field in fields {
        let attributes = Attributes::of(&field.attrs)?;
        if attributes.flatten {
            // The names of the inner type are not known here, so any name is accepted.
            open = true;
            continue;
        }
        let ident = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let ident = ident.trim_start_matches("r#");
        let name = convention.map_or_else(|| ident.to_owned(), |convention| convention.field(ident));
        let (read, written) = attributes.names(&name);
        let node = if attributes.any { quote!(&#SCHEMA::Node::Any) } else { node_of(&field.ty, parameters) };
        let node = match &attributes.described {
            Some(what) => quote!(&#SCHEMA::Node::Described(#what, #node)),
            None => node,
        };
        let needed = !(attributes.default || all_default || is_option(&field.ty));
        let may_lack = attributes.may_lack;
        parts.push(field_of(read.as_deref(), written.as_deref(), needed, may_lack, &node));
    }
    let extra = if own.denies_unknown && !open { format_ident!("Denied") } else { format_ident!("Allowed") };
    Ok(quote!(#SCHEMA::Node::Object(&[#(#parts),*], #SCHEMA::Extra::#extra)))
}

fn field_of(read: Option<&str>, written: Option<&str>, needed: bool, may_lack: bool, node: &Tokens) -> Tokens {
    let (read, written) = (some(read), some(written));
    quote!(#SCHEMA::Field { read: #read, written: #written, needed: #needed, may_lack: #may_lack, node: #node })
}

fn some(text: Option<&str>) -> Tokens {
    text.map_or_else(|| quote!(::std::option::Option::None), |text| quote!(::std::option::Option::Some(#text)))
}

/// Recognizes `Option` by its name, like serde.
fn is_option(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}

fn enumeration<'a>(
    own: &Attributes,
    variants: impl Iterator<Item = &'a Variant> + Clone,
    parameters: &[String],
) -> syn::Result<Tokens> {
    let plain = own.tag.is_none() && !own.untagged;
    let texts = plain && variants.clone().all(|variant| matches!(variant.fields, Fields::Unit));
    let mut parts = Vec::new();
    for variant in variants {
        let attributes = Attributes::of(&variant.attrs)?;
        let ident = variant.ident.to_string();
        let name = own.fields.map_or_else(|| ident.clone(), |convention| convention.variant(&ident));
        let (read, written) = attributes.names(&name);
        let (read, written) = (some(read.as_deref()), some(written.as_deref()));
        let node = if texts {
            quote!(#SCHEMA::Node::Any)
        } else {
            described(&attributes, one_variant(own, &attributes, variant, &name, parameters)?)
        };
        parts.push(quote!(#SCHEMA::Variant { read: #read, written: #written, node: &#node }));
    }
    Ok(if texts {
        quote!(#SCHEMA::Node::OneOfTexts(&[#(#parts),*]))
    } else {
        quote!(#SCHEMA::Node::AnyOf(&[#(#parts),*]))
    })
}

fn one_variant(
    own: &Attributes,
    attributes: &Attributes,
    variant: &Variant,
    name: &str,
    parameters: &[String],
) -> syn::Result<Tokens> {
    let (read, written) = attributes.names(name);
    let (some_read, some_written) = (some(read.as_deref()), some(written.as_deref()));
    // The string that identifies the variant.
    let text = quote!(#SCHEMA::Node::OneOfTexts(&[#SCHEMA::Variant {
        read: #some_read, written: #some_written, node: &#SCHEMA::Node::Any
    }]));
    let inside = |tags: &[Tokens]| match &variant.fields {
        Fields::Named(_) => {
            let convention = attributes.fields.or(own.variants_fields);
            object(own, &variant.fields, tags, false, convention, parameters)
        }
        Fields::Unnamed(unnamed) => tuple(unnamed.unnamed.iter().map(|field| &field.ty), parameters),
        Fields::Unit => Ok(quote!(#SCHEMA::Node::Null)),
    };
    if own.untagged {
        return inside(&[]);
    }
    let Some(tag) = own.tag.as_deref() else {
        if matches!(variant.fields, Fields::Unit) {
            return Ok(text);
        }
        let node = inside(&[])?;
        let field = field_of(read.as_deref(), written.as_deref(), true, false, &quote!(&#node));
        return Ok(quote!(#SCHEMA::Node::Object(&[#field], #SCHEMA::Extra::Denied)));
    };
    let tag = field_of(Some(tag), Some(tag), true, false, &quote!(&#text));
    if let Some(content) = own.content.as_deref() {
        let mut fields = vec![tag];
        if !matches!(variant.fields, Fields::Unit) {
            let node = inside(&[])?;
            fields.push(field_of(Some(content), Some(content), true, false, &quote!(&#node)));
        }
        return Ok(quote!(#SCHEMA::Node::Object(&[#(#fields),*], #SCHEMA::Extra::Allowed)));
    }
    match &variant.fields {
        Fields::Named(_) => inside(&[tag]),
        // The fields of the inner value are next to the tag. They are not known here.
        _ => Ok(quote!(#SCHEMA::Node::Object(&[#tag], #SCHEMA::Extra::Allowed))),
    }
}
