//! JSON Schemas of inputs, outputs and signals, made while a module is compiled: a type says what it is as a constant, and the constant is written out as
//! text into the component's section `tidemill:schema`. No code for it is in the component.
//!
//! Not schemars, which makes its schemas when it runs: a section's bytes must be there before.

use crate::durable::RunId;
use crate::{Money, Period, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// A type whose JSON can be described. Derive it beside serde's traits; it follows their attributes.
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
///     r#"{"type":"object","properties":{"orderId":{"description":"The shop's own number.","type":"string"},"pieces":{"type":"integer","minimum":0,"maximum":4294967295}},"required":["orderId"]}"#
/// );
/// ```
///
/// A field whose type has no schema may hold anything; so may one marked `#[schema(any)]`, which a type that contains itself needs at one place.
pub trait Schema {
    /// What its JSON is like.
    const NODE: &'static Node;
}

/// What a JSON value is like.
#[derive(Debug)]
#[non_exhaustive]
pub enum Node {
    /// Anything.
    Any,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A text.
    Text,
    /// A number.
    Number,
    /// A whole number, within these bounds where there are some.
    Integer(Option<i64>, Option<i64>),
    /// Any number of these.
    Array(&'static Node),
    /// So many of these.
    Exactly(usize, &'static Node),
    /// These, in this order.
    Tuple(&'static [&'static Node]),
    /// Any names with these.
    Map(&'static Node),
    /// One of these texts.
    OneOfTexts(&'static [Variant]),
    /// One of these.
    AnyOf(&'static [Variant]),
    /// This, or `null`.
    Option(&'static Node),
    /// An object.
    Object(&'static [Field], Extra),
    /// As another.
    Same(&'static Node),
    /// The same, and what it is in words.
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

/// What an object may hold beside its fields.
#[derive(Clone, Copy, Debug)]
pub enum Extra {
    /// Anything.
    Allowed,
    /// Nothing.
    Denied,
}

/// A field of an object. Names and presence may differ between what is read and what is written.
#[derive(Debug)]
pub struct Field {
    /// Its name where it is read; none where it is not.
    pub read: Option<&'static str>,
    /// Its name where it is written; none where it is not.
    pub written: Option<&'static str>,
    /// Whether it has to be there when it is read.
    pub needed: bool,
    /// Whether it may be left out when it is written.
    pub may_lack: bool,
    /// What it holds.
    pub node: &'static Node,
}

/// One of several.
#[derive(Debug)]
pub struct Variant {
    /// Its name where it is read; none where it is not. Of no meaning unless it is a text.
    pub read: Option<&'static str>,
    /// Its name where it is written; none where it is not.
    pub written: Option<&'static str>,
    /// What it holds.
    pub node: &'static Node,
}

/// Whether a value is read or written.
#[derive(Clone, Copy, Debug)]
enum Way {
    Read,
    Written,
}

/// Says a type's schema, and of one without a schema that it may be anything: an inherent constant goes before a trait's.
#[derive(Debug)]
pub struct Probe<T: ?Sized>(std::marker::PhantomData<T>);

impl<T: Schema + ?Sized> Probe<T> {
    /// The type's own.
    pub const NODE: &'static Node = T::NODE;
}

/// What [`Probe`] says of a type without a schema.
pub trait Otherwise {
    /// Anything.
    const NODE: &'static Node = &Node::Any;
}

impl<T: ?Sized> Otherwise for Probe<T> {}

/// Fixed bytes that are filled from the front.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    const fn new() -> Self {
        Self { bytes: [b' '; N], len: 0 }
    }

    /// Counts also what does not fit, so that the same writing measures.
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

    /// As JSON has texts.
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
            // A digit fits.
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
                // Of two descriptions the outer one counts: it says what this place is.
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

    /// `{"workflow":{"input":…,"output":…,"signals":{…}}}`, without what may be anything; nothing where all may.
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

/// A signal that a workflow waits for: its name, and what its payload is like.
pub type Signal = (&'static str, &'static Node);

/// Whether the payload of any of these is described.
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

/// How long a component's section is.
#[must_use]
pub const fn section_len(input: &Node, output: &Node, signals: &[Signal]) -> usize {
    let mut text = Text::<0>::new();
    text.section(input, output, signals);
    text.len
}

/// A component's section, of the length that [`section_len`] says.
#[must_use]
pub const fn section<const N: usize>(input: &Node, output: &Node, signals: &[Signal]) -> [u8; N] {
    let mut text = Text::<N>::new();
    text.section(input, output, signals);
    text.bytes
}

/// The schema of a type as an input, as text.
#[must_use]
pub fn input<T: Schema>() -> String {
    text(T::NODE, Way::Read)
}

/// The schema of a type as an output, as text.
#[must_use]
pub fn output<T: Schema>() -> String {
    text(T::NODE, Way::Written)
}

/// More than any schema that a host takes.
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
