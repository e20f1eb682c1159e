//! Bills usage. It reads the records of a feed page by page, prices each by its customer's tier,
//! and posts it to the ledger once, under its own id. `state` stores the cursor, so that each
//! collection reads only new records.
//!
//! Reading the feed has no effects, so a whole collection takes effect at once: entries, cursor and
//! the usage of each customer. After a crash the collection starts again.

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
/// The key of the recently billed ids.
const RECENT: &str = "recent";

/// The maximum number of state keys and entries in a transaction. More is `host/limit-commit`.
const KEYS_AT_ONCE: usize = 10_000;
/// The maximum per record: its entry, and a read and a write of its customer's account.
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
        // A feed that returns the cursor of the request has no more records. To follow it would
        // never end.
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

/// The work of one collection on its records.
struct Billing<'a> {
    config: &'a Config,
    recent: Recent,
    /// The customers of this collection, to be written at the end.
    accounts: BTreeMap<String, Account>,
    posted: u64,
    duplicates: u64,
    below_minor_unit: u64,
    skipped: u64,
    conflicts: u64,
    minor_units: i64,
    /// The number of calls of the ledger.
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

    /// Whether the transaction has room for another page. The next collection bills the rest.
    fn has_room(&self) -> bool {
        // The cursor and the recent records are read and written.
        let used = 4 + 2 * self.accounts.len() + self.entries;
        used + KEYS_OF_A_RECORD * self.config.page_size as usize <= KEYS_AT_ONCE
    }

    /// Prices and posts one record. A record that cannot be billed is counted and logged, and the
    /// others are still billed.
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
            // The ledger accepts no zero. The account carries the part of a minor unit to the
            // customer's next record.
            self.below_minor_unit += 1;
        } else {
            match self.post(&record, due)? {
                Posted::New => {
                    self.posted += 1;
                    self.minor_units = self.minor_units.saturating_add(due);
                }
                // The ledger knows it, but it is older than the recent records. The account keeps
                // the earlier charge.
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

    /// Handles a record that was billed before with different content. The first one remains.
    fn conflict(&mut self, record: &Record) {
        warn!("record {} was billed before with different content: the first one remains", record.id);
        self.conflicts += 1;
    }

    /// Writes the changes and returns the summary.
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
            // The ledger knows a conflict too. It is also counted separately, because an operator
            // should check it.
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

/// Checks the configuration. Failures of collections appear at the schedule.
#[tidemill_sdk::health]
fn health() -> Result<Status> {
    context::config::<Config>()?.check()?;
    Ok(Status::Healthy)
}
