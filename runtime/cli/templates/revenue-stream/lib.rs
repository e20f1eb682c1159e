//! A revenue stream. Each firing of its schedule collects the revenue of a period.

use serde::Deserialize;
use serde_json::json;
use tidemill_sdk::{Collection, Money, Period, Result, Timestamp, context, http, info, ledger};

/// `[config]` in tidemill.toml.
#[derive(Deserialize)]
struct Config {
    /// Answers with the sales of a period as JSON.
    url: String,
}

/// One sale in the provider's format.
#[derive(Deserialize)]
struct Sale {
    /// The provider's id. The ledger posts it once.
    id: String,
    /// The amount in the currency's minor unit: 1999 is 19.99.
    amount: i64,
    currency: String,
    at: Timestamp,
    customer: String,
}

/// The period starts at the end of the last successful collection. All entries take effect
/// together. If this fails, none does, and the next attempt receives the same period.
#[tidemill_sdk::revenue_stream]
fn collect(period: Period) -> Result<Collection> {
    let config: Config = context::config()?;
    let sales: Vec<Sale> = http::get(config.url)
        .query("from", period.start.as_millis())
        .query("to", period.end.as_millis())
        .send()?
        .ok()?
        .json()?;

    let mut collection = Collection::default();
    for sale in sales.into_iter().filter(is_earned) {
        let posting = ledger::entry(
            sale.id,
            ledger::Kind::Sale,
            Money::minor(sale.amount, sale.currency),
            sale.at,
        )
        .customer(sale.customer)
        .post()?;
        if posting.duplicate {
            collection.duplicates += 1;
        } else {
            collection.posted += 1;
        }
    }
    info!("{} sales", collection.posted; until = period.end);
    collection.details = json!({ "until": period.end.to_string() });
    Ok(collection)
}

/// Makes no host call, so that a native test can call it. The ledger accepts no zero amounts.
fn is_earned(sale: &Sale) -> bool {
    sale.amount > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::Harness;

    /// Runs it without a server, then again with a crash after each entry of its journal.
    #[test]
    fn every_sale_is_posted_and_a_free_one_is_no_revenue() {
        let sale = |id: &str, amount: i64| json!({ "id": id, "amount": amount, "currency": "EUR", "at": 5, "customer": "c1" });
        let answer = json!([sale("s1", 1_999), sale("s2", 0), sale("s3", 500)]);
        let harness = Harness::new()
            .manifest(include_str!("../tidemill.toml"))
            .http(
                "GET",
                "http://127.0.0.1:7078/sales?from=0&to=10",
                move |_| answer.clone(),
            );
        let ran = harness.crash_everywhere(collect, json!({ "start": 0, "end": 10 }));
        assert_eq!(ran.succeeded().posted, 2);
        let posted: Vec<_> = ran
            .ledger()
            .map(|entry| (entry.external_id.as_str(), entry.amount.minor_units))
            .collect();
        assert_eq!(posted, [("s1", 1_999), ("s3", 500)]);
    }
}
