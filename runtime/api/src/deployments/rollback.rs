//! Rolling a deployment back to an earlier revision.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ETAG;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::{DeploymentName, Revision};

use super::put::expected_revision;
use crate::problem::ApiResult;
use crate::request::{JsonBody, PathParams, RawQuery, headers};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Rolls a deployment back
///
/// Creates a new revision with the manifest and the component of an earlier one. The state does not
/// change. With `dry_run=true` the host checks everything and changes nothing.
#[utoipa::path(
    post, path = "/v1/deployments/{name}/rollback", tag = "deployments",
    params(
        ("name" = String, Path, description = "the deployment"),
        ("dry_run" = Option<bool>, Query, description = "check, and return what would change"),
        ("If-Match" = Option<String>, Header, description = "change it only if it has this `ETag`"),
    ),
    request_body(content = Option<shapes::RollbackRequest>),
    responses(
        (status = 200, body = shapes::DeployResult<'_>, description = "changed, unchanged, or a dry run"),
        (status = 404, body = shapes::ProblemDetails, description = "there is no such deployment or revision, or its component was deleted"),
        (status = 412, body = shapes::ProblemDetails, description = "it is at another revision"),
    )
)]
pub async fn rollback(
    State(state): State<ApiState>,
    PathParams(name): PathParams<DeploymentName>,
    query: RawQuery,
    headers: HeaderMap,
    body: JsonBody,
) -> ApiResult<Response> {
    let dry_run = query.only(&["dry_run"])?.flag("dry_run")?;
    let expected = headers::expected(&headers)?;
    let to = body.fields(|fields, problems| match fields.take("revision") {
        None => Some(None),
        Some(revision) => revision.number(1..=u64::MAX, problems).map(|number| Some(Revision::new(number))),
    })?;
    let expected = expected_revision(&state, &name, expected).await?;
    let deployed = state.host.rollback(&name, to, expected, dry_run).await?;
    let mut response = ok(&shapes::DeployResult::of((&deployed, dry_run)));
    if let Some(tag) = headers::etag(deployed.deployment.revision) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}
