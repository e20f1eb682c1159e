//! Filters of runs: the same names and bounds in a list's query and in the body of an action.

use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;
use tidemill_core::run::RunState;
use tidemill_core::wire::{self, InputProblem as Wrong, ObjectField};
use tidemill_store::records::RunFilter;

use crate::config::LABELS;
use crate::problem::{ApiResult, nearest};
use crate::request::{QueryParams, bad, label};
use crate::wire::FromRecord;

/// The query parameters of a filter.
pub const NAMES: [&str; 6] = ["deployment", "state", "label", "since", "until", "code"];
/// Maximum number of codes in one filter.
const CODES: usize = 64;
/// Maximum length of a code, in bytes.
const CODE: usize = 128;
/// Maximum length of a label, `NAME=VALUE`, in bytes.
const LABEL_TEXT: usize = 63 + 1 + 255;

impl<'a> FromRecord<&'a RunFilter> for shapes::RunFilter<'a> {
    fn of(filter: &'a RunFilter) -> Self {
        Self {
            deployment: filter.deployment.as_ref().map(|name| name.as_str().into()),
            state: (&filter.states).into(),
            label: filter.labels.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            since: filter.since.map(shapes::Time),
            until: filter.until.map(shapes::Time),
            code: (&filter.codes).into(),
        }
    }
}

/// Parses the filter in a query.
///
/// # Errors
/// [`tidemill_core::Code::BadQuery`].
pub fn of_query(params: &QueryParams) -> ApiResult<RunFilter> {
    let mut states = Vec::new();
    for text in params.all("state").flat_map(|text| text.split(',')) {
        add(&mut states, state(text).map_err(|fix| bad("state", text, "there is no such state").fix(fix))?);
    }
    Ok(RunFilter {
        deployment: params.parsed::<DeploymentName>("deployment")?,
        states,
        labels: params.labels()?,
        since: params.time("since")?,
        until: params.time("until")?,
        codes: codes(params)?,
    })
}

/// Parses the codes in a query.
///
/// # Errors
/// [`tidemill_core::Code::BadQuery`].
pub fn codes(params: &QueryParams) -> ApiResult<Vec<String>> {
    let mut codes = Vec::new();
    for text in params.all("code").flat_map(|text| text.split(',')) {
        if codes.len() == CODES || !is_code(text) {
            return Err(bad("code", text, "this is no code of a failure").fix(BAD_CODE));
        }
        add(&mut codes, text);
    }
    Ok(codes)
}

/// The fix for a code that is not valid.
const BAD_CODE: &str = "Write one such as host/trap or no-luck, of at most 128 bytes; at most 64 of them.";

fn is_code(text: &str) -> bool {
    (1..=CODE).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Parses the filter in a body. An empty filter is refused, because it would match every run.
pub fn of_body(field: ObjectField, problems: &mut Vec<Wrong>) -> Option<RunFilter> {
    let pointer = field.pointer.clone();
    let mut fields = field.object(problems)?;
    let before = problems.len();
    let mut filter = RunFilter::default();
    let mut named = false;
    let mut take = |fields: &mut wire::ObjectReader, name| fields.take(name).inspect(|_| named = true);
    if let Some(field) = take(&mut fields, "deployment") {
        filter.deployment = field.parse(problems);
    }
    for field in take(&mut fields, "state").and_then(|field| field.one_or_many(64, problems)).unwrap_or_default() {
        let pointer = field.pointer.clone();
        let Some(text) = field.text(64, problems) else { continue };
        match state(&text) {
            Ok(name) => add(&mut filter.states, name),
            Err(fix) => problems.push(Wrong::field(pointer, "there is no such state", fix)),
        }
    }
    if let Some(field) = take(&mut fields, "label") {
        filter.labels = labels_of(field, problems);
    }
    filter.since = take(&mut fields, "since").and_then(|field| field.time(problems));
    filter.until = take(&mut fields, "until").and_then(|field| field.time(problems));
    for field in take(&mut fields, "code").and_then(|field| field.one_or_many(CODES, problems)).unwrap_or_default() {
        let pointer = field.pointer.clone();
        let Some(text) = field.text(CODE, problems) else { continue };
        if is_code(&text) {
            add(&mut filter.codes, &text);
        } else {
            problems.push(Wrong::field(pointer, "this is no code of a failure", BAD_CODE));
        }
    }
    fields.finish(problems);
    if !named && problems.len() == before {
        let fix =
            "Name a deployment, a state, a label, a code or a time; for all of them, all the states that are meant.";
        problems.push(Wrong::field(pointer, "an empty filter would match every run", fix));
    }
    (problems.len() == before).then_some(filter)
}

/// Parses the labels in a field of a body, each `NAME=VALUE`; a single label needs no array.
pub fn labels_of(field: ObjectField, problems: &mut Vec<Wrong>) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    for field in field.one_or_many(LABELS, problems).unwrap_or_default() {
        let pointer = field.pointer.clone();
        let Some(text) = field.text(LABEL_TEXT, problems) else { continue };
        match label(&text) {
            Some(label) => labels.push(label),
            None => problems.push(Wrong::field(
                pointer,
                "this is no label",
                "Write NAME=VALUE, of at most 63 and 255 bytes.",
            )),
        }
    }
    labels
}

