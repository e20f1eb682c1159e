//! Calls the four exports: converts the JSON input into the export's types, and its result into
//! JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemill_core::limits::{DELIVERY_INPUT_BYTES, INPUT_BYTES, OUTPUT_BYTES};
use tidemill_core::run::Export;
use tidemill_core::wire::json;
use tidemill_core::{Code, Failure};
use wasmtime::Store;

use crate::activation::result::Outcome;
use crate::component::bindings::wit::types::Field;
use crate::component::bindings::{health, revenue_stream, webhook};
use crate::component::module::Module;
use crate::guest::GuestState;
use crate::guest::trap::{Cause, GuestStop};

/// The result of an export, before it is checked.
pub(crate) struct ExportResult {
    /// JSON text, or the guest's failure.
    pub result: Result<String, Failure>,
    /// Whether the guest wrote the text or a part of it. Text of the host needs no check.
    pub by_guest: bool,
}

impl ExportResult {
    /// Checks the size and form of the output.
    ///
    /// # Errors
    /// If the output exceeds its limit or is not JSON.
    pub fn check(self, guest: &GuestState) -> wasmtime::Result<Outcome> {
        let output = match self.result {
            Ok(output) => output,
            Err(failure) => return Ok(Outcome::Failed { failure: guest.accept(failure), cause: Cause::Guest }),
        };
        let limit = guest.run.limits.output.min(OUTPUT_BYTES as u64);
        if output.len() as u64 > limit {
            let message = format!("the output has {} bytes; the maximum is {limit}", output.len());
            return Err(GuestStop::new(Code::LimitOutput, message).into());
        }
        if self.by_guest
            && let Err(error) = json::check(output.as_bytes(), OUTPUT_BYTES)
        {
            return Err(
                GuestStop::new(Code::OutputInvalid, format!("the output is not one JSON value: {error}")).into()
            );
        }
        Ok(Outcome::Output(Bytes::from(output)))
    }
}

/// Calls an export.
pub(crate) async fn call(
    store: &mut Store<GuestState>,
    module: &Module,
    export: Export,
    input: &Bytes,
) -> wasmtime::Result<ExportResult> {
    match export {
        Export::Workflow => workflow(store, module, input).await,
        Export::RevenueStream => revenue_stream(store, module, input).await,
        Export::Webhook => webhook(store, module, input).await,
        Export::Health => health(store, module).await,
    }
}

/// Calls `workflow.run`.
async fn workflow(store: &mut Store<GuestState>, module: &Module, input: &Bytes) -> wasmtime::Result<ExportResult> {
    let pre = module.workflow.as_ref().ok_or_else(|| missing(module, "workflow"))?;
    let input = text(input, INPUT_BYTES)?.to_owned();
    let world = pre.instantiate_async(&mut *store).await?;
    let result = world.tidemill_guest_workflow().call_run(store, &input).await?;
    Ok(ExportResult { result: result.map_err(Failure::from), by_guest: true })
}

/// Calls `revenue-stream.collect`.
async fn revenue_stream(
    store: &mut Store<GuestState>,
    module: &Module,
    input: &Bytes,
) -> wasmtime::Result<ExportResult> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Period {
        start: u64,
        end: u64,
    }
    #[derive(Serialize)]
    struct Collection<'a> {
        posted: u64,
        duplicates: u64,
        details: &'a RawValue,
    }
    let pre = module.revenue_stream.as_ref().ok_or_else(|| missing(module, "revenue-stream"))?;
    let Period { start, end } = parse(input, INPUT_BYTES)?;
    let world = pre.instantiate_async(&mut *store).await?;
    let period = revenue_stream::exports::tidemill::guest::revenue_stream::Period { start, end };
    let collected = match world.tidemill_guest_revenue_stream().call_collect(store, period).await? {
        Ok(collected) => collected,
        Err(failure) => return Ok(ExportResult { result: Err(failure.into()), by_guest: true }),
    };
    let details = serde_json::from_str::<&RawValue>(&collected.details).map_err(|error| {
        GuestStop::new(Code::OutputInvalid, format!("`details` of the collection is not one JSON value: {error}"))
    })?;
    let written = written(&Collection { posted: collected.posted, duplicates: collected.duplicates, details })?;
    Ok(ExportResult { by_guest: true, ..written })
}

