//! Writes an invoice for each order event. Its input is the payload of the event. `events::event`
//! returns the event.

use serde::{Deserialize, Serialize};
use tidemill_sdk::{Result, Schema, events, info, state};

/// The payload that `order-events` publishes, without the fields that are not needed here.
#[derive(Deserialize, Schema)]
struct Placed {
    order: u64,
    customer: String,
}

/// The output of a run.
#[derive(Serialize, Schema, Debug, PartialEq)]
struct Invoice {
    number: u64,
    order: u64,
}

#[tidemill_sdk::workflow]
fn invoice(placed: Placed) -> Result<Invoice> {
    let Placed { order, customer } = placed;
    let key = format!("invoice/{order}");
    // The host delivers an event once, but an operator can replay it. The invoice is written once.
    if let Some(number) = state::get::<u64>(&key)? {
        return Ok(Invoice { number, order });
    }
    let number = state::get::<u64>("last")?.unwrap_or(0) + 1;
    state::set("last", &number)?;
    state::set(&key, &number)?;
    let published = events::event().map(|event| event.at.to_string()).unwrap_or_default();
    info!("invoice {number} for {customer}"; order = order, published = published);
    Ok(Invoice { number, order })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tidemill_sdk::testing::Harness;

    fn harness() -> Harness {
        Harness::new().manifest(include_str!("../tidemill.toml")).event("orders.placed")
    }

    fn placed(order: u64) -> serde_json::Value {
        json!({ "order": order, "pieces": 3, "customer": "ada", "country": "DE" })
    }

    #[test]
    fn an_order_gets_the_next_number_wherever_the_host_dies() {
        let ran = harness().state("last", 41).crash_everywhere(invoice, placed(7));
        assert_eq!(*ran.succeeded(), Invoice { number: 42, order: 7 });
        assert!(ran.lines()[0].message.contains("invoice 42 for ada"));
    }

    #[test]
    fn an_order_that_comes_again_keeps_its_number() {
        let harness = harness().state("last", 42).state("invoice/7", 5);
        assert_eq!(*harness.run(invoice, placed(7)).succeeded(), Invoice { number: 5, order: 7 });
    }
}
