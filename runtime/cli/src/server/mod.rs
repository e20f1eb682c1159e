//! The host as a process: its settings, its construction, and the commands that run one.

mod alerts;
#[cfg(feature = "demo")]
pub mod demo;
pub mod dev;
pub mod doctor;
mod events;
mod files;
pub mod logging;
pub mod master_key;
mod policy;
mod process;
pub mod serve;
mod settings;
mod signals;
mod upstream;

pub use logging::timestamp;
