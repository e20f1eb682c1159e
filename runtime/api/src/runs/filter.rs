//! Filters of runs.

use tidemill_api_types as shapes;
use tidemill_core::run::RunState;
use tidemill_core::wire::{InputProblem, ObjectField};
use tidemill_store::records::RunFilter;

use crate::problem::ApiResult;
use crate::request::QueryParams;
use crate::request::filter::{self, BadWord, FilterFields, WordBounds, unknown_word};
use crate::wire::FromRecord;

/// The query parameters of a filter.
pub const NAMES: [&str; 6] = ["deployment", "state", "label", "since", "until", "code"];
/// Bounds of the states of a filter.
const STATES: WordBounds = WordBounds { count: 64, bytes: 64 };
/// Bounds of the codes of a filter.
const CODES: WordBounds = WordBounds { count: 64, bytes: 128 };

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

fn read(fields: &mut impl FilterFields) -> RunFilter {
    RunFilter {
        deployment: fields.name("deployment"),
        states: fields.words("state", STATES, |text| {
            let known = RunState::NAMES.into_iter().find(|name| *name == text);
            known.map(str::to_owned).ok_or_else(|| unknown_word("state", text, &RunState::NAMES))
        }),
        labels: fields.labels(),
        since: fields.time("since"),
        until: fields.time("until"),
        codes: read_codes(fields),
    }
}

fn read_codes(fields: &mut impl FilterFields) -> Vec<String> {
    fields.words("code", CODES, |text| {
        if text.is_empty() || text.chars().any(char::is_control) {
            let fix = "Write one such as host/trap or no-luck, of at most 128 bytes; at most 64 of them.";
            return Err(BadWord { message: "this is no code of a failure".to_owned(), fix: fix.to_owned() });
        }
        Ok(text.to_owned())
    })
}

/// Parses the filter in a query.
///
/// # Errors
/// [`tidemill_core::Code::BadQuery`].
pub fn of_query(params: &QueryParams) -> ApiResult<RunFilter> {
    filter::of_query(params, read)
}

/// Parses the codes in a query.
///
/// # Errors
/// [`tidemill_core::Code::BadQuery`].
pub fn codes(params: &QueryParams) -> ApiResult<Vec<String>> {
    filter::of_query(params, read_codes)
}

/// Parses the filter in a body. An empty filter is refused.
pub fn of_body(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<RunFilter> {
    let empty = BadWord {
        message: "an empty filter would match every run".to_owned(),
        fix: "Name a deployment, a state, a label, a code or a time; for all of them, all the states that are meant."
            .to_owned(),
    };
    filter::of_body(field, &empty, problems, read)
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
