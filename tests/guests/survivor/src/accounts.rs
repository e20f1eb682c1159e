//! Ten accounts whose sum never changes, and transfers that fail on purpose. Each transfer reads
//! all accounts, and fails with the code `sum-changed` if the sum is wrong.

use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tidemill_sdk::durable::{step, step_with};
use tidemill_sdk::{Error, Result, Retry, clock, state};

const ACCOUNTS: u32 = 10;
const EACH: i64 = 1_000;

#[derive(Deserialize)]
pub struct Transfer {
    from: u32,
    to: u32,
    amount: i64,
    #[serde(default)]
    fails: Fails,
    /// Duration of the sleep between the check and the transfer, in milliseconds.
    #[serde(default)]
    sleeps: u64,
}

/// The point at which a transfer fails.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Fails {
    /// It does not fail.
    #[default]
    Never,
    /// In the first attempt of its step, half done. The second attempt succeeds.
    InStep,
    /// In every attempt of its step, half done: nothing is transferred.
    InEveryStep,
    /// After its step, in a second transfer: only the transfer of the step remains.
    AfterStep,
    /// Without a step, half done: nothing is transferred.
    WithoutStep,
}

pub fn open() -> Result<Value> {
    for account in 0..ACCOUNTS {
        state::set(&key(account), &EACH)?;
    }
    Ok(Value::Null)
}

impl Transfer {
    pub fn make(&self) -> Result<Value> {
        check("before")?;
        if self.sleeps > 0 {
            clock::sleep(Duration::from_millis(self.sleeps))?;
            check("after a sleep")?;
        }
        let retry = Retry::attempts(3).initial_delay(Duration::from_millis(5)).jitter_permille(0);
        match self.fails {
            Fails::Never => step("move", || self.carry(false))?,
            Fails::InStep => step_with("move", retry, |attempt| self.carry(attempt == 1))?,
            Fails::InEveryStep => step_with("move", retry, |_| self.carry(true))?,
            Fails::AfterStep => {
                step("move", || self.carry(false))?;
                check("between")?;
                self.carry(true)?;
            }
            Fails::WithoutStep => self.carry(true)?,
        }
        check("after")?;
        Ok(json!({ "moved": self.amount }))
    }

    /// Moves the amount; with `fails`, fails between the debit and the credit.
    fn carry(&self, fails: bool) -> Result<()> {
        add(self.from, -self.amount)?;
        if fails {
            return Err(match self.fails {
                Fails::InStep | Fails::InEveryStep => Error::retryable("on-purpose", "it fails half done"),
                _ => Error::new("on-purpose", "it fails half done"),
            });
        }
        add(self.to, self.amount)
    }
}

fn add(account: u32, amount: i64) -> Result<()> {
    let key = key(account);
    let balance = state::get_or_default::<i64>(&key)?;
    state::set(&key, &(balance + amount))
}

fn check(when: &str) -> Result<()> {
    let mut sum = 0;
    for account in 0..ACCOUNTS {
        sum += state::get_or_default::<i64>(&key(account))?;
    }
    if sum == EACH * i64::from(ACCOUNTS) {
        return Ok(());
    }
    Err(Error::new("sum-changed", format!("{when}, the accounts add up to {sum}")))
}

fn key(account: u32) -> String {
    format!("account/{account}")
}