/// A header in JSON.
#[derive(Serialize, Deserialize)]
struct Header {
    name: String,
    value: String,
}

/// Calls `webhook.receive`.
async fn webhook(store: &mut Store<GuestState>, module: &Module, input: &Bytes) -> wasmtime::Result<ExportResult> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Delivery {
        id: String,
        hook: String,
        method: String,
        path: String,
        #[serde(default)]
        query: String,
        #[serde(default)]
        headers: Vec<Header>,
        /// In base64.
        #[serde(default)]
        body: String,
        received_at: u64,
        verified_by: String,
    }
    #[derive(Serialize)]
    struct Reply {
        status: u16,
        headers: Vec<Header>,
        body: String,
    }
    let pre = module.webhook.as_ref().ok_or_else(|| missing(module, "webhook"))?;
    let given: Delivery = parse(input, DELIVERY_INPUT_BYTES)?;
    let body = BASE64.decode(&given.body).map_err(|error| bad_input(&format!("`body` is not base64: {error}")))?;
    let delivery = webhook::exports::tidemill::guest::webhook::Delivery {
        id: given.id,
        hook: given.hook,
        method: given.method,
        path: given.path,
        query: given.query,
        headers: given.headers.into_iter().map(|h| Field { name: h.name, value: h.value }).collect(),
        body,
        received_at: given.received_at,
        verified_by: given.verified_by,
    };
    let world = pre.instantiate_async(&mut *store).await?;
    let reply = match world.tidemill_guest_webhook().call_receive(store, &delivery).await? {
        Ok(reply) => reply,
        Err(failure) => return Ok(ExportResult { result: Err(failure.into()), by_guest: true }),
    };
    if !(200..=599).contains(&reply.status) {
        return Err(
            GuestStop::new(Code::OutputInvalid, format!("{} is not a valid response status", reply.status)).into()
        );
    }
    written(&Reply {
        status: reply.status,
        headers: reply.headers.into_iter().map(|f| Header { name: f.name, value: f.value }).collect(),
        body: BASE64.encode(&reply.body),
    })
}

/// Calls `health.check`.
async fn health(store: &mut Store<GuestState>, module: &Module) -> wasmtime::Result<ExportResult> {
    use health::exports::tidemill::guest::health::Status;
    #[derive(Serialize)]
    struct Health {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
    let pre = module.health.as_ref().ok_or_else(|| missing(module, "health"))?;
    let world = pre.instantiate_async(&mut *store).await?;
    let (status, reason) = match world.tidemill_guest_health().call_check(store).await? {
        Status::Healthy => ("healthy", None),
        Status::Degraded(reason) => ("degraded", Some(reason)),
        Status::Unhealthy(reason) => ("unhealthy", Some(reason)),
    };
    written(&Health { status, reason })
}

fn written(output: &impl Serialize) -> wasmtime::Result<ExportResult> {
    match serde_json::to_string(output) {
        Ok(text) => Ok(ExportResult { result: Ok(text), by_guest: false }),
        Err(error) => Err(GuestStop::new(Code::Internal, format!("the output could not be encoded: {error}")).into()),
    }
}

fn missing(module: &Module, wanted: &str) -> GuestStop {
    let there: Vec<_> = module.exports().iter().map(|export| export.as_str()).collect();
    let message = format!("the component does not export `{wanted}`; it exports {}", there.join(", "));
    GuestStop::new(Code::UnknownExport, message)
}

fn text(input: &Bytes, most: usize) -> Result<&str, GuestStop> {
    if input.len() > most {
        let message = format!("the input has {} bytes; the maximum is {most}", input.len());
        return Err(GuestStop::new(Code::LimitInput, message));
    }
    std::str::from_utf8(input).map_err(|error| bad_input(&format!("it is not UTF-8: {error}")))
}

fn parse<'a, T: Deserialize<'a>>(input: &'a Bytes, most: usize) -> Result<T, GuestStop> {
    serde_json::from_str(text(input, most)?).map_err(|error| bad_input(&error.to_string()))
}

fn bad_input(what: &str) -> GuestStop {
    GuestStop::new(Code::BadArgument, format!("the input does not fit the export: {what}"))
}
