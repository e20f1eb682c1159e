//! Uploading a component as a version of a module.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::ModuleName;
use tidemill_core::manifest::ModuleVersion;
use tidemill_store::records::PutVersion;

use super::receive::{receive, too_large};
use crate::problem::ApiResult;
use crate::request::{PathParams, RawQuery, body};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, json};

/// Uploads a component as a version of a module
///
/// The body is the component's bytes, whatever `Content-Type` is: the host detects the format from
/// the first bytes. It compiles and checks the component, and lists every problem at once.
#[utoipa::path(
    put, path = "/v1/modules/{name}/versions/{version}", tag = "modules",
    params(
        ("name" = String, Path, description = "the module"),
        ("version" = String, Path, description = "a semantic version"),
    ),
    request_body(content = String, content_type = "application/wasm", description = "the component, at most 64 MiB"),
    responses(
        (status = 200, body = shapes::UploadResult<'_>, description = "the version already exists with the same bytes"),
        (status = 201, body = shapes::UploadResult<'_>, description = "the value was created"),
        (status = 409, body = shapes::ProblemDetails, description = "the version has other bytes"),
        (status = 413, body = shapes::ProblemDetails, description = "the component is too large"),
        (status = 422, body = shapes::ProblemDetails, description = "it cannot run here; `errors` has every problem"),
    )
)]
pub async fn upload(
    State(state): State<ApiState>,
    PathParams((module, version)): PathParams<(ModuleName, ModuleVersion)>,
    query: RawQuery,
    request: Request,
) -> ApiResult<Response> {
    query.only(&[])?;
    let (parts, content) = request.into_parts();
    let most = state.config.component_bytes;
    body::check_declared_length(&parts.headers, most).map_err(|_| too_large(most))?;
    let folder = state.config.uploads();
    let received = receive(content, &folder, most, state.config.body_timeout).await?;

    let uploaded =
        state.host.upload(module.clone(), version.clone(), received.file, received.digest, received.size).await?;

    let status = match uploaded.put {
        PutVersion::Created => StatusCode::CREATED,
        PutVersion::Same => StatusCode::OK,
    };
    let component = shapes::Component::of(&uploaded.component);
    Ok(json(
        status,
        &shapes::UploadResult { module: module.as_str().into(), version: version.as_str().into(), component },
    ))
}
