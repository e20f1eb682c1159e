//! The hooks of a deployment: what a request needs before its body is read, and what operators see.

use std::sync::Arc;

use http::HeaderMap;
use tidemill_core::delivery::BodyDigest;
use tidemill_core::hook::{HookMethod, HookSpec};
use tidemill_core::wire::duration_text;
use tidemill_core::{Code, DeploymentName, HookName};
use tidemill_webhook::{BodyEncoding, Verifier};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::hook::refusals::{Refusal, header_names};
use crate::hook::state::{Forgeries, HookStatus};
use crate::metrics::hooks::HookResult;
use crate::state::ControlPlane;

/// A hook that receives a request.
#[derive(Clone)]
pub struct HookEndpoint {
    pub(crate) live: Arc<ActiveDeployment>,
    pub(crate) verifier: Verifier,
    pub(crate) status: Arc<HookStatus>,
}

impl std::fmt::Debug for HookEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookEndpoint")
            .field("deployment", &self.live.deployment.name)
            .field("hook", &self.spec().name)
            .finish_non_exhaustive()
    }
}

impl HookEndpoint {
    pub(crate) fn spec(&self) -> &HookSpec {
        self.verifier.hook()
    }

    /// Returns whether the hook takes requests of this method.
    #[must_use]
    pub fn allows(&self, method: &str) -> bool {
        self.spec().allows(method)
    }

    /// Returns the methods that the hook takes.
    #[must_use]
    pub fn methods(&self) -> Vec<&'static str> {
        HookMethod::ALL.into_iter().map(HookMethod::as_str).filter(|method| self.allows(method)).collect()
    }

    /// Returns the maximum size of a body, in bytes.
    #[must_use]
    pub fn max_body(&self) -> usize {
        usize::try_from(self.spec().max_body).unwrap_or(usize::MAX)
    }

    /// Returns whether a body with this `Content-Encoding`, or without one, is accepted.
    #[must_use]
    pub fn accepts_encoding(&self, headers: &HeaderMap) -> bool {
        let encoding = BodyEncoding::of(headers);
        if self.spec().content_encoding { encoding.is_ok() } else { encoding == Ok(BodyEncoding::Identity) }
    }
}

/// A hook as operators see it.
#[derive(Debug, Clone)]
pub struct HookView {
    /// Its definition.
    pub spec: HookSpec,
    /// The numbers of requests since the host started, by result.
    pub requests: Vec<(&'static str, u64)>,
    /// The last refused requests, newest first.
    pub refusals: Vec<Refusal>,
    /// How far the clock of the host is off in milliseconds, if requests show it.
    pub clock_offset_millis: Option<i64>,
}

impl ControlPlane {
    /// Returns a hook.
    ///
    /// # Errors
    /// `host/hook-not-found` if there is no such deployment or hook.
    pub fn hook(&self, deployment: &DeploymentName, name: &HookName) -> Result<HookEndpoint, ControlError> {
        let live = self.0.deployments.get(deployment);
        let found = live.and_then(|live| {
            let verifier = live.plan.hooks.iter().find(|one| one.hook().name == *name).cloned()?;
            let status = self.0.hooks.of(deployment, name);
            Some(HookEndpoint { live, verifier, status })
        });
        found.ok_or_else(|| ControlError::refused(Code::HookNotFound, "there is no such hook"))
    }

    /// Returns the hooks of a deployment, in the order of its manifest.
    ///
    /// # Errors
    /// `host/deployment-not-found`.
    pub fn hooks(&self, deployment: &DeploymentName) -> Result<Vec<HookView>, ControlError> {
        let live = self.0.deployments.require(deployment)?;
        let view = |verifier: &Verifier| {
            let spec = verifier.hook();
            let status = self.0.hooks.of(deployment, &spec.name);
            let clock_offset_millis = status.clock.lock().offset_millis();
            HookView {
                spec: spec.clone(),
                requests: self.0.metrics.hooks.counts(deployment, &spec.name),
                refusals: status.refusals.newest_first(),
                clock_offset_millis,
            }
        };
        Ok(live.plan.hooks.iter().map(view).collect())
    }

    /// Remembers a request that was refused before it was verified.
    pub fn refuse_hook_request(&self, endpoint: &HookEndpoint, headers: &HeaderMap, reason: &str) {
        let empty = BodyDigest::of(&[]);
        self.remember_refusal(endpoint, headers, 0, empty, reason.to_owned(), HookResult::Unverified);
    }

    /// Remembers a request that leaves nothing in the store.
    pub(crate) fn remember_refusal(
        &self,
        endpoint: &HookEndpoint,
        headers: &HeaderMap,
        body_bytes: usize,
        digest: BodyDigest,
        reason: String,
        result: HookResult,
    ) {
        let (deployment, hook) = (&endpoint.live.deployment.name, &endpoint.spec().name);
        tracing::debug!(%deployment, %hook, reason, "refused a request to a hook");
        self.0.metrics.hooks.count(deployment, hook, result);
        endpoint.status.refusals.add(Refusal {
            at: self.0.clock.now(),
            reason,
            headers: header_names(headers.keys().map(http::HeaderName::as_str)),
            body_bytes: body_bytes as u64,
            digest,
        });
    }

    /// Returns one sentence for each hook that received forgeries since the host's start.
    #[must_use]
    pub fn forgery_warnings(&self) -> Vec<String> {
        let text = |(deployment, hook, found): (DeploymentName, HookName, Forgeries)| {
            let Forgeries { count, last_of, last_at } = found;
            format!(
                "hook {deployment}/{hook}: {count} deliveries had another body than an earlier one with the same transmission id, \
                 the last at {last_at} (see delivery {last_of}); someone forges bodies, so use verify = \"postback\" with a new webhook"
            )
        };
        self.0.hooks.forgeries().into_iter().map(text).collect()
    }

    /// Returns one sentence for each hook whose requests show that the clock of the host is wrong.
    #[must_use]
    pub fn hook_clock_faults(&self) -> Vec<String> {
        let text = |(deployment, hook, offset): (DeploymentName, HookName, i64)| {
            let whole_seconds = offset.unsigned_abs() / 1_000 * 1_000;
            let (by, how) = (duration_text(whole_seconds), if offset > 0 { "slow" } else { "fast" });
            format!(
                "the clock of the host is {by} {how} by the last requests to hook {deployment}/{hook}, which were refused for \
                 their time alone; set the clock"
            )
        };
        self.0.hooks.clock_offsets().into_iter().map(text).collect()
    }
}
