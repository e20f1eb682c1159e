//! The `cursor` of a list: the start of its next page, in an opaque form.
//!
//! A cursor is bound to its list and filters: another list refuses it instead of returning
//! meaningless pages. It is not secret and grants nothing.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// Maximum size of the position in a cursor, in bytes.
pub const POSITION_BYTES: usize = 1_024;

/// A position in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageCursor {
    position: Vec<u8>,
}

/// A text is not a cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list with these filters")]
pub struct InvalidCursor;

impl PageCursor {
    /// Returns a cursor at `position`, which the store defines and which has at most
    /// [`POSITION_BYTES`].
    #[must_use]
    pub const fn new(position: Vec<u8>) -> Self {
        Self { position }
    }

    /// The position of the store.
    #[must_use]
    pub fn position(&self) -> &[u8] {
        &self.position
    }

    /// Encodes it as text that is bound to `list`: the name of the list with its filters.
    #[must_use]
    pub fn encode(&self, list: &str) -> String {
        HEXLOWER.encode(&[&check(list, &self.position), &self.position[..]].concat())
    }

    /// Decodes the text of [`PageCursor::encode`] for the same list.
    ///
    /// # Errors
    /// If the text is not such a cursor.
    pub fn decode(list: &str, text: &str) -> Result<Self, InvalidCursor> {
        if text.len() > 2 * (POSITION_BYTES + 8) {
            return Err(InvalidCursor);
        }
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| InvalidCursor)?;
        match bytes.split_first_chunk::<8>() {
            Some((sum, position)) if *sum == check(list, position) => Ok(Self { position: position.to_vec() }),
            _ => Err(InvalidCursor),
        }
    }
}

fn check(list: &str, position: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update((list.len() as u64).to_le_bytes());
    hash.update(list.as_bytes());
    hash.update(position);
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back_for_its_own_list_only(position in any::<Vec<u8>>(), list in "[a-z?=&]{0,20}") {
            let cursor = PageCursor::new(position);
            let text = cursor.encode(&list);
            prop_assert_eq!(PageCursor::decode(&list, &text), Ok(cursor));
            prop_assert_eq!(PageCursor::decode(&(list + "x"), &text), Err(InvalidCursor));
        }

        #[test]
        fn garbage_is_refused(text in "\\PC{0,60}|[0-9a-f]{0,60}", flip in 0usize..40) {
            prop_assert_eq!(PageCursor::decode("runs", &text), Err(InvalidCursor));
            let good = PageCursor::new(vec![1, 2, 3, 4]).encode("runs");
            let mut bad = good.clone().into_bytes();
            if let Some(byte) = bad.get_mut(flip) {
                *byte = if *byte == b'0' { b'1' } else { b'0' };
                prop_assert_eq!(PageCursor::decode("runs", std::str::from_utf8(&bad).unwrap()), Err(InvalidCursor));
            }
        }
    }
}
