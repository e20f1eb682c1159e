//! Serves calls that customers have paid for in advance. Each run serves one call to each customer,
//! and refuses those whose credit does not suffice. A webhook tops up the credit.

use serde::{Deserialize, Serialize};
use tidemill_sdk::{Delivery, Money, Reply, Result, clock, context, info, ledger, state};

/// `[config]` of the manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    customers: Vec<String>,
    currency: String,
    /// The price of a call, in minor units.
    price: i64,
}

/// All calls so far. The draws of a run commit together with it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Served {
    runs: u64,
    calls: u64,
    /// What the calls cost, in minor units.
    drawn: i64,
    refused: u64,
}

/// A payment, as the provider sends it.
#[derive(Debug, Deserialize)]
struct TopUp {
    id: String,
    customer: String,
    /// In minor units of the currency of the configuration.
    amount: i64,
}

#[tidemill_sdk::workflow]
fn serve() -> Result<Served> {
    let config: Config = context::config()?;
    let mut served: Served = state::get_or_default("served")?;
    served.runs += 1;
    for customer in &config.customers {
        let id = format!("call-{}-{customer}", served.runs);
        let price = Money::minor(config.price, &config.currency);
        match ledger::draw(id, customer, price, clock::now()).take() {
            Ok(draw) => {
                served.calls += 1;
                served.drawn += draw.amount.minor_units;
            }
            Err(error) if error.code() == "host/insufficient-balance" => {
                served.refused += 1;
                info!("{customer} is refused: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    state::set("served", &served)?;
    Ok(served)
}

#[tidemill_sdk::webhook]
fn receive(delivery: Delivery) -> Result<Reply> {
    let config: Config = context::config()?;
    let TopUp { id, customer, amount } = delivery.json()?;
    ledger::entry(id, ledger::Kind::Prepayment, Money::minor(amount, &config.currency), delivery.received_at)
        .customer(customer)
        .description("a top-up")
        .post()?;
    Ok(Reply::status(204))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tidemill_sdk::testing::Harness;

    #[test]
    fn without_credit_every_call_is_refused_and_counted() {
        let before = Served { runs: 4, calls: 3, drawn: 21, refused: 5 };
        let harness = Harness::new().manifest(include_str!("../tidemill.toml")).state("served", &before);
        let ran = harness.run(|_: Value| serve(), json!(null));
        assert_eq!(*ran.succeeded(), Served { runs: 5, refused: 7, ..before });
        assert!(ran.ledger().next().is_none(), "nothing is drawn");
    }
}
