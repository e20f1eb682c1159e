//! The context of one request of a guest: what it may reach, use and how it is cancelled.

use std::sync::Arc;

use tidemill_core::Limits;
use tidemill_core::breaker::CallPurpose;

use super::authorize::Authorization;
use super::usage::{BodyBudget, HttpUsage};
use crate::guest::cancel::{CancelToken, Urgency};

/// The context of one request.
#[derive(Clone)]
pub(crate) struct RequestContext {
    /// The rules for its target and secrets.
    pub authorization: Authorization,
    /// The purpose of the call.
    pub purpose: CallPurpose,
    /// The run's limits.
    pub limits: Limits,
    /// HTTP usage of the run.
    pub usage: Arc<HttpUsage>,
    /// Size budget of the call's bodies.
    pub budget: Arc<BodyBudget>,
    /// Seed of the jitter between tries.
    pub salt: u64,
    /// The run's cancellation token; `None` if the guest is already notified. A try in progress
    /// continues to its response, but no other begins.
    pub cancel: Option<CancelToken>,
}

impl RequestContext {
    /// Whether a cancellation is requested and the guest not yet notified: no further request is
    /// sent.
    pub fn is_ending(&self) -> bool {
        self.cancel.as_ref().is_some_and(|cancel| cancel.urgency() >= Urgency::Requested)
    }

    /// Waits until a cancellation is requested of a guest that is not yet notified.
    pub async fn ending(&self) {
        match &self.cancel {
            Some(cancel) => cancel.reached(Urgency::Requested).await,
            None => std::future::pending().await,
        }
    }
}
