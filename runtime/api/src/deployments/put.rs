//! Creating a deployment, or a new revision of one.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::ETAG;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::manifest::Manifest;
use tidemill_core::{Code, DeploymentName, Revision};

use crate::config::DOCUMENT_BYTES;
use crate::problem::{ApiResult, Problem, field_problem, quoted};
use crate::request::headers::{self, RevisionCondition};
use crate::request::{PathParams, RawQuery, body};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, json};

/// Creates or updates a deployment
///
/// The body is the whole manifest. A change creates a revision; the same manifest again changes
/// nothing. With `dry_run=true` the host checks everything and changes nothing.
#[utoipa::path(
    put, path = "/v1/deployments/{name}", tag = "deployments",
    params(
        ("name" = String, Path, description = "the deployment; a `name` in the manifest must be the same"),
        ("dry_run" = Option<bool>, Query, description = "check, and return what would change"),
        ("If-Match" = Option<String>, Header, description = "change it only if it has this `ETag`, or exists (`*`)"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: create it only if it does not exist"),
    ),
    request_body(content = serde_json::Value, description = "the manifest as JSON, at most 256 KiB"),
    responses(
        (status = 200, body = shapes::DeployResult<'_>, description = "changed, unchanged, or a dry run"),
        (status = 201, body = shapes::DeployResult<'_>, description = "created"),
        (status = 412, body = shapes::ProblemDetails, description = "it is at another revision"),
        (status = 422, body = shapes::ProblemDetails, description = "the manifest is not valid; `errors` has every problem"),
    )
)]
pub async fn put(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
    request: Request,
) -> ApiResult<Response> {
    let dry_run = query.only(&["dry_run"])?.flag("dry_run")?;
    let (parts, content) = request.into_parts();
    headers::json(&parts.headers)?;
    let expected = headers::expected(&parts.headers)?;
    let bytes = body::read(content, &parts.headers, DOCUMENT_BYTES, state.config.body_timeout).await?;
    let manifest = named(manifest(&bytes)?, name.clone())?;

    let expected = expected_revision(&state, &name, expected).await?;
    let deployed = state.host.deploy(manifest, expected, dry_run).await?;

    let status = if deployed.created && !dry_run { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = json(status, &shapes::DeployResult::of((&deployed, dry_run)));
    if let Some(tag) = headers::etag(deployed.deployment.revision) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

fn manifest(bytes: &[u8]) -> ApiResult<Manifest> {
    Manifest::parse_json(bytes).map_err(|problems| Problem::of_fields(Code::BadManifest, problems))
}

fn named(mut manifest: Manifest, name: DeploymentName) -> ApiResult<Manifest> {
    match &manifest.name {
        Some(other) if *other != name => {
            let detail = format!("the manifest is named `{}`, the path `{name}`", quoted(other.as_str()));
            let fix = "Use one name in both, or leave it out.";
            let field = field_problem("/name", Code::BadField, &detail, Some(fix));
            Err(Problem::new(Code::BadManifest, detail).field(field))
        }
        _ => {
            manifest.name = Some(name);
            Ok(manifest)
        }
    }
}

/// Returns the revision that the host must expect. For `If-Match: *`, it reads the current revision
/// and expects that.
pub async fn expected_revision(
    state: &ApiState,
    name: &DeploymentName,
    expected: RevisionCondition,
) -> ApiResult<Option<Option<Revision>>> {
    match expected {
        RevisionCondition::Anything => Ok(None),
        RevisionCondition::Nothing => Ok(Some(None)),
        RevisionCondition::At(revision) => Ok(Some(Some(revision))),
        RevisionCondition::Something => match state.host.store().deployment(name).await? {
            Some(deployment) => Ok(Some(Some(deployment.revision))),
            None => Err(Problem::new(Code::PreconditionFailed, format!("there is no deployment `{name}`"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_manifest_of_any_bytes_causes_no_panic_and_no_server_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Err(problem) = manifest(&bytes) {
                prop_assert!(problem.status().is_client_error());
            }
        }

        #[test]
        fn manifest_like_text_never_panics(text in "\\{(\"(module|name|limits|grants|config|schedules?)\":([0-9]{1,25}|\"\\PC{0,9}\"|\\[\\]|\\{\\}|null),?){0,4}\\}?") {
            if let Err(problem) = manifest(text.as_bytes()) {
                prop_assert!(problem.status().is_client_error());
            }
        }
    }
}
