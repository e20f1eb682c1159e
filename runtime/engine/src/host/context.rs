//! `tidemill:guest/context`: what a run can learn about itself. No function can fail.

use tidemill_core::journal::Kind;

use super::abi::{Contract, Interface};
use crate::component::bindings::wit::context::Trigger;
use crate::guest::GuestState;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut context = Interface::new(contract, "context")?;
    context.call("id", |guest, ()| Ok(guest.run.id.to_string()))?;
    context.call("deployment", |guest, ()| Ok(guest.run.deployment.to_string()))?;
    context.call("component", |guest, ()| Ok(guest.run.component.to_string()))?;
    context.call("triggered-by", triggered_by)?;
    context.call("created-at", |guest, ()| Ok(guest.run.created_at.as_millis()))?;
    context.call("attempt", attempt)?;
    context.call("generation", |guest, ()| Ok(guest.run.generation))?;
    context.call("config", |guest, ()| Ok(guest.run.config.to_string()))
}

/// Returns the attempt number. It is journaled: replay returns the number of the attempt that
/// recorded it.
fn attempt(guest: &mut GuestState, (): ()) -> wasmtime::Result<u32> {
    if let Some(attempt) = guest.replay(Kind::Attempt, [0; 16])? {
        return Ok(attempt);
    }
    let attempt = guest.run.attempt;
    guest.record(Kind::Attempt, [0; 16], &attempt, None)?;
    Ok(attempt)
}

fn triggered_by(guest: &mut GuestState, (): ()) -> wasmtime::Result<Trigger> {
    let trigger = &guest.run.trigger;
    Ok(Trigger {
        kind: trigger.kind.as_str().to_owned(),
        name: trigger.name.clone(),
        id: trigger.id.clone(),
        at: trigger.at.map(|at| at.as_millis()),
        parent: trigger.parent.map(|parent| parent.to_string()),
        details: trigger.details.clone().unwrap_or_else(|| "null".to_owned()),
    })
}
