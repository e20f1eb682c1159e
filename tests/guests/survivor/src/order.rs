//! An order as a saga: stock is taken, a card charged, the ledger told, the goods wait for a signal, a child ships them, the customer is
//! written to. Where the card is declined or the goods are refused, what was done is undone.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tidemill_sdk::durable::{signal, spawn, step, step_with};
use tidemill_sdk::{Money, Result, Retry, Timestamp, clock, context, events, http, info, ledger, state};

use crate::count;

#[derive(Deserialize)]
pub struct Order {
    order: u32,
    amount: i64,
}

/// `[config]`: where the provider is.
#[derive(Deserialize)]
struct Config {
    provider: String,
    /// This deployment, to start children of.
    deployment: String,
}

#[derive(Serialize, Deserialize)]
struct Receipt {
    receipt: String,
}

/// Retried quickly: a test waits for it.
fn quickly() -> Retry {
    Retry::attempts(8).initial_delay(Duration::from_millis(10)).factor_permille(1_000).jitter_permille(0)
}

impl Order {
    pub fn sell(&self) -> Result<Value> {
        let config: Config = context::config()?;
        let order = self.order;
        stock(-1)?;
        let charged = step_with("charge", quickly(), |attempt| {
            // Of every attempt but the last nothing stays.
            state::set(&format!("charged/{order}"), &true)?;
            info!("charging order {order}"; attempt = attempt);
            self.publish("charged")?;
            self.post(&config, "charge")
        });
        let receipt = match charged {
            Ok(receipt) => receipt,
            Err(error) => {
                stock(1)?;
                count("declined")?;
                return Ok(json!({ "order": order, "declined": error.code() }));
            }
        };
        ledger::entry(format!("order-{order}"), ledger::Kind::Sale, self.money(), Timestamp::from_millis(0)).post()?;
        clock::sleep(Duration::from_millis(20))?;
        let accepted = signal::<bool>("shipped").wait()?;
        if !accepted {
            return self.undo(&config, &receipt);
        }
        let parcel = spawn::<Value>(&config.deployment, &json!({ "do": "parcel", "order": order }))?;
        let shipped = parcel.join()?;
        let packed = signal::<u32>("packed").wait()?;
        step_with("tell", quickly(), |_| self.tell(&config))?;
        count("sold")?;
        self.publish("sold")?;
        Ok(json!({ "order": order, "receipt": receipt.receipt, "shipped": shipped, "packed": packed }))
    }

    /// A mail to the customer and a slip for the books, at once.
    fn tell(&self, config: &Config) -> Result<()> {
        for answer in http::send_all([self.request(config, "mail"), self.request(config, "slip")]) {
            answer?.ok()?;
        }
        Ok(())
    }

    /// Compensations, the last first.
    fn undo(&self, config: &Config, receipt: &Receipt) -> Result<Value> {
        let order = self.order;
        let external_id = format!("order-{order}-back");
        ledger::entry(external_id, ledger::Kind::Refund, self.money(), Timestamp::from_millis(0)).post()?;
        let refund = step_with("refund", quickly(), |_| self.post(config, "refund"))?;
        step("restock", || stock(1))?;
        count("refused")?;
        Ok(json!({ "order": order, "receipt": receipt.receipt, "refund": refund.receipt }))
    }

    /// An event that makes a run of this deployment, which counts it.
    fn publish(&self, what: &str) -> Result<()> {
        let told = json!({ "do": "told", "order": self.order, "what": what });
        events::publish(&format!("shop.{what}"), &told)
    }

    fn post(&self, config: &Config, what: &str) -> Result<Receipt> {
        self.request(config, what).send()?.ok()?.json()
    }

    fn request(&self, config: &Config, what: &str) -> http::Request {
        let url = format!("{}/{what}", config.provider);
        http::post(url).json(&json!({ "order": self.order, "amount": self.amount }))
    }

    fn money(&self) -> Money {
        Money::minor(self.amount, "EUR")
    }
}

fn stock(change: i64) -> Result<()> {
    let stock = state::get_or_default::<i64>("stock")? + change;
    state::set("stock", &stock)
}
