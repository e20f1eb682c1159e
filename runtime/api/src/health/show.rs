//! The host's health, for operators.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_control::{ClockSetBack, ZoneReport};
use tidemill_store::traits::StoreHealth;

use super::json;
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Shows the host's health
#[utoipa::path(
    get, path = "/v1/health", tag = "health",
    responses((status = 200, body = shapes::Health<'_>, description = "the health, even if the host is degraded"))
)]
pub async fn health(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    query.only(&[])?;
    let (host, store) = (&state.host, state.host.store());
    let readiness = host.ready();
    let (clock_set_back, now) = (host.clock_set_back(), host.clock().now());
    let ZoneReport { release, place, mut warnings } = ZoneReport::of(now);
    warnings.extend(clock_set_back.as_ref().map(ClockSetBack::text));
    warnings.extend(host.forgery_warnings());
    warnings.extend(host.blocked_text());
    let vitals = host.vitals();
    warnings.extend(vitals.iter().filter_map(|vital| vital.problem.clone()));
    warnings.extend(host.master_key_warning().await?);
    let mut reasons = readiness.reasons.clone();
    reasons.extend(host.findings_reason().await?);
    reasons.extend(host.hook_clock_faults());
    let (status, reason) = match store.health() {
        StoreHealth::Good => ("good", None),
        StoreHealth::DiskFull => ("disk-full", None),
        StoreHealth::ReadOnly(why) => ("read-only", Some(why)),
    };
    Ok(ok(&shapes::Health {
        status: if reasons.is_empty() { "ok" } else { "degraded" }.into(),
        ready: readiness.ready,
        reasons: reasons.into(),
        warnings,
        version: env!("CARGO_PKG_VERSION").into(),
        node: host.owner().node.as_str().into(),
        epoch: host.owner().epoch.get(),
        now: now.into(),
        running: host.running(),
        zones: shapes::ZoneData { release, place },
        vitals: vitals.iter().map(json::vital).collect(),
        clock_set_back: clock_set_back.map(shapes::ClockSetBack::of),
        store: shapes::StoreHealth {
            status: status.into(),
            reason,
            committed: store.committed().borrow().position,
            syncs: store.sync_count(),
            scrubbed: host.last_scrub().map(|it| shapes::Scrub {
                at: it.at.into(),
                records: it.records,
                bytes: it.bytes,
            }),
        },
    }))
}
