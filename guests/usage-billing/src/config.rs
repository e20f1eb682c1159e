//! `[config]` of the manifest and its validation.

use crate::pricing::Tiers;
use serde::Deserialize;
use tidemill_sdk::{Result, bail};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL of the feed, without `/usage`.
    pub feed: String,
    /// An ISO 4217 code, or a unit that the operator declared.
    pub currency: String,
    /// The number of millionths of the currency's unit in its minor unit: 10,000 if the minor unit
    /// is a hundredth, as in most currencies; 1,000,000 if there is no minor unit, as in yen.
    #[serde(default = "a_hundredth")]
    pub minor_unit_micros: u32,
    /// The prices of a unit.
    pub tiers: Tiers,
    /// The maximum number of pages per collection. The next collection continues after them.
    #[serde(default = "twenty")]
    pub max_pages: u32,
    /// The maximum number of records per page.
    #[serde(default = "five_hundred")]
    pub page_size: u32,
}

fn a_hundredth() -> u32 {
    10_000
}

fn twenty() -> u32 {
    20
}

fn five_hundred() -> u32 {
    500
}

impl Config {
    /// # Errors
    /// `bad-config` names the first field that is not valid.
    pub fn check(&self) -> Result<()> {
        if !(self.feed.starts_with("https://") || self.feed.starts_with("http://")) {
            bail!("bad-config", "feed: `{}` is not the beginning of an http or https URL", self.feed);
        }
        if !(1..=1_000_000).contains(&self.minor_unit_micros) {
            bail!("bad-config", "minor_unit_micros: {} is not between 1 and 1000000", self.minor_unit_micros);
        }
        if !(1..=1_000).contains(&self.max_pages) {
            bail!("bad-config", "max_pages: {} is not between 1 and 1000", self.max_pages);
        }
        if !(1..=1_000).contains(&self.page_size) {
            bail!("bad-config", "page_size: {} is not between 1 and 1000", self.page_size);
        }
        match self.tiers.fault() {
            Some(fault) => bail!("bad-config", "tiers: {fault}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checked(change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut config =
            json!({ "feed": "https://usage.example.com", "currency": "USD", "tiers": [{ "price_micros": 400 }] });
        change(&mut config);
        serde_json::from_value::<Config>(config)?.check()
    }

    #[test]
    fn what_cannot_be_worked_with_is_named() {
        assert_eq!(checked(|_| {}), Ok(()));
        for (field, value) in [
            ("feed", json!("usage.example.com")),
            ("minor_unit_micros", json!(0)),
            ("max_pages", json!(0)),
            ("page_size", json!(1_001)),
            ("tiers", json!([])),
            ("page_count", json!(3)),
        ] {
            let error = checked(|config| config[field] = value).unwrap_err();
            assert!(error.message().contains(field), "{field}: {error}");
        }
    }
}
