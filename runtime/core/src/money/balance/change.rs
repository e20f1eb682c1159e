//! What an entry does to a customer's account.

use super::grant::{GrantKind, GrantTerms};
use crate::ids::Timestamp;
use crate::money::EntryKind;

/// What a kind of entry does to the account of the customer that the entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalanceEffect {
    /// Adds a grant.
    Grant(GrantKind),
    /// Takes from the grants in their order; the rest is debt.
    Use,
    /// Takes from the grant that `of` names, unless it has lapsed; the rest is debt.
    TakeBack,
    /// Returns what the entry that `of` names took.
    Return,
    /// Takes the rest of the grant that `of` names after its expiry. Only the host posts it.
    Lapse,
}

impl BalanceEffect {
    /// The effect of a kind; `None` if the kind moves no customer's account.
    #[must_use]
    pub const fn of_kind(kind: EntryKind) -> Option<Self> {
        Some(match kind {
            EntryKind::Prepayment => Self::Grant(GrantKind::Prepayment),
            EntryKind::Promotion => Self::Grant(GrantKind::Promotion),
            EntryKind::Drawdown => Self::Use,
            EntryKind::Breakage | EntryKind::PrepaymentReversal | EntryKind::PromotionReversal => Self::TakeBack,
            EntryKind::DrawdownReversal | EntryKind::BreakageReversal => Self::Return,
            _ => return None,
        })
    }

    /// Whether it lowers what is available.
    #[must_use]
    pub const fn takes(self) -> bool {
        matches!(self, Self::Use | Self::TakeBack | Self::Lapse)
    }
}

/// An entry as the account of its customer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountEntry<'a> {
    /// Its external id; of a settlement, that of the reservation.
    pub id: &'a str,
    /// Its sequence number. Entries that are not committed yet have numbers after all others.
    pub sequence: u64,
    /// What it does.
    pub effect: BalanceEffect,
    /// The amount, above zero.
    pub minor_units: i64,
    /// When it happened; of a settlement, when the reservation was made.
    pub occurred_at: Timestamp,
    /// The external id that it answers.
    pub of: Option<&'a str>,
    /// The terms, if it is a grant; by default those without any.
    pub terms: Option<GrantTerms>,
    /// How long after its expiry a grant covers usage from before, in milliseconds.
    pub late_usage_millis: u64,
}

/// A change of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChange<'a> {
    /// An entry is posted: by `post`, `draw`, or the host.
    Post(AccountEntry<'a>),
    /// An entry is reserved.
    Reserve(AccountEntry<'a>, Option<Timestamp>),
    /// A reserved entry is settled with the amount in it.
    Settle(AccountEntry<'a>),
    /// The reserved entry with this external id is voided, or has expired.
    Release(&'a str),
}
