//! What only tests and benchmarks call.

use async_trait::async_trait;
use tidemill_core::{DeploymentName, ScheduleName};

use crate::embedded::runs::admission::lanes;
use crate::embedded::schedules::queue;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{READY, name_key};
use crate::embedded::tx::ReadTx;
use crate::error::Result;
use crate::records::{LaneView, UnendedFirings};
use crate::traits::InspectionStore;

#[async_trait]
impl InspectionStore for EmbeddedStore {
    async fn queued(&self, deployment: &DeploymentName, max: usize) -> Result<usize> {
        Ok(self.latest().scan_prefix(READY, &name_key(deployment.as_str(), &[]), max)?.len())
    }

    async fn lane(&self, deployment: &DeploymentName, lane: &str, max: usize) -> Result<LaneView> {
        lanes::view(&self.snapshot(), deployment, lane, max)
    }

    async fn unended_firings(
        &self,
        deployment: &DeploymentName,
        name: &ScheduleName,
        max: usize,
    ) -> Result<UnendedFirings> {
        let view = self.snapshot();
        let started = queue::started(&view, deployment, name, max)?;
        Ok(UnendedFirings { started, waiting: queue::waiting(&view, deployment, name, max)? })
    }
}
