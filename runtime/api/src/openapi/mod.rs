//! The OpenAPI document: generated from the handlers' annotations and the rules in
//! `constraints.rs`.

mod constraints;
mod ledger;

use std::sync::LazyLock;
use tidemill_api_types as shapes;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::routes::RouteDescriptions;

/// The root of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidemill",
        description = "Workflows and revenue streams that are WebAssembly components: upload them, deploy them, run them, and see \
                       what they did and earned. Times are RFC 3339 in UTC; ids sort by time; unknown fields and parameters are \
                       refused.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "modules", description = "Named series of components"),
        (name = "components", description = "Uploaded components, identified by their digest"),
        (name = "deployments", description = "Modules that run, with their manifests and revisions"),
        (name = "runs", description = "Executions of an export"),
        (name = "operations", description = "Actions on many items, with their progress"),
        (name = "schedules", description = "Times at which deployments start runs by themselves"),
        (name = "topics", description = "Events that runs and operators publish"),
        (name = "subscriptions", description = "Events for which deployments start runs"),
        (name = "deliveries", description = "Hooks, and the webhooks that they received"),
        (name = "secrets", description = "Values that requests carry and that sign, without ever being shown"),
        (name = "ledger", description = "Entries, balances and revenue"),
        (name = "budgets", description = "What deployments and customers may use in a period, and what they used"),
        (name = "events", description = "The host's events, in the order of their commits"),
        (name = "alerts", description = "What a person should look at, who was notified of it, and silences"),
        (name = "health", description = "Health, readiness and metrics of the host"),
        (name = "incidents", description = "Trouble of deployments and of the host, and its repairs"),
        (name = "page", description = "Pages for a browser"),
    ),
    components(schemas(shapes::ProblemDetails, shapes::FieldProblem)),
    security(("token" = [])),
)]
struct OpenApiDocument;

/// Adds what all operations share: the token, and a refusal with a problem. The tag makes each
/// operation's id unique.
struct CommonResponses;

impl Modify for CommonResponses {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        if let Some(components) = openapi.components.as_mut() {
            let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
            components.security_schemes.insert("token".to_owned(), scheme.into());
        }
        for (path, item) in &mut openapi.paths.paths {
            for (method, operation) in operations(item) {
                operation.operation_id = Some(operation_id(method, path));
                let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
                for (status, response) in &mut operation.responses.responses {
                    if let RefOr::T(response) = response
                        && status.starts_with(['4', '5'])
                    {
                        response.content.clear();
                        response.content.insert("application/problem+json".to_owned(), problem.clone().into());
                    }
                }
                let refused = ResponseBuilder::new()
                    .description("refused; `code` gives the reason")
                    .content("application/problem+json", problem)
                    .build();
                operation.responses.responses.insert("default".to_owned(), refused.into());
            }
        }
    }
}

fn operations(item: &mut utoipa::openapi::PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    [
        (HttpMethod::Get, item.get.as_mut()),
        (HttpMethod::Put, item.put.as_mut()),
        (HttpMethod::Post, item.post.as_mut()),
        (HttpMethod::Delete, item.delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

/// Returns an operation id such as `post_v1_runs_id_cancel`.
fn operation_id(method: HttpMethod, path: &str) -> String {
    let method = match method {
        HttpMethod::Get => "get",
        HttpMethod::Put => "put",
        HttpMethod::Delete => "delete",
        _ => "post",
    };
    let words = path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| id + "_" + word)
}

fn whole() -> utoipa::openapi::OpenApi {
    let mut document = OpenApiDocument::openapi();
    document.merge(RouteDescriptions::openapi());
    CommonResponses.modify(&mut document);
    document
}

static TEXT: LazyLock<Bytes> = LazyLock::new(|| {
    // Types of this crate cannot fail to serialize, and a test reads the text.
    let mut document = serde_json::to_value(whole()).unwrap_or_default();
    constraints::apply(&mut document);
    serde_json::to_vec_pretty(&document).unwrap_or_default().into()
});

/// The document as JSON.
#[must_use]
pub fn text() -> Bytes {
    TEXT.clone()
}

/// Returns this OpenAPI document
#[utoipa::path(
    get, path = "/openapi.json", tag = "health",
    responses((status = 200, body = serde_json::Value, description = "OpenAPI 3.1"))
)]
pub async fn document(query: RawQuery) -> ApiResult<Response> {
    query.only(&[])?;
    let mut response = (StatusCode::OK, text()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::routes::ROUTES;

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_slice(&text()).unwrap();
        let described: BTreeSet<_> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone())))
            .collect();
        let answered: BTreeSet<_> = ROUTES
            .iter()
            .flat_map(|(path, methods)| methods.iter().map(|method| ((*path).to_owned(), (*method).to_owned())))
            .collect();
        assert_eq!(described, answered);
    }

    #[test]
    fn every_operation_has_a_summary_and_every_reference_resolves() {
        let document: serde_json::Value = serde_json::from_slice(&text()).unwrap();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(operation["responses"]["default"].is_object(), "{method} {path}");
                assert!(ids.insert(operation["operationId"].to_string()), "{method} {path}");
            }
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
