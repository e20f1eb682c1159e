//! `[config]` of the manifest, and what is wrong with it.

use crate::pricing::Tiers;
use serde::Deserialize;
use tidemill_sdk::{Result, bail};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the feed is, without `/usage`.
    pub feed: String,
    /// ISO 4217, or declared by the operator.
    pub currency: String,
    /// How many millionths of the currency's unit make its minor unit: 10,000 where that is a hundredth, as of most
    /// currencies; 1,000,000 where there is none, as of the yen.
    #[serde(default = "a_hundredth")]
    pub minor_unit_micros: u32,
    /// What a unit costs.
    pub tiers: Tiers,
    /// How many pages one collection takes at most; the next one goes on from there.
    #[serde(default = "twenty")]
    pub max_pages: u32,
    /// How many records a page has at most.
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
    /// `bad-config` names the first field that cannot be worked with.
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
