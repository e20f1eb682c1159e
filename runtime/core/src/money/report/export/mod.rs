//! Exports of the ledger as text: CSV for spreadsheets, and Beancount for books. JSON Lines has the
//! shapes of the API and is written there.
//!
//! A writer takes entries in the order of their sequence numbers and adds text to a buffer, so that
//! an export of any size needs little memory. The same entries give the same bytes.

mod beancount;
mod csv;

pub use beancount::BeancountWriter;
pub use csv::CsvWriter;

use crate::ids::Timestamp;
use crate::money::Account;

/// An entry, as exports show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportEntry<'a> {
    /// Its sequence number.
    pub sequence: u64,
    /// Its id.
    pub id: &'a str,
    /// Its stream: `deployment` or `deployment/instance`.
    pub stream: &'a str,
    /// The provider's id.
    pub external_id: &'a str,
    /// The call that made it, such as `post`.
    pub call: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// The posted amount, in minor units; 0 if it changes pending amounts only.
    pub minor_units: i64,
    /// The change of the pending amount, in minor units.
    pub pending: i64,
    /// Code of the currency.
    pub currency: &'a str,
    /// Number of decimal places of the currency.
    pub exponent: u8,
    /// The change of net revenue, in minor units.
    pub net_revenue: i64,
    /// When it occurred.
    pub occurred_at: Timestamp,
    /// When it was posted.
    pub posted_at: Timestamp,
    /// The customer.
    pub customer: Option<&'a str>,
    /// The description.
    pub description: &'a str,
    /// The text of its metadata, a JSON value.
    pub metadata: &'a str,
    /// The external id that it answers.
    pub of: Option<&'a str>,
    /// The posted legs, which sum to zero.
    pub legs: Vec<(Account, i64)>,
    /// The run that posted it.
    pub run: Option<String>,
    /// Whether it belongs to a period that was closed before.
    pub late: bool,
}
