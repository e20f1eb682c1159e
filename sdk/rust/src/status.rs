//! What a health check answers.

/// How a deployment fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Healthy,
    /// It works, but not as it should; says why.
    Degraded(String),
    /// It does not work; says why.
    Unhealthy(String),
}

impl Status {
    /// It works, but not as it should.
    pub fn degraded(why: impl Into<String>) -> Self {
        Self::Degraded(why.into())
    }

    /// It does not work.
    pub fn unhealthy(why: impl Into<String>) -> Self {
        Self::Unhealthy(why.into())
    }
}
