//! What a `reserve` or `draw` would take from an account, and what a customer's account has.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::balance::{Balance, CreditDecision, CreditGrant};

/// An account that has a floor, or a budget. The order of the variants is stored: add at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FloorAccount {
    /// The account of a customer, a part of `deferred`.
    Customer(String),
    /// An account of the stream: `receivable` or `bank`.
    Stream(String),
    /// A budget of the deployment.
    Budget {
        /// Its name.
        name: String,
        /// The customer of the entry; empty if it names none.
        customer: String,
    },
}

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalanceDecision {
    /// So much may be taken, in minor units: the whole, or less if the question is partial.
    Covered(i64),
    /// The account would end below its floor.
    Short {
        /// What is available, in minor units.
        available: i128,
        /// The floor, in minor units.
        floor: i64,
        /// What was asked for, in minor units.
        needed: i64,
    },
    /// The budget would be exceeded.
    OverBudget {
        /// The limit, in minor units.
        limit: i64,
        /// What was used in the period, in minor units.
        used: i128,
        /// What is held in the period, in minor units.
        held: i128,
        /// What was asked for, in minor units.
        needed: i64,
    },
}

impl From<CreditDecision> for BalanceDecision {
    fn from(decision: CreditDecision) -> Self {
        match decision {
            CreditDecision::Covered(minor_units) => Self::Covered(minor_units),
            CreditDecision::Short { available, floor, needed } => Self::Short { available, floor, needed },
        }
    }
}

/// What an entry that is not posted yet would take from an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceQuestion {
    /// The stream of the entry.
    pub stream: LedgerStream,
    /// The account.
    pub account: FloorAccount,
    /// The currency of the entry.
    pub currency: String,
    /// The kind of the entry.
    pub kind: String,
    /// The external id of the entry.
    pub external_id: String,
    /// The external id that the entry answers.
    pub of: Option<String>,
    /// The amount, in minor units; above zero.
    pub minor_units: i64,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Whether less than the amount is an answer, too.
    pub partial: bool,
    /// The floor, in minor units, unless the customer has one of its own.
    pub floor: i64,
}

/// A question and its answer, on which a transaction relies. The commit decides again. It compares
/// no version, so that transactions on one account do not conflict while there is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceCheck {
    /// The number of the transaction's entries before the question.
    pub after: usize,
    /// The question.
    pub question: BalanceQuestion,
    /// The amount that may be taken, in minor units; `None` if the question was refused.
    pub covered: Option<i64>,
}

/// A customer's account in one currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CustomerAccount {
    /// The stream.
    pub stream: LedgerStream,
    /// The currency.
    pub currency: String,
    /// The customer.
    pub customer: String,
}

/// What a customer's account has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerBalance {
    /// The account.
    pub account: CustomerAccount,
    /// What is available, held and owed.
    pub balance: Balance,
    /// The customer's own floor, in minor units; `None` if the deployment's applies.
    pub floor: Option<i64>,
    /// Grants with something left or held, in the order of usage.
    pub grants: Vec<CreditGrant>,
}

/// The floor of one customer's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerFloor {
    /// The floor, in minor units. Below zero it is a credit line.
    pub minor_units: i64,
    /// When it was set.
    pub set_at: Timestamp,
}

/// Selects accounts of customers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BalanceFilter {
    /// Only those of this stream.
    pub stream: Option<LedgerStream>,
    /// Only those of this customer.
    pub customer: Option<String>,
}
