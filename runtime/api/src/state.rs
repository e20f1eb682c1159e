//! The state that every handler receives.

use std::ops::Deref;
use std::sync::Arc;

use tidemill_control::ControlPlane;
use tokio::sync::{Semaphore, watch};

use crate::attempts::FailedAttempts;
use crate::config::ApiConfig;

/// The host and the API's own settings. Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<ApiContext>);

/// The shared part of [`ApiState`].
pub struct ApiContext {
    /// The host.
    pub host: ControlPlane,
    /// The settings.
    pub config: ApiConfig,
    /// A permit for each stream that may be open.
    pub feeds: Arc<Semaphore>,
    /// Failed authentications of the current window, by peer.
    pub attempts: FailedAttempts,
    /// True once the server stops; streams end then.
    pub closing: watch::Receiver<bool>,
}

impl ApiState {
    /// Builds the state for a host with these settings.
    pub fn new(host: ControlPlane, config: ApiConfig, closing: watch::Receiver<bool>) -> Self {
        let feeds = Arc::new(Semaphore::new(config.feeds));
        Self(Arc::new(ApiContext { host, config, feeds, attempts: FailedAttempts::default(), closing }))
    }
}

impl Deref for ApiState {
    type Target = ApiContext;

    fn deref(&self) -> &ApiContext {
        &self.0
    }
}
