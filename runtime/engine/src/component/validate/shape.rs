//! Checks that an export has the function that the host calls, with its exact type. A component
//! that links without it would fail in every run.

use tidemill_core::Code;
use tidemill_core::run::Export;
use wasmtime::Engine;
use wasmtime::component::types::{Component, ComponentItem};

use crate::component::bindings::health::exports::tidemill::guest::health::Status;
use crate::component::bindings::revenue_stream::exports::tidemill::guest::revenue_stream::{Collection, Period};
use crate::component::bindings::webhook::exports::tidemill::guest::webhook::{Delivery, Reply};
use crate::component::bindings::wit::types::Failure;
use crate::error::ComponentProblem;

/// Returns the problem with an export, if there is one.
pub(crate) fn differs(
    export: Export,
    item: &ComponentItem,
    engine: &Engine,
    whole: &Component,
) -> Option<ComponentProblem> {
    let (name, signature) = match export {
        Export::Workflow => ("run", "run: func(input: json) -> result<json, failure>"),
        Export::RevenueStream => ("collect", "collect: func(period: period) -> result<collection, failure>"),
        Export::Webhook => ("receive", "receive: func(delivery: delivery) -> result<reply, failure>"),
        Export::Health => ("check", "check: func() -> status"),
    };
    let problem = |what: &str| {
        Some(
            ComponentProblem::new(
                Code::ExportMissing,
                format!("the export `{}` {what}; the host calls `{signature}`", export.as_str()),
            )
            .with_fix("Build against the `wit/` of this release."),
        )
    };
    let ComponentItem::ComponentInstance(instance) = item else { return problem("is not an interface") };
    let Some(function) = instance.get_export(engine, name) else {
        return problem(&format!("has no function `{name}`"));
    };
    let ComponentItem::ComponentFunc(function) = function.ty else {
        return problem(&format!("has `{name}`, which is not a function"));
    };
    let types = whole.instance_type();
    let same = match export {
        Export::Workflow => function.typecheck::<(String,), (Result<String, Failure>,)>(&types),
        Export::RevenueStream => function.typecheck::<(Period,), (Result<Collection, Failure>,)>(&types),
        Export::Webhook => function.typecheck::<(Delivery,), (Result<Reply, Failure>,)>(&types),
        Export::Health => function.typecheck::<(), (Status,)>(&types),
    };
    match same {
        Ok(()) => None,
        Err(error) => problem(&format!("has a different type ({})", crate::component::module::words(&error))),
    }
}
