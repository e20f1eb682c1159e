//! Takes orders, and publishes the result of each order as an event. The change of the stock and
//! the event take effect together.

use serde::{Deserialize, Serialize};
use tidemill_sdk::{Result, Schema, events, state};

/// The initial stock.
const STOCK: u32 = 10;

/// The input of a run, which is also the payload of the event.
#[derive(Deserialize, Serialize, Schema)]
struct Order {
    order: u64,
    pieces: u32,
    customer: String,
    /// A country code of two letters.
    country: String,
}

/// The output of a run.
#[derive(Serialize, Schema, Debug, PartialEq)]
struct Answer {
    placed: bool,
    left: u32,
}

#[tidemill_sdk::workflow]
fn place(order: Order) -> Result<Answer> {
    let stock = state::get::<u32>("stock")?.unwrap_or(STOCK);
    match stock.checked_sub(order.pieces) {
        Some(left) => {
            state::set("stock", &left)?;
            events::publish("orders.placed", &order)?;
            Ok(Answer { placed: true, left })
        }
        None => {
            events::publish("orders.refused", &order)?;
            Ok(Answer { placed: false, left: stock })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tidemill_sdk::testing::Harness;

    fn harness() -> Harness {
        Harness::new().manifest(include_str!("../tidemill.toml"))
    }

    fn order(pieces: u32) -> serde_json::Value {
        json!({ "order": 7, "pieces": pieces, "customer": "ada", "country": "DE" })
    }

    #[test]
    fn an_order_is_placed_and_published_once_despite_any_crash() {
        let ran = harness().crash_everywhere(place, order(3));
        assert_eq!(*ran.succeeded(), Answer { placed: true, left: 7 });
        let published: Vec<_> = ran.events().iter().map(|event| (event.topic.as_str(), &event.payload)).collect();
        assert_eq!(published, [("orders.placed", &order(3))]);
    }

    #[test]
    fn an_order_beyond_the_stock_is_published_as_refused() {
        let ran = harness().state("stock", 2).run(place, order(3));
        assert_eq!(*ran.succeeded(), Answer { placed: false, left: 2 });
        assert_eq!(ran.events()[0].topic, "orders.refused");
    }
}
