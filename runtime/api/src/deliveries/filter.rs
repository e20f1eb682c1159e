//! Filters of deliveries: the same names and bounds in a list's query and in the body of an action.

use tidemill_core::delivery::{DeliveryOutcome, KEY_BYTES, OBJECT_BYTES};
use tidemill_core::wire::{self, InputProblem as Wrong, ObjectField};
use tidemill_core::{DeploymentName, HookName};
use tidemill_store::records::DeliveryFilter;

use crate::problem::{ApiResult, nearest};
use crate::request::{QueryParams, bad};

/// The query parameters of a filter.
pub const NAMES: [&str; 7] = ["deployment", "hook", "outcome", "key", "object", "since", "until"];

/// Parses the filter in a query.
///
/// # Errors
/// [`tidemill_core::Code::BadQuery`].
pub fn of_query(params: &QueryParams) -> ApiResult<DeliveryFilter> {
    let mut outcomes = Vec::new();
    for text in params.all("outcome").flat_map(|text| text.split(',')) {
        add(&mut outcomes, outcome(text).map_err(|fix| bad("outcome", text, "there is no such outcome").fix(fix))?);
    }
    let text = |name: &str, most: usize| match params.text(name)? {
        Some(text) if !is_text(text, most) => Err(bad(name, text, format!("it has 1 to {most} bytes"))),
        text => Ok(text.map(str::to_owned)),
    };
    Ok(DeliveryFilter {
        deployment: params.parsed::<DeploymentName>("deployment")?,
        hook: params.parsed::<HookName>("hook")?,
        outcomes,
        key: text("key", KEY_BYTES)?,
        object: text("object", OBJECT_BYTES)?,
        since: params.time("since")?,
        until: params.time("until")?,
    })
}

/// Parses the filter in a body. An empty filter is refused, because it would match every delivery.
pub fn of_body(field: ObjectField, problems: &mut Vec<Wrong>) -> Option<DeliveryFilter> {
    let pointer = field.pointer.clone();
    let mut fields = field.object(problems)?;
    let before = problems.len();
    let mut filter = DeliveryFilter::default();
    let mut named = false;
    let mut take = |fields: &mut wire::ObjectReader, name| fields.take(name).inspect(|_| named = true);
    filter.deployment = take(&mut fields, "deployment").and_then(|field| field.parse(problems));
    filter.hook = take(&mut fields, "hook").and_then(|field| field.parse(problems));
    let most = DeliveryOutcome::ALL.len();
    for field in take(&mut fields, "outcome").and_then(|field| field.one_or_many(most, problems)).unwrap_or_default() {
        let pointer = field.pointer.clone();
        let Some(text) = field.text(64, problems) else { continue };
        match outcome(&text) {
            Ok(outcome) => add(&mut filter.outcomes, outcome),
            Err(fix) => problems.push(Wrong::field(pointer, "there is no such outcome", fix)),
        }
    }
    filter.key = take(&mut fields, "key").and_then(|field| text(field, KEY_BYTES, problems));
    filter.object = take(&mut fields, "object").and_then(|field| text(field, OBJECT_BYTES, problems));
    filter.since = take(&mut fields, "since").and_then(|field| field.time(problems));
    filter.until = take(&mut fields, "until").and_then(|field| field.time(problems));
    fields.finish(problems);
    if !named && problems.len() == before {
        let fix = "Name a deployment, a hook, an outcome, a key, an object or a time.";
        problems.push(Wrong::field(pointer, "an empty filter would match every delivery", fix));
    }
    (problems.len() == before).then_some(filter)
}

fn text(field: ObjectField, most: usize, problems: &mut Vec<Wrong>) -> Option<String> {
    let pointer = field.pointer.clone();
    let text = field.text(most, problems)?;
    if is_text(&text, most) {
        return Some(text);
    }
    problems.push(Wrong::field(pointer, format!("it has 1 to {most} bytes"), "Give the whole id of the provider."));
    None
}

/// Keys contain no NUL.
fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.contains('\0')
}

/// Returns the outcome of that name, or what to write instead.
fn outcome(text: &str) -> Result<DeliveryOutcome, String> {
    DeliveryOutcome::parse(text).ok_or_else(|| {
        let known = DeliveryOutcome::ALL.map(DeliveryOutcome::as_str);
        match nearest(text, &known) {
            Some(near) => format!("Did you mean `{near}`?"),
            None => format!("Use one of {}.", known.join(", ")),
        }
    })
}

fn add(outcomes: &mut Vec<DeliveryOutcome>, outcome: DeliveryOutcome) {
    if !outcomes.contains(&outcome) {
        outcomes.push(outcome);
    }
}
