//! A component with all four exports. They link together, and the host binds each separately.

use serde_json::{Value, json};
use tidemill_sdk::{Collection, Delivery, Error, Period, Reply, Status, info};

/// Returns its input.
#[tidemill_sdk::workflow]
fn run(input: Value) -> Value {
    info!("a workflow ran");
    input
}

/// Posts nothing and returns the period.
#[tidemill_sdk::revenue_stream]
fn collect(period: Period) -> Result<Collection, Error> {
    info!("a collection ran");
    Ok(Collection { details: json!(period), ..Collection::default() })
}

/// Returns the delivered event.
#[tidemill_sdk::webhook]
fn receive(delivery: Delivery) -> Result<Reply, Error> {
    info!("a delivery came"; id = delivery.id);
    Ok(Reply::json(&json!({ "hook": delivery.hook, "bytes": delivery.body.len() }))?.header("x-hook", delivery.hook))
}

#[tidemill_sdk::health]
fn check() -> Status {
    Status::Healthy
}
