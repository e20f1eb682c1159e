//! Silences of alerts.

pub mod create;
pub mod delete;
pub mod json;
pub mod list;

use tidemill_core::InputProblem;
use tidemill_core::wire::{ObjectReader, is_blank};

/// Maximum length of an actor's name, in bytes.
pub const ACTOR_BYTES: usize = 64;

/// Reads the field `actor`; `operator` if it is left out.
pub fn actor(fields: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<String> {
    let Some(field) = fields.take("actor") else { return Some("operator".to_owned()) };
    let pointer = field.pointer.clone();
    let actor = field.text(ACTOR_BYTES, problems)?;
    if is_blank(&actor) {
        problems.push(InputProblem::field(pointer, "the actor is empty", "Write who it is, or leave it out."));
        return None;
    }
    Some(actor)
}
