//! Filters of deliveries.

use tidemill_core::delivery::{DeliveryOutcome, KEY_BYTES, OBJECT_BYTES};
use tidemill_core::wire::{InputProblem, ObjectField};
use tidemill_store::records::DeliveryFilter;

use crate::problem::ApiResult;
use crate::request::QueryParams;
use crate::request::filter::{self, BadWord, FilterFields, WordBounds, unknown_word};

/// The query parameters of a filter.
pub const NAMES: [&str; 7] = ["deployment", "hook", "outcome", "key", "object", "since", "until"];
/// Bounds of the outcomes of a filter.
const OUTCOMES: WordBounds = WordBounds { count: 64, bytes: 64 };

fn read(fields: &mut impl FilterFields) -> DeliveryFilter {
    DeliveryFilter {
        deployment: fields.name("deployment"),
        hook: fields.name("hook"),
        outcomes: fields.words("outcome", OUTCOMES, |text| {
            let known = DeliveryOutcome::ALL.map(DeliveryOutcome::as_str);
            DeliveryOutcome::parse(text).ok_or_else(|| unknown_word("outcome", text, &known))
        }),
        key: fields.text("key", KEY_BYTES),
        object: fields.text("object", OBJECT_BYTES),
        since: fields.time("since"),
        until: fields.time("until"),
    }
}

/// Parses the filter in a query.
///
/// # Errors
/// [`tidemill_core::Code::BadQuery`].
pub fn of_query(params: &QueryParams) -> ApiResult<DeliveryFilter> {
    filter::of_query(params, read)
}

/// Parses the filter in a body. An empty filter is refused.
pub fn of_body(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<DeliveryFilter> {
    let empty = BadWord {
        message: "an empty filter would match every delivery".to_owned(),
        fix: "Name a deployment, a hook, an outcome, a key, an object or a time.".to_owned(),
    };
    filter::of_body(field, &empty, problems, read)
}
