//! Retrying a run, or only checking whether a component can resume it.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::{DryRun, RetryRequest, RetryResult};
use tidemill_core::manifest::{ModuleRef, Source};
use tidemill_core::wire::{self, InputProblem as Wrong};
use tidemill_core::{Code, ComponentDigest, RunId};

use super::get::whole;
use crate::problem::{ApiResult, Problem};
use crate::request::{JsonBody, PathParams, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

const COMPONENT_FIX: &str = "Write a component's digest, `sha256:…`, or a module's version such as \"hello@0.1.0\".";

/// Retries a run
///
/// A parked or failed run is queued as its next attempt, together with its children that are parked
/// or have failed. It resumes from its last step or starts again, on its own component or on
/// another that its deployment has run. With `dry_run` the answer shows whether that component can
/// resume the run, and nothing changes.
#[utoipa::path(
    post, path = "/v1/runs/{id}/retry", tag = "runs",
    params(("id" = String, Path, description = "the run")),
    request_body(content = Option<shapes::RetryRequest>),
    responses(
        (status = 200, body = shapes::RetryResult<'_>, description = "the queued run; with `dry_run`: whether it can be resumed"),
        (status = 404, body = shapes::ProblemDetails, description = "no revision of the deployment has that component"),
        (status = 409, body = shapes::ProblemDetails, description = "the run is neither parked nor failed, or the component cannot resume it"),
    )
)]
pub async fn retry(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
    body: JsonBody,
) -> ApiResult<Response> {
    query.only(&[])?;
    let wanted = read(body)?;
    let component = match wanted.component {
        None => None,
        Some(Source::Component(digest)) => Some(digest),
        Some(Source::Module(module)) => Some(version(&state, &module).await?),
    };
    let ask = RetryRequest { from_start: wanted.from_start, component, dry_run: wanted.dry_run };
    let retried = state.host.retry(id, ask).await?;
    if ask.dry_run { Ok(look(&retried, component)) } else { whole(&state, &retried.run).await }
}

fn look(retried: &RetryResult, component: Option<ComponentDigest>) -> Response {
    let failure = match &retried.replay {
        // Without a journal, every component can start the run.
        None | Some(DryRun::Continues) => None,
        Some(DryRun::Mismatch(failure) | DryRun::Failed(failure)) => Some(failure),
    };
    ok(&shapes::RetryCheck {
        run: retried.run.id,
        component: component.unwrap_or(retried.run.component),
        dry_run: true,
        continues: failure.is_none(),
        failure: failure.map(shapes::Failure::of),
    })
}

/// The parsed and checked body.
#[derive(Debug, PartialEq, Eq)]
struct RetryBody {
    from_start: bool,
    component: Option<Source>,
    dry_run: bool,
}

fn read(body: JsonBody) -> ApiResult<RetryBody> {
    body.fields(|fields, problems| {
        let from = fields.take("from");
        let from_start =
            from.map(|from| from.choice(&[("last-step", false), ("start", true)], problems)).unwrap_or(Some(false));
        let component = match fields.take("component") {
            None => Some(None),
            Some(component) => source(component, problems).map(Some),
        };
        let dry_run = fields.take("dry_run").map(|dry| dry.boolean(problems)).unwrap_or(Some(false));
        Some(RetryBody { from_start: from_start?, component: component?, dry_run: dry_run? })
    })
}

fn source(component: wire::ObjectField, problems: &mut Vec<Wrong>) -> Option<Source> {
    let text = component.text(256, problems)?;
    let read = text.parse().map(Source::Component).or_else(|_| text.parse().map(Source::Module));
    read.map_err(|_| problems.push(Wrong::field("/component", "this names no component", COMPONENT_FIX))).ok()
}

/// Returns the component of a module's version.
async fn version(state: &ApiState, module: &ModuleRef) -> ApiResult<ComponentDigest> {
    let versions = state.host.store().versions(&module.name).await?;
    let found = versions.iter().find(|known| known.version == module.version.as_str());
    found.map(|version| version.digest).ok_or_else(|| {
        let (detail, fix) = match versions.last() {
            Some(last) => (format!("there is no {module}"), format!("The last version is {}.", last.version)),
            None => (format!("there is no module `{}`", module.name), "`GET /v1/modules` lists them.".to_owned()),
        };
        Problem::of_fields(Code::ModuleNotFound, vec![Wrong::field("/component", detail, fix)])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> ApiResult<RetryBody> {
        JsonBody::read(text.as_bytes()).and_then(read)
    }

    #[test]
    fn an_empty_retry_resumes_the_last_step_on_the_runs_component() {
        let last = RetryBody { from_start: false, component: None, dry_run: false };
        assert_eq!(of("{}").unwrap(), last);
        assert_eq!(of(r#"{"from": "last-step", "dry_run": false}"#).unwrap(), last);
        let other = of(r#"{"from": "start", "component": "hello@0.2.0", "dry_run": true}"#).unwrap();
        assert!(other.from_start && other.dry_run);
        assert_eq!(other.component.unwrap().to_string(), "hello@0.2.0");
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(of(&format!(r#"{{"component": "{digest}"}}"#)).unwrap().component.unwrap().to_string(), digest);
    }

    #[test]
    fn retry_problems_have_pointers() {
        for (body, pointer) in [
            (r#"{"from": "middle"}"#, "/from"),
            (r#"{"component": "hello"}"#, "/component"),
            (r#"{"component": 7}"#, "/component"),
            (r#"{"dry_run": "yes"}"#, "/dry_run"),
            (r#"{"form": "start"}"#, "/form"),
        ] {
            let problem = of(body).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{body}: {problem:?}");
            assert!(problem.body().errors.iter().all(|field| field.fix.is_some()), "{body}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(from|component|dry_run|x)\":(\"[a-z0-9@:.-]{0,12}\"|[0-9]|true|null|\\[\\]),?){0,3}\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
