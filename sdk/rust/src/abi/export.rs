//! The connection between the contract's exports and an author's functions. Only the code that the
//! attribute macros generate calls it.

use crate::bindings::{health, revenue_stream, webhook};
use crate::stream::{Collection, Period};
use crate::webhook::{Delivery, Reply};
use crate::{Error, Status, Timestamp, json};
use serde::{Serialize, de::DeserializeOwned};

pub use crate::host::types::{Failure, Field};
pub use health::exports::tidemill::guest::health::Status as WitStatus;
pub use revenue_stream::exports::tidemill::guest::revenue_stream::{Collection as WitCollection, Period as WitPeriod};
pub use webhook::exports::tidemill::guest::webhook::{Delivery as WitDelivery, Reply as WitReply};

/// Runs a workflow that takes an input.
pub fn workflow<I, O, E>(input: &str, run: impl FnOnce(I) -> Result<O, E>) -> Result<String, Failure>
where
    I: DeserializeOwned,
    O: Serialize,
    E: Into<Error>,
{
    let input = json::decode(input).map_err(|why| Error::new("bad-input", why).into_failure())?;
    workflow_without_input(|| run(input))
}

/// Runs a workflow that takes no input.
pub fn workflow_without_input<O, E>(run: impl FnOnce() -> Result<O, E>) -> Result<String, Failure>
where
    O: Serialize,
    E: Into<Error>,
{
    run().map_err(Into::into).and_then(|output| json::encode(&output)).map_err(Error::into_failure)
}

/// Runs a collection.
pub fn revenue_stream<E: Into<Error>>(
    period: WitPeriod,
    collect: impl FnOnce(Period) -> Result<Collection, E>,
) -> Result<WitCollection, Failure> {
    let period = Period { start: Timestamp::from_millis(period.start), end: Timestamp::from_millis(period.end) };
    let Collection { posted, duplicates, details } = collect(period).map_err(|error| error.into().into_failure())?;
    Ok(WitCollection { posted, duplicates, details: details.to_string() })
}

/// Runs a webhook.
pub fn webhook<R: Into<Reply>, E: Into<Error>>(
    delivery: WitDelivery,
    receive: impl FnOnce(Delivery) -> Result<R, E>,
) -> Result<WitReply, Failure> {
    let delivery = Delivery {
        id: delivery.id,
        hook: delivery.hook,
        method: delivery.method,
        path: delivery.path,
        query: delivery.query,
        headers: delivery.headers.into_iter().map(|Field { name, value }| (name, value)).collect(),
        body: delivery.body,
        received_at: Timestamp::from_millis(delivery.received_at),
        verified_by: delivery.verified_by,
    };
    let Reply { status, headers, body } = receive(delivery).map_err(|error| error.into().into_failure())?.into();
    let headers = headers.into_iter().map(|(name, value)| Field { name, value }).collect();
    Ok(WitReply { status, headers, body })
}

/// Runs a health check.
pub fn health<E: Into<Error>>(check: impl FnOnce() -> Result<Status, E>) -> WitStatus {
    match check().map_err(Into::into) {
        Ok(Status::Healthy) => WitStatus::Healthy,
        Ok(Status::Degraded(why)) => WitStatus::Degraded(why),
        Ok(Status::Unhealthy(why)) => WitStatus::Unhealthy(why),
        Err(error) => WitStatus::Unhealthy(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_does_not_fit_is_not_retried() {
        let failure =
            workflow(r#"{"name":1}"#, |input: std::collections::BTreeMap<String, String>| Ok::<_, Error>(input))
                .unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("bad-input", false));
        assert!(failure.message.starts_with("name: invalid type"), "{}", failure.message);
    }

    #[test]
    fn a_health_check_that_fails_is_unhealthy() {
        let WitStatus::Unhealthy(why) = health(|| Err::<Status, _>(Error::new("no-feed", "gone"))) else {
            panic!("not unhealthy");
        };
        assert_eq!(why, "no-feed: gone");
    }
}
