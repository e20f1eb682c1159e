//! Liveness and readiness probes for supervisors and load balancers. They need no token.

use axum::extract::State;
use tidemill_api_types as shapes;
use tidemill_core::Code;
use tidemill_store::traits::StoreHealth;

use crate::problem::{ApiResult, Problem};
use crate::state::ApiState;

/// Reports that the process is alive
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = String, description = "`ok`", content_type = "text/plain"))
)]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Reports whether the host is ready for requests
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, body = String, description = "`ready`", content_type = "text/plain"),
        (status = 503, body = shapes::ProblemDetails, description = "the host is not ready; the problem gives the reason"),
    )
)]
pub async fn readyz(State(state): State<ApiState>) -> ApiResult<&'static str> {
    let readiness = state.host.ready();
    if readiness.ready {
        return Ok("ready\n");
    }
    // A reason may name files of the machine, and the caller shows no token.
    let problem = match state.host.store().health() {
        StoreHealth::Good => Problem::new(Code::Overloaded, "the host is starting or shutting down"),
        StoreHealth::DiskFull => Problem::new(Code::StoreReadOnly, "the disk is full"),
        StoreHealth::ReadOnly(_) => Problem::new(Code::StoreReadOnly, "the store is read-only"),
    };
    Err(problem.log(readiness.reasons.join("; ")).retry_after(2))
}
