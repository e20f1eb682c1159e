//! Runs components in the sandbox.
//!
//! A component comes in through [`Engine::admit`], which compiles it in a child process and says everything that is wrong
//! with it; [`Engine::module`] gives its code, and [`Engine::run`] executes one activation of a run: a fresh
//! instance, with fuel, memory and time bounded, whose every call to the host goes through the files in `host/`.
//!
//! The engine commits nothing. What a run read, wrote and posted is in [`Ended`], for the caller to commit together
//! with the outcome.

#![deny(unsafe_code)]

mod activation;
mod bindings;
mod blob;
mod cancel;
mod compile;
mod config;
mod digest;
pub mod egress;
mod end;
mod engine;
mod error;
mod execute;
mod exports;
mod fuel;
#[cfg(test)]
mod golden;
mod guest;
mod history;
mod host;
mod journaled;
mod leaves;
mod limiter;
mod meter;
mod module;
mod panic;
mod random;
mod run_log;
mod samples;
mod sandbox;
pub mod secrets;
mod slice;
mod stack;
mod stretch;
mod threads;
mod ticker;
mod validate;

pub use activation::{
    Activation, Cause, DryRun, Effects, Ended, Left, Metric, MetricKind, NextAttempt, Outcome, Point, RunContext,
    RunSink, SentEvent, SentSignal, StartRun, StartTarget, Stretched, Went,
};
pub use cancel::{CancelToken, Urgency};
pub use compile::compile_component_main;
#[cfg(feature = "fuzzing")]
pub use compile::fuzzing;
pub use config::{CompilerCommand, EngineConfig, MEMORY_MAX};
pub use egress::{BadOrigin, BadRoots, EgressPolicy, OriginPattern, Roots, Scheme};
pub use engine::{Engine, EngineStats};
pub use error::{Admitted, EngineError, Problem, Refused};
pub use module::Module;
pub use samples::Samples;
pub use slice::ask_for_short as ask_for_short_slices;
pub use stack::{SourceFrame, StackFrame, stack_of};
