//! What sealed bytes belong to, and the associated data that binds them to it.

/// The place of sealed bytes in the store. Bytes open only with the context that they were sealed
/// with.
///
/// A caller gives each sealed text a context of its own: `version` increases if a record is
/// replaced, and a field of a record has its own name, such as `ID/email`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// The name of the table, such as `secrets`.
    pub table: &'a str,
    /// The name of the record in the table.
    pub name: &'a str,
    /// The version of the record.
    pub version: u64,
}

/// The layer of an envelope that associated data belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layer {
    /// The text, sealed by the data key.
    Body,
    /// The data key, sealed by the wrapping key.
    DataKey,
}

impl SealContext<'_> {
    /// Encodes format ‖ layer ‖ table ‖ name ‖ version. Texts have their length before them, as a
    /// big-endian 64-bit number, so no two contexts have the same encoding.
    pub(crate) fn associated_data(&self, format: u8, layer: Layer) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + 3 * 8 + self.table.len() + self.name.len());
        bytes.push(format);
        bytes.push(match layer {
            Layer::Body => b'b',
            Layer::DataKey => b'k',
        });
        for text in [self.table, self.name] {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn different_contexts_have_different_encodings(
            one in ("[ab]{0,3}", "[ab]{0,3}", 0_u64..3),
            two in ("[ab]{0,3}", "[ab]{0,3}", 0_u64..3),
        ) {
            let of = |it: &(String, String, u64)| {
                SealContext { table: &it.0, name: &it.1, version: it.2 }.associated_data(1, Layer::Body)
            };
            prop_assert_eq!(of(&one) == of(&two), one == two);
        }
    }

    #[test]
    fn the_layers_of_one_context_differ() {
        let context = SealContext { table: "secrets", name: "a", version: 1 };
        assert_ne!(context.associated_data(1, Layer::Body), context.associated_data(1, Layer::DataKey));
    }
}
