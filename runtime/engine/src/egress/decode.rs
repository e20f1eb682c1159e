//! Decodes the escapes of a text: percent-encoding, those of JSON and JavaScript, and HTML
//! entities. Tracks where each part was written. Used only by [`super::echoes`], which searches the
//! result; the decoded text goes nowhere else.

use std::ops::Range;

/// Maximum size of a decoded HTML entity, in bytes.
const ENTITY_BYTES: usize = 12;

/// A text with its escapes decoded once or several times.
pub(super) struct DecodedText {
    text: Vec<u8>,
    /// From the first decoding to the last.
    layers: Vec<DecodeLayer>,
}

/// Maps the bytes of a decoded text to the text before decoding.
struct DecodeLayer {
    /// Positions in the decoded text and in the original. From each pair on, both texts have the
    /// same bytes until the next pair, except that an escape is one character.
    pieces: Vec<(usize, usize)>,
    decoded_bytes: usize,
    original_bytes: usize,
}

impl DecodedText {
    /// Decodes the escapes of a text; `None` if it has none.
    pub fn of(text: &[u8]) -> Option<Self> {
        let (text, layer) = decode(text)?;
        Some(Self { text, layers: vec![layer] })
    }

    /// Decodes the decoded text once more; `None` if it has no escapes.
    pub fn again(mut self) -> Option<Self> {
        let (text, layer) = decode(&self.text)?;
        self.layers.push(layer);
        Some(Self { text, ..self })
    }

    /// Returns the decoded text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the range of the original from which a range of the text was decoded.
    pub fn origin(&self, span: Range<usize>) -> Range<usize> {
        self.layers.iter().rev().fold(span, |span, layer| layer.origin(&span))
    }
}

impl DecodeLayer {
    fn origin(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.start(span.start);
        let last = self.start(span.end.saturating_sub(1)) + 1;
        start..self.start(span.end).max(last).min(self.original_bytes)
    }

    /// Returns the original position of a byte.
    fn start(&self, at: usize) -> usize {
        if at >= self.decoded_bytes {
            return self.original_bytes;
        }
        let next = self.pieces.partition_point(|(decoded, _)| *decoded <= at);
        let (decoded, original) = self.pieces.get(next.saturating_sub(1)).copied().unwrap_or_default();
        let end = self.pieces.get(next).map_or(self.original_bytes, |(_, original)| *original);
        (original + at.saturating_sub(decoded)).min(end)
    }
}

