//! An order in three services without a common transaction: stock, payment and carrier. If a
//! service refuses, or a caller cancels the run, the run undoes the earlier steps in reverse order
//! and posts nothing to the ledger.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tidemill_sdk::http::Request;
use tidemill_sdk::{Money, Result, Retry, Schema, bail, clock, context, durable, http, info, ledger, saga};

/// The input of a run.
#[derive(Deserialize, Schema)]
struct Order {
    /// The shop's order number. The ledger posts a sale of it once.
    id: String,
    sku: String,
    pieces: u32,
    /// The price in cents.
    price: i64,
    /// The id of the card at the payment provider.
    card: String,
    address: String,
}

/// `[config]` of the manifest.
#[derive(Deserialize)]
struct Config {
    /// The start of the URLs of all three services.
    base: String,
}

/// The output of a run.
#[derive(Serialize, Schema, Debug, PartialEq)]
struct Done {
    order: String,
    charge: String,
    parcel: String,
}

#[tidemill_sdk::workflow]
fn order(order: Order) -> Result<Done> {
    let Config { base } = context::config()?;
    let services = Services { base };
    if order.pieces == 0 || order.price <= 0 {
        bail!("bad-order", "order {} needs pieces and a price", order.id);
    }
    let done = saga(|saga| {
        // Compensation must eventually succeed, however long a service is down.
        saga.undo_with(Retry::patient());

        // A hold whose response was lost expires by itself.
        let hold = saga.step(
            "hold the stock",
            || services.made("holds", &json!({ "sku": order.sku, "pieces": order.pieces })),
            |hold| services.undo(&format!("holds/{hold}")),
        )?;
        // A charge whose response was lost may exist. The order identifies it, so that it can be
        // undone without the response.
        saga.undo("charge the card", || services.undo(&format!("charges/of-order/{}", order.id)));
        let charge = durable::step_with("charge the card", Retry::times(4).every(Duration::from_secs(15)), |_| {
            services.made("charges", &json!({ "order": order.id, "card": order.card, "cents": order.price }))
        })?;
        let parcel = saga.step(
            "book the carrier",
            || services.made("parcels", &json!({ "order": order.id, "to": order.address, "hold": hold })),
            |parcel| services.undo(&format!("parcels/{parcel}")),
        )?;
        // All steps succeeded. The sale takes effect together with the run's success. It is posted
        // inside the saga, because this call can still return a cancellation.
        ledger::entry(&charge, ledger::Kind::Sale, Money::minor(order.price, "EUR"), clock::now())
            .description(format!("order {}", order.id))
            .metadata(&json!({ "parcel": parcel }))
            .post()?;
        Ok(Done { order: order.id.clone(), charge, parcel })
    })?;
    info!("order {} is on its way", done.order; parcel = done.parcel);
    Ok(done)
}

struct Services {
    base: String,
}

impl Services {
    /// Creates an object and returns its id. The host's `Idempotency-Key` is the same in every try
    /// and attempt, so it is created once.
    fn made(&self, what: &str, body: &Value) -> Result<String> {
        let answer = self.reached(http::post(format!("{}/{what}", self.base)).json(body))?;
        Ok(answer["id"].as_str().unwrap_or_default().to_owned())
    }

    /// An object that does not exist needs no undo.
    fn undo(&self, path: &str) -> Result<()> {
        let answer = http::delete(format!("{}/{path}", self.base)).send()?;
        if answer.status == 404 { Ok(()) } else { answer.ok().map(drop) }
    }

    fn reached(&self, request: Request) -> Result<Value> {
        let answer = request.timeout(Duration::from_secs(10)).send()?;
        if matches!(answer.status, 402 | 409) {
            let why: Value = answer.json()?;
            bail!("refused", "{}: {}", answer.url, why["why"].as_str().unwrap_or("no reason given"));
        }
        answer.ok()?.json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Answer, Harness, RunResult};

    fn harness() -> Harness {
        let made = |id: &'static str| move |_: &_| json!({ "id": id });
        Harness::new()
            .manifest(include_str!("../tidemill.toml"))
            .http("POST", "http://127.0.0.1:8081/holds", made("h1"))
            .http("POST", "http://127.0.0.1:8081/charges", made("c1"))
            .http("DELETE", "*", |_| 204)
    }

    fn with_a_carrier(status: u16) -> Harness {
        let answer = Answer::json(&json!({ "id": "p1", "why": "no van today" })).with_status(status);
        harness().http("POST", "http://127.0.0.1:8081/parcels", move |_| answer.clone())
    }

    fn input() -> Value {
        json!({ "id": "o1", "sku": "lamp", "pieces": 2, "price": 4_998, "card": "card_7", "address": "Harbour 1" })
    }

    fn effects(ran: &RunResult<Done>) -> Vec<String> {
        let place = |url: &str| url.replace("http://127.0.0.1:8081/", "");
        ran.effects().iter().map(|sent| format!("{} {}", sent.method, place(&sent.url))).collect()
    }

    #[test]
    fn an_order_is_charged_once_whatever_crashes() {
        let ran = with_a_carrier(200).crash_everywhere(order, input());
        assert_eq!(effects(&ran), ["POST holds", "POST charges", "POST parcels"]);
        assert_eq!(ran.ledger().next().unwrap().amount, Money::minor(4_998, "EUR"));
        assert_eq!(*ran.succeeded(), Done { order: "o1".into(), charge: "c1".into(), parcel: "p1".into() });
    }

    const UNDONE: [&str; 5] =
        ["POST holds", "POST charges", "POST parcels", "DELETE charges/of-order/o1", "DELETE holds/h1"];

    #[test]
    fn what_was_done_is_undone_in_reverse_where_the_carrier_refuses() {
        let ran = with_a_carrier(409).crash_everywhere(order, input());
        assert_eq!((ran.failed().code(), ran.ledger().count()), ("refused", 0));
        assert_eq!(effects(&ran), UNDONE);
    }

    #[test]
    fn undoing_waits_for_a_service_that_is_away() {
        let away_for_a_day = |sent: &tidemill_sdk::testing::SentRequest| if sent.nth < 30 { 503 } else { 204 };
        let ran = Harness::new()
            .manifest(include_str!("../tidemill.toml"))
            .http("DELETE", "http://127.0.0.1:8081/charges/*", away_for_a_day)
            .http("POST", "http://127.0.0.1:8081/parcels", |_| 422)
            .http("POST", "*", |_| json!({ "id": "h1" }))
            .http("DELETE", "*", |_| 204)
            .run(order, input());
        assert_eq!(ran.failed().code(), "http-status");
        assert!(ran.elapsed() > Duration::from_secs(3_600));
        assert_eq!(effects(&ran), UNDONE);
    }

    #[test]
    fn a_cancelled_order_leaves_no_effects() {
        with_a_carrier(200).cancel_everywhere(order, input(), |ran| {
            assert_eq!(ran.ledger().count(), 0);
            let effects = effects(ran);
            let made = |what: &str| effects.iter().any(|effect| effect == what);
            assert_eq!(made("POST holds"), made("DELETE holds/h1"), "{effects:?}");
            assert!(!made("POST charges") || made("DELETE charges/of-order/o1"), "{effects:?}");
            assert_eq!(made("POST parcels"), made("DELETE parcels/p1"), "{effects:?}");
        });
    }
}
