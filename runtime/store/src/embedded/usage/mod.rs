//! The usage of each deployment, counted in the commits that change it, and its quotas.
//!
//! An operation collects its changes. At its end, the usage of each changed deployment is written
//! in the same commit, so the counters are exact after any crash. A folder of a release without
//! counters is counted once, when the first epoch of this release starts.

mod count;
mod delta;
mod quotas;

pub(crate) use count::count_once;
pub(crate) use delta::{UsageDelta, UsageDeltas, signed};
pub(crate) use quotas::{check_new_run, check_topic, get, write};
