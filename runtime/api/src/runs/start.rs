//! Starting a run, and waiting for its end if the caller requests that.

use std::time::Duration;
use tidemill_api_types as shapes;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use tidemill_control::{InvokeResult, RunRequest};
use tidemill_core::run::{Export, Run, Trigger};
use tidemill_core::wire::parse_span;
use tidemill_core::wire::span::InvalidDuration;
use tidemill_core::{DeploymentName, Failure};
use tidemill_store::records::RunRequestResult;
use tracing::Span;

use super::get::cancellation_failure;
use crate::config::DELAY_MAX;
use crate::problem::ApiResult;
use crate::request::{PathParams, QueryParams, RawQuery, bad, body, headers};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, REPLAYED, json_at};

const EMPTY_INPUT: &[u8] = b"{}";

/// Starts a run
///
/// The body is the input: any JSON value; `{}` if left out. The answer is 202 with the run's record
/// once the run is durably stored. With `Prefer: wait=SECONDS` (at most 300) it is 200 with the
/// outcome if the run ends in time, even if the run failed: the request itself succeeded.
#[utoipa::path(
    post, path = "/v1/deployments/{name}/runs", tag = "runs",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("export" = Option<String>, Query, description = "the export, if more than one fits"),
        ("label" = Option<Vec<String>>, Query, description = "NAME=VALUE to find the run by; may be repeated, at most 16"),
        ("priority" = Option<u8>, Query, description = "priority, 1 (last) to 9 (first); the deployment's own if left out"),
        ("delay" = Option<String>, Query, description = "minimum delay before the run starts, such as `90s`"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS`: answer when the run has ended"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "the same key makes one run, until 24 h after its end; 1 to 255 visible ASCII characters"),
    ),
    request_body(content = serde_json::Value, description = "the input, at most 4 MiB"),
    responses(
        (status = 200, body = shapes::Run<'_>, description = "the run has ended, or is parked"),
        (status = 202, body = shapes::Run<'_>, description = "the run is durably stored; `Location` is its path"),
        (status = 422, body = shapes::ProblemDetails, description = "the key was used with another input, or the export does not fit"),
        (status = 429, body = shapes::ProblemDetails, description = "the deployment's queue is full"),
    )
)]
pub async fn start(
    State(state): State<ApiState>,
    PathParams(deployment): PathParams<DeploymentName>,
    query: RawQuery,
    request: Request,
) -> ApiResult<Response> {
    let params = query.only(&["export", "label", "priority", "delay"])?;
    let (parts, content) = request.into_parts();
    headers::json(&parts.headers)?;
    let wait = headers::wait(&parts.headers)?.filter(|wait| !wait.is_zero());
    let mut ask = RunRequest {
        deployment,
        export: export(&params)?,
        input: Bytes::new(),
        key: headers::idempotency_key(&parts.headers)?,
        labels: params.labels()?,
        priority: priority(&params)?,
        delay: delay(&params)?,
        trigger: Trigger::default(),
    };
    let bytes = body::read(content, &parts.headers, state.config.input_bytes, state.config.body_timeout).await?;
    // The host checks the JSON and its bounds when it creates the run.
    ask.input = if bytes.is_empty() { Bytes::from_static(EMPTY_INPUT) } else { bytes };
    match wait {
        Some(wait) => invoke(&state, ask, wait).await,
        None => request_run(&state, ask).await,
    }
}

async fn invoke(state: &ApiState, ask: RunRequest, wait: Duration) -> ApiResult<Response> {
    let input = ask.input.clone();
    let InvokeResult { run, output, replayed } = state.host.invoke(ask, wait).await?;
    let status = if run.state.is_settled() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let failure = cancellation_failure(state, &run).await?;
    Ok(answer(status, &run, failure.as_ref(), &input, output.as_deref(), replayed))
}

async fn request_run(state: &ApiState, ask: RunRequest) -> ApiResult<Response> {
    let input = ask.input.clone();
    let (run, replayed) = match state.host.request(ask).await? {
        RunRequestResult::Created(run) | RunRequestResult::Joined(run) => (run, false),
        RunRequestResult::Existing(run) => (run, true),
    };
    let failure = cancellation_failure(state, &run).await?;
    Ok(answer(StatusCode::ACCEPTED, &run, failure.as_ref(), &input, None, replayed))
}

fn answer(
    status: StatusCode,
    run: &Run,
    failure: Option<&Failure>,
    input: &[u8],
    output: Option<&[u8]>,
    replayed: bool,
) -> Response {
    Span::current().record("run", tracing::field::display(run.id));
    let json = shapes::Run {
        input: Some(shapes::StoredJson::of(input)),
        output: output.map(shapes::StoredJson::of),
        ..shapes::Run::of((run, failure))
    };
    let mut response = json_at(&format!("/v1/runs/{}", run.id), status, &json);
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn export(params: &QueryParams) -> ApiResult<Option<Export>> {
    let parse = |text: &str| {
        Export::parse(text).ok_or_else(|| {
            let known = Export::ALL.map(Export::as_str).join(", ");
            bad("export", text, "there is no such export").fix(format!("Use one of {known}."))
        })
    };
    params.text("export")?.map(parse).transpose()
}

fn priority(params: &QueryParams) -> ApiResult<Option<u8>> {
    match params.parsed::<u8>("priority")? {
        Some(priority) if !(1..=9).contains(&priority) => {
            Err(bad("priority", &priority.to_string(), "it is a whole number from 1 to 9"))
        }
        priority => Ok(priority),
    }
}

fn delay(params: &QueryParams) -> ApiResult<Option<Duration>> {
    let parse = |text: &str| match parse_span(text) {
        Ok(delay) if delay <= DELAY_MAX => Ok(delay),
        Ok(_) => Err(bad("delay", text, "it is at most 366 days")),
        Err(InvalidDuration::Text) => Err(bad("delay", text, "it is a time such as `90s` or `2h 30m`")),
        Err(uneven) => Err(bad("delay", text, uneven)),
    };
    params.text("delay")?.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn options_of_any_content_never_panic(value in "\\PC{0,60}") {
            let query: String = form_urlencoded::Serializer::new(String::new())
                .append_pair("export", &value)
                .append_pair("priority", &value)
                .append_pair("delay", &value)
                .finish();
            let params = RawQuery::read(&query).unwrap().only(&["export", "priority", "delay"]).unwrap();
            let _ = (export(&params), priority(&params), delay(&params));
        }
    }
}
