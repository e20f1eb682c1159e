//! The loop of the circuit breakers: announces each change of a breaker on the feed, and has the
//! dispatcher look again at a deployment whose runs may start.
//!
//! It sleeps until the earliest end of an open or half-open phase, and a change of a breaker wakes
//! it. While all breakers are closed it does nothing.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::breaker::{BreakerMode, BreakerPhase};
use tidemill_core::{Clock, Timestamp};
use tidemill_store::records::FeedEvent;
use tidemill_store::{Store, StoreError};

use crate::deployment::active::{ActiveDeployment, DeploymentRegistry};
use crate::deployment::breaker::BreakerTransition;
use crate::error::ControlError;
use crate::health::HealthMonitor;
use crate::metrics::Metrics;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::admission::Admission;
use crate::state::HostState;
use crate::store_failures::StoreFailures;

/// The loop that announces the changes of breakers.
pub(crate) struct BreakerReconciler {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    deployments: Arc<DeploymentRegistry>,
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    store_failures: Arc<StoreFailures>,
    health: Arc<HealthMonitor>,
}

impl BreakerReconciler {
    pub(crate) fn new(host: &HostState) -> Self {
        Self {
            store: Arc::clone(&host.store),
            clock: Arc::clone(&host.clock),
            deployments: Arc::clone(&host.deployments),
            admission: Arc::clone(&host.admission),
            metrics: Arc::clone(&host.metrics),
            store_failures: Arc::clone(&host.store_failures),
            health: Arc::clone(&host.health),
        }
    }

    /// Announces transitions in their order. Returns those that could not be announced.
    async fn announce(
        &self,
        live: &ActiveDeployment,
        transitions: Vec<BreakerTransition>,
    ) -> Result<(), (StoreError, Vec<BreakerTransition>)> {
        let (deployment, revision) = (&live.deployment.name, live.deployment.revision);
        let mut left = transitions.into_iter();
        while let Some(transition) = left.next() {
            let BreakerTransition { phase, at, until, reason } = &transition;
            let (deployment, state, reason) = (deployment.clone(), phase.as_str().to_owned(), reason.clone());
            let event = FeedEvent::Breaker { deployment, revision, state, reason, until: *until };
            if let Err(error) = self.store.announce(event, *at).await {
                return Err((error, std::iter::once(transition).chain(left).collect()));
            }
            log(live, &transition);
            self.metrics.count_breaker(live.deployment.name.as_str(), transition.phase.as_str());
        }
        Ok(())
    }
}

fn log(live: &ActiveDeployment, transition: &BreakerTransition) {
    let BreakerTransition { phase, until, reason, .. } = transition;
    let (deployment, until) = (&live.deployment.name, until.map(Timestamp::to_rfc3339));
    match phase {
        BreakerPhase::Open => tracing::warn!(%deployment, reason, until, "circuit breaker opened"),
        BreakerPhase::HalfOpen => tracing::info!(%deployment, reason, "circuit breaker is half-open"),
        BreakerPhase::Closed => tracing::info!(%deployment, reason, "circuit breaker closed"),
    }
}

#[async_trait]
impl Reconciler for BreakerReconciler {
    fn name(&self) -> &'static str {
        "breakers"
    }

    async fn tick(&self, _: Timestamp) -> Result<TickReport, ControlError> {
        let signal = &self.deployments.breakers;
        let (mut found, mut done, mut failed, mut next) = (0, 0, 0, None::<Timestamp>);
        for (name, mut admissible) in signal.take() {
            let Some(live) = self.deployments.get(&name) else {
                signal.watch(&name, false);
                continue;
            };
            let breaker = &live.limiter.breaker;
            let (transitions, status) = breaker.take_transitions(self.clock.now());
            let automatic = status.mode == BreakerMode::Automatic;
            signal.watch(&name, automatic && status.phase != BreakerPhase::Closed);
            admissible |= transitions.iter().any(|transition| transition.phase != BreakerPhase::Open);
            if admissible && status.phase != BreakerPhase::Open {
                self.admission.node.backlog.enqueue_deployment(&live.limiter);
            }
            next = [next, status.until.filter(|_| automatic)].into_iter().flatten().min();
            found += transitions.len();
            let count = transitions.len();
            if count > 0 {
                self.health.observe_soon(&name);
            }
            match self.announce(&live, transitions).await {
                Ok(()) => done += count,
                Err((error, left)) => {
                    failed += left.len();
                    done += count - left.len();
                    self.store_failures.record(&error);
                    breaker.keep_transitions(left);
                }
            }
        }
        let next = next.map_or(NextTick::OnWake, NextTick::At);
        Ok(TickReport { found, done, failed, next })
    }

    async fn woken(&self) {
        self.deployments.breakers.woken().await;
    }
}
