//! Alerts, and the channels that notifications about them are sent to.

pub mod acknowledge;
pub mod channels;
pub mod get;
pub mod json;
pub mod list;
