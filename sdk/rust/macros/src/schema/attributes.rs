//! Reads serde's attributes, `#[schema(any)]` and doc comments of a type, a field or a variant.
//! Does not interpret them.

use super::names::Convention;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, Token};

/// All attributes that matter to a schema. Attributes that a place cannot have are unset.
#[derive(Default)]
pub struct Attributes {
    /// The names for reading and writing, if they differ from the Rust name.
    pub read: Option<String>,
    pub written: Option<String>,
    /// The convention for the fields inside.
    pub fields: Option<Convention>,
    pub variants_fields: Option<Convention>,
    pub default: bool,
    pub not_read: bool,
    pub not_written: bool,
    pub may_lack: bool,
    pub flatten: bool,
    pub denies_unknown: bool,
    pub transparent: bool,
    pub untagged: bool,
    pub tag: Option<String>,
    pub content: Option<String>,
    /// The type does not describe how the value is written.
    pub any: bool,
    /// The first paragraph of the doc comment.
    pub described: Option<String>,
}

impl Attributes {
    /// Reads the attributes.
    ///
    /// # Errors
    /// `schema` has an unknown option. serde reports errors in its own attributes.
    pub fn of(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut own = Self::default();
        let mut lines = Vec::new();
        for attribute in attributes {
            if attribute.path().is_ident("serde") {
                attribute.parse_nested_meta(|meta| own.serde(&meta))?;
            } else if attribute.path().is_ident("schema") {
                attribute.parse_nested_meta(|meta| {
                    if meta.path.is_ident("any") {
                        own.any = true;
                        return Ok(());
                    }
                    Err(meta.error("`schema` takes `any` alone"))
                })?;
            } else if let Meta::NameValue(line) = &attribute.meta
                && line.path.is_ident("doc")
                && let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &line.value
            {
                lines.push(line.value().trim().to_owned());
            }
        }
        let paragraph: Vec<String> = lines.into_iter().take_while(|line| !line.is_empty()).collect();
        own.described = Some(paragraph.join(" ")).filter(|text| !text.is_empty());
        Ok(own)
    }

    fn serde(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "rename" => {
                let (read, written) = both(meta)?;
                (self.read, self.written) = (read.or(self.read.take()), written.or(self.written.take()));
            }
            // If the two directions differ, the one for reading counts.
            "rename_all" => {
                let (read, written) = both(meta)?;
                self.fields = read.or(written).as_deref().and_then(Convention::named);
            }
            "rename_all_fields" => {
                let (read, written) = both(meta)?;
                self.variants_fields = read.or(written).as_deref().and_then(Convention::named);
            }
            "default" => {
                self.default = true;
                skip(meta)?;
            }
            // An alias may replace the name.
            "alias" => {
                self.default = true;
                skip(meta)?;
            }
            "skip" => (self.not_read, self.not_written) = (true, true),
            "skip_deserializing" => self.not_read = true,
            "skip_serializing" => self.not_written = true,
            "skip_serializing_if" => {
                self.may_lack = true;
                skip(meta)?;
            }
            "flatten" => self.flatten = true,
            "deny_unknown_fields" => self.denies_unknown = true,
            "transparent" => self.transparent = true,
            "untagged" => self.untagged = true,
            "tag" => self.tag = Some(text(meta)?),
            "content" => self.content = Some(text(meta)?),
            "with" | "serialize_with" | "deserialize_with" | "from" | "try_from" | "into" | "remote" => {
                self.any = true;
                skip(meta)?;
            }
            _ => skip(meta)?,
        }
        Ok(())
    }

    /// Returns the name for reading and the name for writing.
    pub fn names(&self, own: &str) -> (Option<String>, Option<String>) {
        let name =
            |given: &Option<String>, none: bool| (!none).then(|| given.clone().unwrap_or_else(|| own.to_owned()));
        (name(&self.read, self.not_read), name(&self.written, self.not_written))
    }
}

fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<String> {
    Ok(meta.value()?.parse::<LitStr>()?.value())
}

/// `= "x"` sets both names; `(serialize = "x", deserialize = "y")` sets each.
fn both(meta: &ParseNestedMeta<'_>) -> syn::Result<(Option<String>, Option<String>)> {
    if meta.input.peek(Token![=]) {
        let name = text(meta)?;
        return Ok((Some(name.clone()), Some(name)));
    }
    let (mut read, mut written) = (None, None);
    meta.parse_nested_meta(|meta| {
        if meta.path.is_ident("deserialize") {
            read = Some(text(&meta)?);
        } else {
            written = Some(text(&meta)?);
        }
        Ok(())
    })?;
    Ok((read, written))
}

/// Skips a value or a list that does not matter.
fn skip(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let inside;
        syn::parenthesized!(inside in meta.input);
        inside.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}
