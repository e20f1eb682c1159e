//! Runs components in the sandbox.
//!
//! [`Engine::admit`] compiles a component in a child process and reports every problem with it;
//! [`Engine::module`] returns its code, and [`Engine::run`] executes one activation of a run: a
//! fresh instance with limited fuel, memory and time, whose host calls are all in `host/`.
//!
//! The engine commits nothing. What a run read, wrote and posted is in [`ActivationResult`], for
//! the caller to commit together with the outcome.

#![deny(unsafe_code)]

mod activation;
mod component;
mod config;
mod digest;
pub mod egress;
mod engine;
mod error;
#[cfg(test)]
mod golden;
mod guest;
mod host;
mod replay;
mod sandbox;
pub mod secrets;
mod threads;
mod transaction;

pub use crate::component::compile::compile_component_main;
#[cfg(feature = "fuzzing")]
pub use crate::component::compile::fuzzing;
pub use crate::component::module::Module;
pub use crate::guest::cancel::{CancelToken, Urgency};
pub use crate::guest::metrics::{Metric, MetricKind, MetricSamples};
pub use crate::guest::stack::{SourceFrame, StackFrame, stack_of};
pub use crate::guest::trap::Cause;
pub use crate::threads::sched::request_short_slice as ask_for_short_slices;
pub use crate::transaction::effects::{Effects, StartRun};
pub use activation::Activation;
pub use activation::channel::{
    CommitOutcome, CommitReason, ObservedHealth, OperatorRequest, PendingCommit, RunChannel, StartTarget, StateSource,
};
pub use activation::result::{ActivationResult, Checkpoint, DryRun, NextAttempt, Outcome};
pub use activation::run_context::RunContext;
pub use config::{CompilerCommand, EngineConfig, MEMORY_MAX};
pub use egress::{BadRoots, EgressPolicy, Roots};
pub use engine::{Engine, EngineStats};
pub use error::{ComponentInfo, ComponentProblem, ComponentRejection, EngineError};