fn add(states: &mut Vec<String>, name: &str) {
    if !states.iter().any(|known| known == name) {
        states.push(name.to_owned());
    }
}

/// Returns the state of that name, or a message that lists the valid names.
fn state(text: &str) -> Result<&'static str, String> {
    RunState::NAMES.into_iter().find(|name| *name == text).ok_or_else(|| match nearest(text, &RunState::NAMES) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!("Use one of {}.", RunState::NAMES.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::{JsonBody, RawQuery};

    fn query(text: &str) -> ApiResult<RunFilter> {
        of_query(&RawQuery::read(text)?.only(&NAMES)?)
    }

    fn body(filter: &str) -> ApiResult<RunFilter> {
        let object = JsonBody::read(format!(r#"{{"filter": {filter}}}"#).as_bytes())?;
        object.fields(|fields, problems| fields.take("filter").and_then(|field| of_body(field, problems)))
    }

    #[test]
    fn states_are_parsed_by_name() {
        assert_eq!(query("state=failed,parked&state=failed").unwrap().states, ["failed", "parked"]);
        assert_eq!(query("state=faild").unwrap_err().body().fix, "Did you mean `failed`?");
        assert!(query("deployment=A").is_err());
    }

    #[test]
    fn a_filter_is_the_same_in_query_and_body() {
        let asked =
            query("deployment=hello&state=parked&label=tier%3Dgold&since=2026-01-31T12:00:00Z&code=no-luck").unwrap();
        let long = r#"{"deployment": "hello", "state": ["parked"], "label": ["tier=gold"], "since": "2026-01-31T12:00:00Z", "code": ["no-luck"]}"#;
        let short = r#"{"deployment": "hello", "state": "parked", "label": "tier=gold", "since": "2026-01-31T12:00:00Z", "code": "no-luck"}"#;
        assert_eq!(body(long).unwrap(), asked);
        assert_eq!(body(short).unwrap(), asked);
        let written = serde_json::to_string(&shapes::RunFilter::of(&asked)).unwrap();
        assert_eq!(body(&written).unwrap(), asked);
    }

    #[test]
    fn body_problems_have_pointers() {
        for (filter, pointer) in [
            ("{}", "/filter"),
            ("[]", "/filter"),
            (r#"{"state": ["parked", "prked"]}"#, "/filter/state/1"),
            (r#"{"label": "gold"}"#, "/filter/label"),
            (r#"{"since": "yesterday"}"#, "/filter/since"),
            (r#"{"deployment": "A"}"#, "/filter/deployment"),
            (r#"{"code": ["no-luck", ""]}"#, "/filter/code/1"),
            (r#"{"deployments": "a"}"#, "/filter/deployments"),
        ] {
            let problem = body(filter).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{filter}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn queries_of_any_content_never_panic(name in prop::sample::select(&NAMES[..]), value in "\\PC{0,100}") {
            let text: String = form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish();
            let _ = query(&text);
        }

        #[test]
        fn bodies_of_any_content_never_panic(name in prop::sample::select(&NAMES[..]), value in "\"\\PC{0,40}\"|\\[(\"[a-z=]{0,9}\",?){0,3}\\]|[0-9]{1,30}|null") {
            let _ = body(&format!(r#"{{"{name}": {value}}}"#));
        }
    }
}
