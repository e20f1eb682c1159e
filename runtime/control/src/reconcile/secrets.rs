//! Removes versions of secrets whose overlap has ended.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::HostState;

/// Maximum number of versions that one commit removes.
const BATCH: usize = 100;

/// The loop that removes ended versions of secrets.
pub(crate) struct SecretReconciler {
    host: Arc<HostState>,
}

impl SecretReconciler {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self { host: Arc::clone(host) }
    }
}

#[async_trait]
impl Reconciler for SecretReconciler {
    fn name(&self) -> &'static str {
        "secrets"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let due = self.host.store.next_secret_end().await?;
        let done = if due.is_some_and(|due| due <= now) { self.host.expire_secrets(BATCH).await? } else { 0 };
        let next = if done > 0 { self.host.store.next_secret_end().await? } else { due };
        Ok(TickReport { found: done, done, failed: 0, next: next.map_or(NextTick::OnWake, NextTick::At) })
    }

    async fn woken(&self) {
        self.host.secret_wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidemill_engine::secrets::SecretSource as _;
    use tidemill_store::records::SecretEncoding;
    use tidemill_vault::{MasterKey, Vault};

    use super::*;
    use crate::fixture::{LoopFixture, START};
    use crate::secret::manage::SecretChange;

    async fn set(fixture: &LoopFixture, value: &str, overlap: u64) {
        let change = SecretChange {
            name: "key".parse().unwrap(),
            value: value.to_owned().into(),
            encoding: SecretEncoding::Text,
            overlap: Duration::from_millis(overlap),
        };
        fixture.control().put_secret(change).await.unwrap();
    }

    #[tokio::test]
    async fn an_old_version_is_removed_at_the_millisecond_at_which_it_ends() {
        let mut fixture = LoopFixture::with(serde_json::json!({})).await;
        fixture.next_epoch_with(Vault::new(MasterKey::from_bytes([1; 32]), None)).await.unwrap();
        let secrets = SecretReconciler::new(&fixture.host);
        let nothing = TickReport { found: 0, done: 0, failed: 0, next: NextTick::OnWake };
        assert_eq!(secrets.tick(START).await.unwrap(), nothing);
        set(&fixture, "the first value", 0).await;
        set(&fixture, "the second value", 5_000).await;
        secrets.woken().await;
        let end = START.plus_millis(5_000);
        let valid = |fixture: &LoopFixture| fixture.host.config.secrets.valid_versions("key").unwrap().len();
        let early = fixture.clock.advance(4_999);
        assert_eq!(secrets.tick(early).await.unwrap(), TickReport { next: NextTick::At(end), ..nothing });
        assert_eq!(valid(&fixture), 2);
        fixture.clock.set(end);
        assert_eq!(valid(&fixture), 1, "before the timer has run");
        assert_eq!(secrets.tick(end).await.unwrap(), TickReport { found: 1, done: 1, ..nothing });
        let stored = fixture.store.secret("key").await.unwrap().unwrap();
        assert_eq!(stored.versions.len(), 1);
        assert_eq!(fixture.host.config.secrets.stored("key").unwrap().versions.len(), 1);
        assert_eq!(secrets.tick(end).await.unwrap(), nothing);
    }
}
