//! Alerts of the host: what is observed becomes conditions, conditions become alerts, and alerts
//! become notifications.
//!
//! [`AlertMonitor`] holds the book of conditions and open alerts. Observations of health change it
//! in memory. One loop commits the steps that are due, each with its notifications. Another loop
//! sends what waits: each channel has a queue and a back-off of its own, so that a dead channel
//! delays no other.

mod conditions;
mod manage;
mod message;
pub(crate) mod reconciler;
mod send;
pub(crate) mod sender;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use parking_lot::{Mutex, MutexGuard};
use tidemill_core::alerts::{AlertBook, AlertConfig, AlertEvent, ObservedScope};
use tidemill_core::healing::Incident;
use tidemill_core::{ChannelName, DeploymentName, Timestamp};
use tidemill_store::{Store, StoreError};
use tokio::sync::Notify;

use crate::health::Vital;

pub(crate) use conditions::ObservedHealth;
pub use manage::{AlertView, ChannelStatus, ChannelTest, PendingAlert};
pub(crate) use send::ChannelQueue;

/// The alerts of a host.
#[derive(Debug)]
pub(crate) struct AlertMonitor {
    book: Mutex<AlertBook>,
    queues: Mutex<HashMap<ChannelName, ChannelQueue>>,
    /// Wakes the loop that takes the steps of alerts.
    wake: Notify,
    /// Wakes the loop that sends notifications.
    send_wake: Notify,
    /// Notified when a channel has sent what it could.
    ended: Notify,
    /// When the counts of attempts were last saved, and old alerts were last removed.
    saved_at: AtomicU64,
    removed_at: AtomicU64,
}

impl AlertMonitor {
    /// Returns the monitor of a host that starts `now`.
    ///
    /// # Errors
    /// Errors of the store.
    pub(crate) async fn load(store: &dyn Store, now: Timestamp) -> Result<Self, StoreError> {
        let book = AlertBook::new(store.open_alerts().await?, store.silences().await?);
        Ok(Self {
            book: Mutex::new(book),
            queues: Mutex::default(),
            wake: Notify::new(),
            send_wake: Notify::new(),
            ended: Notify::new(),
            saved_at: AtomicU64::new(now.as_millis()),
            removed_at: AtomicU64::default(),
        })
    }

    fn book(&self) -> MutexGuard<'_, AlertBook> {
        self.book.lock()
    }

    /// Takes an observation of a deployment into account.
    pub(crate) fn observe(
        &self,
        config: &AlertConfig,
        deployment: &DeploymentName,
        health: &ObservedHealth<'_>,
        now: Timestamp,
    ) {
        let holding = conditions::of_deployment(config, deployment, health, now);
        if self.book().observe(ObservedScope::Deployment(deployment), holding, config, now) {
            self.wake.notify_one();
        }
    }

    /// Takes the vitals of the host into account.
    fn observe_host(&self, config: &AlertConfig, vitals: &[Vital], now: Timestamp) {
        // Nothing is known before the first reading.
        if !vitals.is_empty() {
            let holding = conditions::of_host(config, vitals, now);
            self.book().observe(ObservedScope::Host, holding, config, now);
        }
    }

    /// Takes the incidents that need a person into account.
    fn observe_incidents(&self, config: &AlertConfig, incidents: &[Incident], now: Timestamp) {
        let events: Vec<_> = incidents.iter().filter_map(conditions::of_incident).collect();
        self.book().report_all(conditions::INCIDENT, &events, config, now);
    }

    /// Takes trouble that another part of the host reports into account.
    fn report(&self, config: &AlertConfig, event: &AlertEvent) {
        if self.book().report(event, config) {
            self.wake.notify_one();
        }
    }

    /// Has both loops look at once, because the configuration or a silence has changed.
    pub(crate) fn look_soon(&self) {
        self.wake.notify_one();
        self.send_wake.notify_one();
    }

    /// Waits until no channel is sending. For tests.
    pub(crate) async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.queues.lock().values().all(|queue| !queue.is_sending()) {
                return;
            }
            ended.await;
        }
    }
}
