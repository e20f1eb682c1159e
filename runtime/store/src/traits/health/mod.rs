//! The health of deployments, and the incidents about it.

mod deployments;
mod incidents;

pub use deployments::HealthStore;
pub use incidents::IncidentStore;