/// Decodes a text once; `None` if it has no escapes.
fn decode(text: &[u8]) -> Option<(Vec<u8>, DecodeLayer)> {
    let mut decoded = Vec::new();
    let (mut pieces, mut at, mut copied) = (vec![(0, 0)], 0, 0);
    while let Some(next) = text.get(at..).and_then(|rest| rest.iter().position(|b| matches!(b, b'%' | b'\\' | b'&'))) {
        at += next;
        let Some((length, character)) = escape_at(text.get(at..).unwrap_or_default()) else {
            at += 1;
            continue;
        };
        decoded.extend_from_slice(text.get(copied..at).unwrap_or_default());
        pieces.push((decoded.len(), at));
        match character {
            Character::Byte(byte) => decoded.push(byte),
            Character::Char(char) => decoded.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        at += length;
        copied = at;
        pieces.push((decoded.len(), at));
    }
    if copied == 0 {
        return None;
    }
    decoded.extend_from_slice(text.get(copied..).unwrap_or_default());
    let layer = DecodeLayer { pieces, decoded_bytes: decoded.len(), original_bytes: text.len() };
    Some((decoded, layer))
}

/// The meaning of an escape.
enum Character {
    Byte(u8),
    Char(char),
}

/// Parses an escape at the beginning of a text: its length and its meaning.
fn escape_at(text: &[u8]) -> Option<(usize, Character)> {
    match text {
        [b'%', high, low, ..] => Some((3, Character::Byte(digit(*high)? << 4 | digit(*low)?))),
        [b'\\', b'x', high, low, ..] => Some((4, Character::Byte(digit(*high)? << 4 | digit(*low)?))),
        [b'\\', b'u', b'{', rest @ ..] => {
            let digits = rest.iter().take(7).position(|b| *b == b'}')?;
            Some((digits + 4, Character::Char(char::from_u32(number(rest.get(..digits)?, 16)?)?)))
        }
        [b'\\', b'u', rest @ ..] => {
            let first = number(rest.get(..4)?, 16)?;
            if let Some(char) = char::from_u32(first) {
                return Some((6, Character::Char(char)));
            }
            // A surrogate pair (RFC 8259, section 7).
            let second = number(rest.get(4..10)?.strip_prefix(b"\\u")?, 16)?;
            let both = char::decode_utf16([u16::try_from(first).ok()?, u16::try_from(second).ok()?]).next()?.ok()?;
            Some((12, Character::Char(both)))
        }
        [b'\\', byte, ..] => {
            let byte = match byte {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'f' => 12,
                b'"' | b'\\' | b'/' | b'\'' => *byte,
                _ => return None,
            };
            Some((2, Character::Byte(byte)))
        }
        [b'&', b'#', rest @ ..] => {
            let (radix, before) =
                if rest.first().is_some_and(|b| matches!(b, b'x' | b'X')) { (16, 1) } else { (10, 0) };
            let rest = rest.get(before..)?;
            let digits = rest.iter().take(ENTITY_BYTES).take_while(|b| char::from(**b).is_digit(radix)).count();
            let char = char::from_u32(number(rest.get(..digits)?, radix)?)?;
            let semicolon = usize::from(rest.get(digits) == Some(&b';'));
            Some((2 + before + digits + semicolon, Character::Char(char)))
        }
        [b'&', rest @ ..] => {
            let named = [("amp;", b'&'), ("lt;", b'<'), ("gt;", b'>'), ("quot;", b'"'), ("apos;", b'\'')];
            let (name, byte) = named.into_iter().find(|(name, _)| rest.starts_with(name.as_bytes()))?;
            Some((1 + name.len(), Character::Byte(byte)))
        }
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.first().is_none_or(|b| !b.is_ascii_alphanumeric()) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_decoded() {
        for (text, expected) in [
            ("a%41b", "aAb"),
            ("\\u0041\\x41\\u{e9}\\n\\/", "AAé\n/"),
            ("\\ud83d\\ude00", "😀"),
            ("&#65;&#x41;&#X41&amp;&quot;", "AAA&\""),
            ("%2541", "%41"),
        ] {
            assert_eq!(String::from_utf8_lossy(DecodedText::of(text.as_bytes()).unwrap().text()), expected);
        }
        for text in ["", "abc", "%", "%4", "%+1", "\\u+041", "\\ud83d", "&#;", "&nbsp", "\\", "\\q"] {
            assert!(DecodedText::of(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn ranges_map_to_the_original() {
        let text = b"ab%41cd\\u0042ef";
        let decoded = DecodedText::of(text).unwrap();
        assert_eq!(decoded.text(), b"abAcdBef");
        for (span, origin) in [(0..2, 0..2), (2..3, 2..5), (1..4, 1..6), (5..6, 7..13), (0..8, 0..15), (6..7, 13..14)] {
            assert_eq!(decoded.origin(span.clone()), origin, "{span:?}");
        }
        let twice = DecodedText::of(b"%41b%2541y").unwrap().again().unwrap();
        assert_eq!(twice.text(), b"AbAy");
        for (span, origin) in [(0..1, 0..3), (1..2, 3..4), (2..3, 4..9), (3..4, 9..10)] {
            assert_eq!(twice.origin(span.clone()), origin, "{span:?}");
        }
    }

    proptest! {
        #[test]
        fn ranges_of_any_text_are_within_the_original(
            text in prop::collection::vec(prop::sample::select(b"a%41\\ux{}&#x;amp2".to_vec()), 0..60),
            from in 0usize..60,
            length in 1usize..20,
        ) {
            let mut view = DecodedText::of(&text);
            while let Some(decoded) = view {
                let span = from.min(decoded.text().len())..(from + length).min(decoded.text().len());
                let origin = decoded.origin(span.clone());
                prop_assert!(span.is_empty() || (origin.start < origin.end && origin.end <= text.len()));
                view = decoded.again();
            }
        }
    }
}
