//! Bills usage: pulls the records of a feed page by page, prices each by its customer's tier, and posts it to the ledger
//! once, under its own id. Where it stopped is kept in `state`, so each collection takes new records only.
//!
//! Reading the feed leaves nothing behind, so a whole collection takes hold at once: entries, cursor and what each
//! customer has used so far. A crash in the middle starts it anew.

mod account;
mod config;
mod feed;
mod pricing;
mod recent;

use account::Account;
use config::Config;
use feed::Record;
use recent::Recent;
use serde_json::json;
use std::collections::BTreeMap;
use tidemill_sdk::{Collection, Money, Period, Result, Status, context, error, info, ledger, metrics, state, warn};

/// The key of the cursor in `state`.
const CURSOR: &str = "cursor";
/// The key of the ids billed last.
const RECENT: &str = "recent";

/// How many keys of `state` and entries a run may read and write before they take hold; more is `host/limit-commit`.
const KEYS_AT_ONCE: usize = 10_000;
/// What a record may need of them: its entry, and its customer's account to be read and written.
const KEYS_OF_A_RECORD: usize = 3;

#[tidemill_sdk::revenue_stream]
fn collect(period: Period) -> Result<Collection> {
    let config: Config = context::config()?;
    config.check()?;
    let mut cursor: Option<String> = state::get(CURSOR)?;
    let mut billing = Billing::begin(&config)?;
    let mut pages = 0;
    let mut more = true;
    while more && pages < config.max_pages && billing.has_room() {
        let page = feed::fetch(&config, cursor.as_deref(), period)?;
        pages += 1;
        for record in page.records {
            billing.bill(record)?;
        }
        // A feed that answers the cursor it was given has nothing more; following it would never end.
        more = page.next.is_some() && page.next != cursor;
        if page.next.is_some() {
            cursor = page.next;
        }
    }
    if let Some(cursor) = &cursor {
        state::set(CURSOR, cursor)?;
    }
    billing.end(pages, more)
}

/// One collection's work on records.
struct Billing<'a> {
    config: &'a Config,
    recent: Recent,
    /// The customers of this collection, as they are to be written back.
    accounts: BTreeMap<String, Account>,
    posted: u64,
    duplicates: u64,
    below_minor_unit: u64,
    skipped: u64,
    conflicts: u64,
    minor_units: i64,
    /// How often the ledger was asked.
    entries: usize,
}

impl<'a> Billing<'a> {
    fn begin(config: &'a Config) -> Result<Self> {
        Ok(Self {
            config,
            recent: state::get_or_default(RECENT)?,
            accounts: BTreeMap::new(),
            posted: 0,
            duplicates: 0,
            below_minor_unit: 0,
            skipped: 0,
            conflicts: 0,
            minor_units: 0,
            entries: 0,
        })
    }

    /// Whether another page can be billed before all of it takes hold. The rest is the next collection's.
    fn has_room(&self) -> bool {
        // Cursor and recent records are read and written.
        let used = 4 + 2 * self.accounts.len() + self.entries;
        used + KEYS_OF_A_RECORD * self.config.page_size as usize <= KEYS_AT_ONCE
    }

    /// Prices and posts one record. What cannot be billed is counted and logged, and does not keep the others from it.
    fn bill(&mut self, record: Result<Record, feed::BadRecord>) -> Result<()> {
        let record = match record {
            Ok(record) => record,
            Err(bad) => {
                error!("a record is not billed: {bad}");
                self.skipped += 1;
                return Ok(());
            }
        };
        match self.recent.find(&record) {
            recent::Found::New => {}
            recent::Found::Same => {
                self.duplicates += 1;
                return Ok(());
            }
            recent::Found::Changed => {
                self.conflict(&record);
                return Ok(());
            }
        }
        let mut account = match self.accounts.get(&record.customer) {
            Some(account) => account.clone(),
            None => state::get(&account_key(&record.customer))?.unwrap_or_else(|| Account::new(self.config)),
        };
        let Some(due) = account.charge(&self.config.tiers, &record) else {
            error!("record {} is not billed: {} units are more than an amount can hold", record.id, record.units);
            self.skipped += 1;
            return Ok(());
        };
        if due == 0 {
            // The ledger takes no zero: the account carries the part of a minor unit to the customer's next record.
            self.below_minor_unit += 1;
        } else {
            match self.post(&record, due)? {
                Posted::New => {
                    self.posted += 1;
                    self.minor_units = self.minor_units.saturating_add(due);
                }
                // The ledger knew it from longer ago than the recent ones: what the account was charged then, it keeps.
                Posted::Known => {
                    self.duplicates += 1;
                    return Ok(());
                }
                Posted::Conflict => {
                    self.conflict(&record);
                    return Ok(());
                }
            }
        }
        self.recent.remember(&record);
        self.accounts.insert(record.customer, account);
        Ok(())
    }

    fn post(&mut self, record: &Record, due: i64) -> Result<Posted> {
        self.entries += 1;
        let Record { id, customer, units, unit, at } = record;
        let posted = ledger::entry(id, ledger::Kind::Usage, Money::minor(due, &self.config.currency), *at)
            .customer(customer)
            .description(format!("{units} × {unit}"))
            .metadata(&json!({ "units": units, "unit": unit }))
            .post();
        match posted {
            Ok(posting) if posting.duplicate => Ok(Posted::Known),
            Ok(_) => Ok(Posted::New),
            Err(error) if error.code() == "host/external-id-conflict" => Ok(Posted::Conflict),
            Err(error) => Err(error),
        }
    }

    /// A record that was billed before came again with other content. The first one stands.
    fn conflict(&mut self, record: &Record) {
        warn!("record {} was billed before, with other content: the first one stands", record.id);
        self.conflicts += 1;
    }

    /// Writes back what changed, and sums up.
    fn end(self, pages: u32, more: bool) -> Result<Collection> {
        for (customer, account) in &self.accounts {
            state::set(&account_key(customer), account)?;
        }
        if !self.accounts.is_empty() {
            state::set(RECENT, &self.recent)?;
        }
        metrics::count("usage_records_billed", self.posted as f64, &[]);
        info!("{} entries posted", self.posted; duplicates = self.duplicates, pages = pages, more = more);
        Ok(Collection {
            posted: self.posted,
            // A conflict was known already too; it is counted apart as well, since somebody should look at it.
            duplicates: self.duplicates + self.conflicts,
            details: json!({
                "pages": pages,
                "more": more,
                "customers": self.accounts.len(),
                "amount": Money::minor(self.minor_units, &self.config.currency),
                "below_minor_unit": self.below_minor_unit,
                "skipped": self.skipped,
                "conflicts": self.conflicts,
            }),
        })
    }
}

enum Posted {
    New,
    Known,
    Conflict,
}

fn account_key(customer: &str) -> String {
    format!("customer/{customer}")
}

/// Whether the config can be worked with: collecting itself is the schedule's, and its failures are seen there.
#[tidemill_sdk::health]
fn health() -> Result<Status> {
    context::config::<Config>()?.check()?;
    Ok(Status::Healthy)
}
