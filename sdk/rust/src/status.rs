//! The result of a health check.

/// The health of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Works.
    Healthy,
    /// Works with restrictions, for this reason.
    Degraded(String),
    /// Does not work, for this reason.
    Unhealthy(String),
}

impl Status {
    /// Works with restrictions.
    pub fn degraded(why: impl Into<String>) -> Self {
        Self::Degraded(why.into())
    }

    /// Does not work.
    pub fn unhealthy(why: impl Into<String>) -> Self {
        Self::Unhealthy(why.into())
    }
}
