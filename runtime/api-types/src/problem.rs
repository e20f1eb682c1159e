//! A refusal, as in RFC 9457.

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

/// The wire form of a refusal; see RFC 9457.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Problem))]
pub struct ProblemDetails {
    /// The path of the code's page on this host.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schema(example = "/errors/host-deployment-not-found"))]
    pub kind: String,
    /// The stable code, for programs.
    #[cfg_attr(feature = "schema", schema(example = "host/deployment-not-found"))]
    pub code: String,
    /// The meaning of the code, in a few words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// What to do next.
    pub fix: String,
    /// Every field of the request that is not valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub errors: Vec<FieldProblem>,
    /// Deployments that still use the resource.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub users: Vec<String>,
    /// The run that caused the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The current revision of the deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// A field that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct FieldProblem {
    /// The position in the body, as a JSON pointer (RFC 6901).
    #[cfg_attr(feature = "schema", schema(example = "/limits/memory"))]
    pub pointer: String,
    /// The stable code.
    pub code: String,
    /// What is wrong with the field.
    pub detail: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}
