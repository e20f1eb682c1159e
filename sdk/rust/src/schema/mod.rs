//! JSON Schemas of inputs, outputs and signals, created at compile time. A type describes its JSON
//! as a constant. The constant is written as text into the component's section `tidemill:schema`.
//! The component contains no code for it.
//!
//! It does not use schemars, which creates schemas at run time: the bytes of a section must exist
//! before.

use crate::durable::RunId;
use crate::{Money, Period, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// A type with a description of its JSON. Derive it together with serde's traits. It follows their
/// attributes.
///
/// ```
/// use serde::Deserialize;
/// use tidemill_sdk::Schema;
///
/// #[derive(Deserialize, Schema)]
/// #[serde(rename_all = "camelCase")]
/// struct Order {
///     /// The shop's own number.
///     order_id: String,
///     #[serde(default)]
///     pieces: u32,
/// }
/// assert_eq!(
///     tidemill_sdk::schema::input::<Order>(),
///     concat!(
///         r#"{"type":"object","properties":{"#,
///         r#""orderId":{"description":"The shop's own number.","type":"string"},"#,
///         r#""pieces":{"type":"integer","minimum":0,"maximum":4294967295}},"#,
///         r#""required":["orderId"]}"#
///     )
/// );
/// ```
///
/// A field whose type has no schema may hold any value, as may a field marked with
/// `#[schema(any)]`. A type that contains itself needs this attribute in one place.
pub trait Schema {
    /// The description of its JSON.
    const NODE: &'static Node;
}

/// The description of a JSON value.
#[derive(Debug)]
#[non_exhaustive]
pub enum Node {
    /// Any value.
    Any,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A string.
    Text,
    /// A number.
    Number,
    /// An integer, with optional bounds.
    Integer(Option<i64>, Option<i64>),
    /// An array of any length.
    Array(&'static Node),
    /// An array of this length.
    Exactly(usize, &'static Node),
    /// An array with one description per position.
    Tuple(&'static [&'static Node]),
    /// An object with any names and values of this description.
    Map(&'static Node),
    /// One of these strings.
    OneOfTexts(&'static [Variant]),
    /// One of these descriptions.
    AnyOf(&'static [Variant]),
    /// This value or `null`.
    Option(&'static Node),
    /// An object with these fields.
    Object(&'static [Field], Extra),
    /// The same as another description.
    Same(&'static Node),
    /// A description with a text.
    Described(&'static str, &'static Node),
}

impl Node {
    const fn undescribed(&self) -> &Self {
        match self {
            Self::Described(_, node) | Self::Same(node) => node.undescribed(),
            _ => self,
        }
    }
}

/// The fields that an object may have besides its declared fields.
#[derive(Clone, Copy, Debug)]
pub enum Extra {
    /// Any.
    Allowed,
    /// None.
    Denied,
}

/// A field of an object. Its name and presence may differ between reading and writing.
#[derive(Debug)]
pub struct Field {
    /// The name in JSON that is read; `None` if the field is not read.
    pub read: Option<&'static str>,
    /// The name in JSON that is written; `None` if the field is not written.
    pub written: Option<&'static str>,
    /// Whether the field is required when read.
    pub needed: bool,
    /// Whether the field may be omitted when written.
    pub may_lack: bool,
    /// The description of its value.
    pub node: &'static Node,
}

/// One of several values.
#[derive(Debug)]
pub struct Variant {
    /// The name in JSON that is read; `None` if the variant is not read. Used only for strings.
    pub read: Option<&'static str>,
    /// The name in JSON that is written; `None` if the variant is not written.
    pub written: Option<&'static str>,
    /// The description of its value.
    pub node: &'static Node,
}

/// The direction: a value is read or written.
#[derive(Clone, Copy, Debug)]
enum Way {
    Read,
    Written,
}

/// Finds the schema of a type, or any value for a type without a schema: an inherent constant takes
/// precedence over the constant of a trait.
#[derive(Debug)]
pub struct Probe<T: ?Sized>(std::marker::PhantomData<T>);

impl<T: Schema + ?Sized> Probe<T> {
    /// The schema of the type.
    pub const NODE: &'static Node = T::NODE;
}

/// The fallback of [`Probe`] for a type without a schema.
pub trait Otherwise {
    /// Any value.
    const NODE: &'static Node = &Node::Any;
}

impl<T: ?Sized> Otherwise for Probe<T> {}

/// A fixed buffer that is filled from the front.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    const fn new() -> Self {
        Self { bytes: [b' '; N], len: 0 }
    }

    /// Also counts bytes that do not fit, so that the same code measures the length.
    const fn put(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() {
            self.byte(text[at]);
            at += 1;
        }
    }

    const fn byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }

    /// Writes a JSON string.
    const fn quoted(&mut self, text: &str) {
        self.byte(b'"');
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() {
            match text[at] {
                b'"' => self.put("\\\""),
                b'\\' => self.put("\\\\"),
                b'\n' => self.put("\\n"),
                byte if byte < 0x20 => self.byte(b' '),
                byte => self.byte(byte),
            }
            at += 1;
        }
        self.byte(b'"');
    }

    const fn number(&mut self, number: i64) {
        if number < 0 {
            self.byte(b'-');
        }
        let mut left = number.unsigned_abs();
        let mut digits = [0_u8; 20];
        let mut count = 0;
        loop {
            // A single digit always fits in a `u8`.
            digits[count] = b'0' + (left % 10) as u8;
            count += 1;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        while count > 0 {
            count -= 1;
            self.byte(digits[count]);
        }
    }

    const fn node(&mut self, node: &Node, way: Way) {
        self.byte(b'{');
        self.inside(node, way);
        self.byte(b'}');
    }

    const fn inside(&mut self, node: &Node, way: Way) {
        match node {
            Node::Any => {}
            Node::Null => self.put(r#""type":"null""#),
            Node::Bool => self.put(r#""type":"boolean""#),
            Node::Text => self.put(r#""type":"string""#),
            Node::Number => self.put(r#""type":"number""#),
            Node::Integer(least, most) => {
                self.put(r#""type":"integer""#);
                if let Some(least) = least {
                    self.put(r#","minimum":"#);
                    self.number(*least);
                }
                if let Some(most) = most {
                    self.put(r#","maximum":"#);
                    self.number(*most);
                }
            }
            Node::Array(item) => {
                self.put(r#""type":"array","items":"#);
                self.node(item, way);
            }
            Node::Exactly(count, item) => {
                self.put(r#""type":"array","minItems":"#);
                self.number(*count as i64);
                self.put(r#","maxItems":"#);
                self.number(*count as i64);
                self.put(r#","items":"#);
                self.node(item, way);
            }
            Node::Tuple(items) => {
                self.put(r#""type":"array","minItems":"#);
                self.number(items.len() as i64);
                self.put(r#","maxItems":"#);
                self.number(items.len() as i64);
                self.put(r#","prefixItems":["#);
                let mut at = 0;
                while at < items.len() {
                    if at > 0 {
                        self.byte(b',');
                    }
                    self.node(items[at], way);
                    at += 1;
                }
                self.byte(b']');
            }
            Node::Map(value) => {
                self.put(r#""type":"object","additionalProperties":"#);
                self.node(value, way);
            }
            Node::OneOfTexts(variants) => {
                self.put(r#""enum":["#);
                let mut first = true;
                let mut at = 0;
                while at < variants.len() {
                    if let Some(name) = variants[at].name(way) {
                        self.next(&mut first);
                        self.quoted(name);
                    }
                    at += 1;
                }
                self.byte(b']');
            }
            Node::AnyOf(variants) => {
                self.put(r#""anyOf":["#);
                let mut first = true;
                let mut at = 0;
                while at < variants.len() {
                    if variants[at].name(way).is_some() {
                        self.next(&mut first);
                        self.node(variants[at].node, way);
                    }
                    at += 1;
                }
                self.byte(b']');
            }
            Node::Option(node) => {
                self.put(r#""anyOf":["#);
                self.node(node, way);
                self.put(r#",{"type":"null"}]"#);
            }
            Node::Object(fields, extra) => {
                self.put(r#""type":"object","properties":{"#);
                let mut first = true;
                let mut at = 0;
                while at < fields.len() {
                    if let Some(name) = fields[at].name(way) {
                        self.next(&mut first);
                        self.quoted(name);
                        self.byte(b':');
                        self.node(fields[at].node, way);
                    }
                    at += 1;
                }
                self.put(r#"},"required":["#);
                let (mut first, mut at) = (true, 0);
                while at < fields.len() {
                    if let Some(name) = fields[at].required(way) {
                        self.next(&mut first);
                        self.quoted(name);
                    }
                    at += 1;
                }
                self.byte(b']');
                if matches!(extra, Extra::Denied) {
                    self.put(r#","additionalProperties":false"#);
                }
            }
            Node::Same(node) => self.inside(node, way),
            Node::Described(what, node) => {
                self.put(r#""description":"#);
                self.quoted(what);
                // The outer one of two descriptions wins: it describes this place.
                let node = node.undescribed();
                if !matches!(node, Node::Any) {
                    self.byte(b',');
                }
                self.inside(node, way);
            }
        }
    }

    const fn next(&mut self, first: &mut bool) {
        if !*first {
            self.byte(b',');
        }
        *first = false;
    }

    /// Writes `{"workflow":{"input":…,"output":…,"signals":{…}}}` without the parts that may be any
    /// value, or nothing if all parts may be any value.
    const fn section(&mut self, input: &Node, output: &Node, signals: &[Signal]) {
        let declares = declares(signals);
        if matches!(input, Node::Any) && matches!(output, Node::Any) && !declares {
            return;
        }
        self.put(r#"{"workflow":{"#);
        let mut first = true;
        if !matches!(input, Node::Any) {
            self.next(&mut first);
            self.put(r#""input":"#);
            self.node(input, Way::Read);
        }
        if !matches!(output, Node::Any) {
            self.next(&mut first);
            self.put(r#""output":"#);
            self.node(output, Way::Written);
        }
        if declares {
            self.next(&mut first);
            self.put(r#""signals":{"#);
            let (mut first, mut at) = (true, 0);
            while at < signals.len() {
                let (name, node) = signals[at];
                if !matches!(node, Node::Any) {
                    self.next(&mut first);
                    self.quoted(name);
                    self.byte(b':');
                    self.node(node, Way::Read);
                }
                at += 1;
            }
            self.byte(b'}');
        }
        self.put("}}");
    }
}

/// A signal that a workflow awaits: its name and the description of its payload.
pub type Signal = (&'static str, &'static Node);

/// Whether any of the signals has a described payload.
const fn declares(signals: &[Signal]) -> bool {
    let mut at = 0;
    while at < signals.len() {
        if !matches!(signals[at].1, Node::Any) {
            return true;
        }
        at += 1;
    }
    false
}

impl Field {
    const fn name(&self, way: Way) -> Option<&'static str> {
        match way {
            Way::Read => self.read,
            Way::Written => self.written,
        }
    }

    const fn required(&self, way: Way) -> Option<&'static str> {
        match way {
            Way::Read if self.needed => self.read,
            Way::Written if !self.may_lack => self.written,
            _ => None,
        }
    }
}

impl Variant {
    const fn name(&self, way: Way) -> Option<&'static str> {
        match way {
            Way::Read => self.read,
            Way::Written => self.written,
        }
    }
}

/// Returns the length of a component's section.
#[must_use]
pub const fn section_len(input: &Node, output: &Node, signals: &[Signal]) -> usize {
    let mut text = Text::<0>::new();
    text.section(input, output, signals);
    text.len
}

/// Returns a component's section, with the length from [`section_len`].
#[must_use]
pub const fn section<const N: usize>(input: &Node, output: &Node, signals: &[Signal]) -> [u8; N] {
    let mut text = Text::<N>::new();
    text.section(input, output, signals);
    text.bytes
}

/// Returns the schema of a type as an input, as text.
#[must_use]
pub fn input<T: Schema>() -> String {
    text(T::NODE, Way::Read)
}

/// Returns the schema of a type as an output, as text.
#[must_use]
pub fn output<T: Schema>() -> String {
    text(T::NODE, Way::Written)
}

/// Maximum length of a schema, in bytes. No host accepts a longer one.
const LONGEST: usize = 65_536;

fn text(node: &Node, way: Way) -> String {
    let mut text = Text::<LONGEST>::new();
    text.node(node, way);
    String::from_utf8_lossy(&text.bytes[..text.len.min(LONGEST)]).into_owned()
}

macro_rules! schemas {
    ($($type:ty = $node:expr;)+) => { $(impl Schema for $type { const NODE: &'static Node = &$node; })+ };
}

macro_rules! wrappers {
    ($($type:ty = $node:expr;)+) => { $(impl<T: Schema + ?Sized> Schema for $type { const NODE: &'static Node = $node; })+ };
}

schemas! {
    () = Node::Null;
    bool = Node::Bool;
    str = Node::Text;
    String = Node::Text;
    char = Node::Text;
    f32 = Node::Number;
    f64 = Node::Number;
    u8 = Node::Integer(Some(0), Some(u8::MAX as i64));
    u16 = Node::Integer(Some(0), Some(u16::MAX as i64));
    u32 = Node::Integer(Some(0), Some(u32::MAX as i64));
    u64 = Node::Integer(Some(0), None);
    usize = Node::Integer(Some(0), None);
    i8 = Node::Integer(Some(i8::MIN as i64), Some(i8::MAX as i64));
    i16 = Node::Integer(Some(i16::MIN as i64), Some(i16::MAX as i64));
    i32 = Node::Integer(Some(i32::MIN as i64), Some(i32::MAX as i64));
    i64 = Node::Integer(None, None);
    isize = Node::Integer(None, None);
    serde_json::Value = Node::Any;
    RunId = Node::Text;
    Timestamp = Node::Integer(Some(0), None);
    Money = Node::Object(&[field("minor_units", i64::NODE), field("currency", &Node::Text)], Extra::Denied);
    Period = Node::Object(&[field("start", Timestamp::NODE), field("end", Timestamp::NODE)], Extra::Allowed);
}

const fn field(name: &'static str, node: &'static Node) -> Field {
    Field { read: Some(name), written: Some(name), needed: true, may_lack: false, node }
}

wrappers! {
    &T = T::NODE;
    Box<T> = T::NODE;
    std::rc::Rc<T> = T::NODE;
    std::sync::Arc<T> = T::NODE;
}

macro_rules! containers {
    ($($type:ty = $node:expr;)+) => { $(impl<T: Schema> Schema for $type { const NODE: &'static Node = &$node; })+ };
}

containers! {
    Option<T> = Node::Option(T::NODE);
    Vec<T> = Node::Array(T::NODE);
    VecDeque<T> = Node::Array(T::NODE);
    BTreeSet<T> = Node::Array(T::NODE);
    BTreeMap<String, T> = Node::Map(T::NODE);
}

impl<T: Schema, S> Schema for HashSet<T, S> {
    const NODE: &'static Node = &Node::Array(T::NODE);
}

impl<T: Schema, S> Schema for HashMap<String, T, S> {
    const NODE: &'static Node = &Node::Map(T::NODE);
}

impl<T: Schema, const N: usize> Schema for [T; N] {
    const NODE: &'static Node = &Node::Exactly(N, T::NODE);
}

macro_rules! tuples {
    ($(($($part:ident),+);)+) => {
        $(impl<$($part: Schema),+> Schema for ($($part,)+) { const NODE: &'static Node = &Node::Tuple(&[$($part::NODE),+]); })+
    };
}

tuples! {
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
}

#[cfg(test)]
mod tests;
