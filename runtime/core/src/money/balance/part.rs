//! Parts: what an amount was taken from, as the commit writes it on the entry.

use serde::{Deserialize, Serialize};

/// What a part of an amount comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PartSource {
    /// A grant, by its external id.
    Grant(String),
    /// No grant covers it: it is debt, until a later grant pays it.
    Debt,
    /// On a grant: it pays the debt of the entry with this external id.
    DebtOf(String),
}

/// A part of the amount of an entry that moves a customer's account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GrantPart {
    /// What it was taken from, or returned to.
    pub source: PartSource,
    /// The amount in minor units, above zero.
    pub minor_units: i64,
}

impl GrantPart {
    /// A part that a grant covers.
    #[must_use]
    pub fn of_grant(grant: impl Into<String>, minor_units: i64) -> Self {
        Self { source: PartSource::Grant(grant.into()), minor_units }
    }

    /// A part that no grant covers.
    #[must_use]
    pub const fn debt(minor_units: i64) -> Self {
        Self { source: PartSource::Debt, minor_units }
    }
}

/// The sum of the parts, in minor units.
pub(super) fn sum(parts: &[GrantPart]) -> i64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.minor_units))
}

/// Splits parts in their order into those of the first `minor_units` and the rest.
pub(super) fn split_at(parts: &[GrantPart], minor_units: i64) -> (Vec<GrantPart>, Vec<GrantPart>) {
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    let mut open = minor_units.max(0);
    for part in parts {
        let taken = part.minor_units.min(open);
        open -= taken;
        for (into, minor_units) in [(&mut first, taken), (&mut rest, part.minor_units - taken)] {
            if minor_units > 0 {
                into.push(GrantPart { source: part.source.clone(), minor_units });
            }
        }
    }
    (first, rest)
}
