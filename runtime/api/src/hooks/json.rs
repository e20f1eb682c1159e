//! The wire form of a hook.

use tidemill_api_types as shapes;
use tidemill_control::{HookView, Refusal};
use tidemill_core::DeploymentName;

use crate::wire::FromRecord;

impl<'a> FromRecord<(&DeploymentName, &'a HookView)> for shapes::Hook<'a> {
    fn of((deployment, hook): (&DeploymentName, &'a HookView)) -> Self {
        let spec = &hook.spec;
        let count =
            |(result, requests): &(&'a str, u64)| shapes::HookCount { result: (*result).into(), requests: *requests };
        Self {
            name: spec.name.as_str().into(),
            path: format!("/hooks/{deployment}/{}", spec.name),
            scheme: spec.scheme.as_str().into(),
            reply: spec.reply.as_str().into(),
            events: spec.events.iter().map(ToString::to_string).collect(),
            requests: hook.requests.iter().map(count).collect(),
            refusals: hook.refusals.iter().map(shapes::HookRefusal::of).collect(),
            clock_offset_ms: hook.clock_offset_millis,
        }
    }
}

impl FromRecord<&Refusal> for shapes::HookRefusal {
    fn of(refusal: &Refusal) -> Self {
        Self {
            at: refusal.at.into(),
            reason: refusal.reason.clone(),
            headers: refusal.headers.clone(),
            body_bytes: refusal.body_bytes,
            digest: refusal.digest.to_string(),
        }
    }
}
