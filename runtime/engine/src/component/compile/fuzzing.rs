//! Entry point of the fuzzer: the reader of an uploaded component.

use wasmparser::{Parser, Validator};

use crate::component::compile::inspect::Inspection;

/// Inspects `bytes` as the child process does, and returns whether they are a valid component.
///
/// # Panics
/// If hiding sections or emptying bodies moves anything, or makes a valid component invalid.
#[must_use]
pub fn inspects_component(bytes: &[u8]) -> bool {
    let inspection = Inspection::of(bytes);
    let mut hidden = bytes.to_vec();
    inspection.hide(&mut hidden);
    assert_eq!(hidden.len(), bytes.len(), "hiding sections moves nothing");
    let stub = inspection.with_stub_bodies(bytes);
    assert_eq!(stub.len(), bytes.len(), "emptying bodies moves nothing");
    if !Parser::is_component(bytes) || Validator::new().validate_all(bytes).is_err() {
        return false;
    }
    let validate = |bytes: &[u8], what: &str| {
        if let Err(error) = Validator::new().validate_all(bytes) {
            panic!("a component with {what} is valid: {error}");
        }
    };
    validate(&hidden, "hidden sections");
    validate(&stub, "empty bodies");
    true
}
