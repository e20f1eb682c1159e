//! The domain of Tidemill: its terms, and the rules between them.
//!
//! Nothing here does I/O (except for the failpoints of crash tests), waits, or reads the time.
//! Time and randomness are arguments, so that every rule can be tested as a law. The crates above
//! access disks, sockets and guests.

#![forbid(unsafe_code)]

#[cfg(feature = "host")]
pub mod alerts;
#[cfg(feature = "host")]
pub mod batch;
pub mod breaker;
#[cfg(feature = "host")]
pub mod budget;
pub mod clock;
pub mod codes;
#[cfg(feature = "host")]
pub mod delivery;
#[cfg(feature = "host")]
pub mod failpoint;
pub mod failure;
pub mod flow;
#[cfg(feature = "host")]
pub mod healing;
#[cfg(feature = "host")]
pub mod health;
#[cfg(feature = "host")]
pub mod hook;
pub mod ids;
#[cfg(feature = "host")]
pub mod journal;
pub mod lane;
pub mod limits;
pub mod manifest;
pub mod money;
pub mod operator;
pub mod origin;
#[cfg(feature = "host")]
pub mod policy;
#[cfg(feature = "host")]
pub mod quotas;
pub mod retry;
pub mod retry_after;
pub mod run;
#[cfg(feature = "host")]
pub mod schedule;
#[cfg(feature = "host")]
pub mod schema;
pub mod spawn;
pub mod topics;
pub mod wire;
#[cfg(feature = "host")]
pub mod zones;

pub use clock::Clock;
pub use codes::Code;
pub use failure::Failure;
pub use ids::{
    AlertId, AlertRuleName, BudgetName, ChannelName, ComponentDigest, DeliveryId, DeploymentName, Epoch, EventId, Fuel,
    HookName, ModuleName, NodeId, NotificationId, Revision, RunId, ScheduleName, SilenceId, SubscriptionName,
    Timestamp,
};
pub use limits::Limits;
pub use manifest::Manifest;
#[cfg(feature = "host")]
pub use policy::Policy;
pub use retry::RetryPolicy;
pub use topics::{Topic, TopicPattern};
pub use wire::InputProblem;
