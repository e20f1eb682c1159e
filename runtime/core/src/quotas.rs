//! What one deployment may keep in the store: the quotas, their defaults, and their notation for
//! operators.
//!
//! A limit bounds one run; a quota bounds everything that the runs of a deployment leave in the
//! store.

use serde::{Deserialize, Serialize};

use crate::limits::MIB;

/// Bytes in a GiB.
const GIB: u64 = 1024 * MIB;

/// Maximum amount of each kind that one deployment may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas {
    /// Number of run records, ended runs included.
    pub runs: u64,
    /// Size of the keys and values of its state, in bytes.
    pub state_bytes: u64,
    /// Size of inputs, outputs, journals, signals and events, in bytes.
    pub payload_bytes: u64,
    /// Size of its stored log lines, in bytes.
    pub log_bytes: u64,
    /// Number of retained events that its runs published.
    pub events: u64,
    /// Number of topics that its runs created.
    pub topics: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            runs: 10_000_000,
            state_bytes: 16 * GIB,
            payload_bytes: 64 * GIB,
            log_bytes: 16 * GIB,
            events: 10_000_000,
            topics: 1_000,
        }
    }
}

/// A text is not a valid list of quotas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuotas {
    /// There is no such quota.
    #[error("there is no quota `{0}`; the quotas are runs, state, payloads, logs, events and topics")]
    Name(String),
    /// The amount cannot be read.
    #[error("`{name}` has the amount `{amount}`: write a number, or a size such as 4GiB")]
    Amount {
        /// Name of the quota.
        name: String,
        /// The amount as it was written.
        amount: String,
    },
}

impl Quotas {
    /// Returns the defaults with the changes of a text such as `runs=100000, state=4GiB`.
    ///
    /// # Errors
    /// [`InvalidQuotas`] for the first part that is not `NAME=AMOUNT`.
    pub fn parse(text: &str) -> Result<Self, InvalidQuotas> {
        let mut quotas = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, amount) = part.split_once('=').unwrap_or((part, ""));
            let (name, amount) = (name.trim(), amount.trim());
            let bad = || InvalidQuotas::Amount { name: shown(name), amount: shown(amount) };
            let number = || amount.parse::<u64>().map_err(|_| bad());
            let size = || size(amount).ok_or_else(bad);
            match name {
                "runs" => quotas.runs = number()?,
                "events" => quotas.events = number()?,
                "topics" => quotas.topics = number()?,
                "state" => quotas.state_bytes = size()?,
                "payloads" => quotas.payload_bytes = size()?,
                "logs" => quotas.log_bytes = size()?,
                _ => return Err(InvalidQuotas::Name(shown(name))),
            }
        }
        Ok(quotas)
    }
}

fn shown(text: &str) -> String {
    crate::wire::json::shown(text)
}

fn size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "" => 1,
        "KiB" => 1024,
        "MiB" => MIB,
        "GiB" => GIB,
        "TiB" => 1024 * GIB,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_changes_the_quotas_that_it_names() {
        assert_eq!(Quotas::parse(""), Ok(Quotas::default()));
        let quotas = Quotas::parse("runs=5, state=4GiB,logs = 10 MiB").unwrap();
        assert_eq!((quotas.runs, quotas.state_bytes, quotas.log_bytes), (5, 4 * GIB, 10 * MIB));
        assert_eq!(quotas.events, Quotas::default().events);
        for bad in ["runs", "runs=", "runs=x", "runs=-1", "state=4GB", "state=99999999999TiB", "disk=1"] {
            assert!(Quotas::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_panic(text in any::<String>()) {
            let _ = Quotas::parse(&text);
        }
    }
}
