//! An order as a saga: take stock, charge the card, post a sale, wait for a signal, ship by a child
//! run, notify the customer. If the card is declined or the goods are refused, it is compensated.

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

/// `[config]`: the address of the provider.
#[derive(Deserialize)]
struct Config {
    provider: String,
    /// Name of this deployment, whose runs are the children.
    deployment: String,
}

#[derive(Serialize, Deserialize)]
struct Receipt {
    receipt: String,
}

/// A retry policy with short delays, because a test waits for it.
fn quickly() -> Retry {
    Retry::attempts(8).initial_delay(Duration::from_millis(10)).factor_permille(1_000).jitter_permille(0)
}

impl Order {
    pub fn sell(&self) -> Result<Value> {
        let config: Config = context::config()?;
        let order = self.order;
        stock(-1)?;
        let charged = step_with("charge", quickly(), |attempt| {
            // The effects of failed attempts are discarded.
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

    /// Sends a mail to the customer and a slip to the books, concurrently.
    fn tell(&self, config: &Config) -> Result<()> {
        for answer in http::send_all([self.request(config, "mail"), self.request(config, "slip")]) {
            answer?.ok()?;
        }
        Ok(())
    }

    /// Compensates in reverse order.
    fn undo(&self, config: &Config, receipt: &Receipt) -> Result<Value> {
        let order = self.order;
        let external_id = format!("order-{order}-back");
        ledger::entry(external_id, ledger::Kind::Refund, self.money(), Timestamp::from_millis(0)).post()?;
        let refund = step_with("refund", quickly(), |_| self.post(config, "refund"))?;
        step("restock", || stock(1))?;
        count("refused")?;
        Ok(json!({ "order": order, "receipt": receipt.receipt, "refund": refund.receipt }))
    }

    /// Publishes an event that starts a run of this deployment, which counts it.
    fn publish(&self, what: &str) -> Result<()> {
        let notice = json!({ "do": "notice", "order": self.order, "what": what });
        events::publish(&format!("shop.{what}"), &notice)
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
