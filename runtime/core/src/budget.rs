//! Budgets of a deployment: what it may use of a currency, or of fuel, in each period of the
//! calendar.
//!
//! A budget counts what entries use and what reservations hold. `reserve` and `draw` ask it first;
//! what is posted counts and is never refused. Here are the terms and the arithmetic; the store
//! keeps the counters.
//!
//! # Example (a budget of 10.00 EUR a day)
//! | time | entry | used | held | answer |
//! | --- | --- | --- | --- | --- |
//! | Monday | reserve 6.00 | 0 | 6.00 | |
//! | Monday | draw 5.00 | 0 | 6.00 | beyond the budget |
//! | Tuesday | settle 4.00 of Monday's reservation | Monday: 4.00 | 0 | |
//! | Tuesday | post usage of 8.00 on Monday | Monday: 12.00 | 0 | `over-budget` of 2.00 |
//! | Tuesday | post a reversal of 3.00 on Monday | Monday: 9.00 | 0 | the finding closes |

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codes::Code;
use crate::failure::Failure;
use crate::ids::{BudgetName, Timestamp};
use crate::money::report::{CalendarPeriod, CalendarUnit, period_at};
use crate::money::{Currencies, Currency, EntryKind, parse_decimal};
use crate::zones::Zone;

/// A budget as a manifest defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSpec {
    /// Its name; unique in the deployment.
    pub name: BudgetName,
    /// What it limits.
    pub unit: BudgetUnit,
    /// The limit, as decimal text in the unit; zero or more.
    pub limit: String,
    /// Who has the limit.
    pub scope: BudgetScope,
    /// How long a period is.
    pub period: BudgetPeriod,
    /// The time zone in which periods begin.
    pub time_zone: Zone,
    /// What becomes of a request without room; of fuel only.
    pub over: OverBudget,
}

impl BudgetSpec {
    /// The limit in the smallest unit.
    ///
    /// # Errors
    /// The host does not know the currency, or the text is no amount of it.
    pub fn limit_in(&self, currencies: &Currencies) -> Result<i64, String> {
        let BudgetUnit::Currency(code) = &self.unit else {
            return parse_decimal(&self.limit, 0).map_err(|why| why.to_string());
        };
        let unknown = || format!("`{code}` is neither a currency of ISO 4217 nor a unit that the operator declared");
        let currency = currencies.get(code).ok_or_else(unknown)?;
        parse_decimal(&self.limit, currency.exponent()).map_err(|why| why.to_string())
    }
}

/// What a budget limits. The order of the variants is stored: add at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BudgetUnit {
    /// Usage in a currency, by its code.
    Currency(String),
    /// The fuel of runs.
    Fuel,
}

impl BudgetUnit {
    /// Its name in the manifest and the API.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Currency(code) => code,
            Self::Fuel => "fuel",
        }
    }

    /// The exponent of its amounts: that of the currency, and 0 for fuel.
    #[must_use]
    pub fn exponent(&self, currencies: &Currencies) -> u8 {
        currencies.get(self.as_str()).map(|currency| currency.exponent()).unwrap_or_default()
    }

    /// Whether it is this currency.
    #[must_use]
    pub fn is_currency(&self, code: &str) -> bool {
        matches!(self, Self::Currency(own) if own == code)
    }
}

macro_rules! choices {
    ($($(#[$edoc:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident => $name:literal,)* })*) => {$(
        $(#[$edoc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $enum { $($(#[$doc])* $variant,)* }

        impl $enum {
            /// Every value, with its name in the manifest and the API.
            pub const NAMES: &[(&str, Self)] = &[$(($name, Self::$variant),)*];

            /// Its name in the manifest and the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

choices! {
    /// Who has the limit of a budget. The order of the variants is stored: add at the end.
    BudgetScope {
        /// The deployment as a whole.
        Deployment => "deployment",
        /// Each customer. What names no customer counts together.
        Customer => "customer",
    }
    /// What becomes of a request if a budget of fuel has no room. The order of the variants is
    /// stored: add at the end.
    #[derive(Default)]
    OverBudget {
        /// Its run waits.
        #[default]
        Wait => "wait",
        /// It is refused.
        Refuse => "refuse",
    }
    /// How long a period of a budget is. The order of the variants is stored: add at the end.
    BudgetPeriod {
        /// An hour, as the clock shows it.
        Hour => "hour",
        /// A day.
        Day => "day",
        /// A week of ISO 8601, from Monday.
        Week => "week",
        /// A month.
        Month => "month",
    }
}

impl BudgetScope {
    /// Returns whose counter an entry or run of a customer is on: their own, or that of the
    /// deployment. The name is empty for the deployment and for what names no customer.
    #[must_use]
    pub fn counter_of(self, customer: Option<&str>) -> &str {
        match self {
            Self::Deployment => "",
            Self::Customer => customer.unwrap_or_default(),
        }
    }
}

impl BudgetPeriod {
    /// The period that contains `at`. After the end of the calendar, one period that never ends.
    #[must_use]
    pub fn containing(self, zone: &Zone, at: Timestamp) -> CalendarPeriod {
        let unit = match self {
            Self::Hour => CalendarUnit::Hour,
            Self::Day => CalendarUnit::Day,
            Self::Week => CalendarUnit::Week,
            Self::Month => CalendarUnit::Month,
        };
        let ever = || CalendarPeriod {
            name: "ever".to_owned(),
            start: Timestamp::default(),
            end: Timestamp::from_millis(u64::MAX),
        };
        period_at(unit, zone, at).unwrap_or_else(ever)
    }
}

/// What a budget counts in one period, in the smallest unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetCounter {
    /// What was used, less what was reversed. Below zero if more was reversed than used.
    pub used: i128,
    /// What is held.
    pub held: i128,
}

impl BudgetCounter {
    /// What an entry changes: `posted` is the amount that it posts, and `pending` what it adds to
    /// the pending amount of its kind. `None` for kinds that no budget counts.
    #[must_use]
    pub fn of_entry(kind: EntryKind, posted: i64, pending: i64) -> Option<Self> {
        match kind {
            EntryKind::Usage | EntryKind::Drawdown => Some(Self { used: posted.into(), held: pending.into() }),
            // What is not reversed yet makes no room.
            EntryKind::UsageReversal | EntryKind::DrawdownReversal => Some(Self { used: -i128::from(posted), held: 0 }),
            _ => None,
        }
    }

    /// Whether a `reserve` or `draw` of a kind needs room in budgets.
    #[must_use]
    pub fn limits(kind: EntryKind) -> bool {
        Self::of_entry(kind, 0, 1).is_some_and(|change| change.held > 0)
    }

    /// Adds a change.
    pub const fn add(&mut self, change: Self) {
        self.used = self.used.saturating_add(change.used);
        self.held = self.held.saturating_add(change.held);
    }

    /// What a limit leaves; below zero if it is exceeded.
    #[must_use]
    pub fn left(&self, limit: i64) -> i128 {
        i128::from(limit).saturating_sub(self.used).saturating_sub(self.held)
    }

    /// By how much a limit is exceeded; `None` if it is not.
    #[must_use]
    pub fn excess(&self, limit: i64) -> Option<i128> {
        let left = self.left(limit);
        (left < 0).then(|| left.saturating_neg())
    }

    /// How much of `needed` a limit allows: all of it or `None`, or, if it is `partial`, what the
    /// limit leaves.
    #[must_use]
    pub fn allowed(&self, limit: i64, needed: i64, partial: bool) -> Option<i64> {
        let left = self.left(limit);
        if left >= needed.into() {
            return Some(needed);
        }
        partial.then(|| i64::try_from(left.max(0)).unwrap_or(needed))
    }
}

/// Why a budget of money does not allow a `reserve` or `draw`.
#[derive(Debug, Clone, Copy)]
pub struct BudgetShortage<'a> {
    /// The external id of the entry.
    pub external_id: &'a str,
    /// The amount that the entry needs.
    pub needed: i64,
    /// Its currency.
    pub currency: &'a Currency,
    /// The name of the budget.
    pub budget: &'a str,
    /// The limit.
    pub limit: i64,
    /// What was used and is held in the period.
    pub counted: BudgetCounter,
}

impl BudgetShortage<'_> {
    /// Returns the failure of the call.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let Self { external_id, needed, currency, budget, limit, counted: BudgetCounter { used, held } } = *self;
        let shown: String = external_id.chars().take(100).collect();
        let show = |minor_units: i128| currency.show(minor_units);
        let message = format!(
            "`{shown}` needs {}, but of the {} of budget `{budget}` {} is used and {} held in this period",
            show(needed.into()),
            show(limit.into()),
            show(used),
            show(held)
        );
        // Texts, because a number in JSON may lose digits beyond 2^53.
        let details = serde_json::json!({
            "budget": budget,
            "limit": limit.to_string(),
            "used": used.to_string(),
            "held": held.to_string(),
            "needed": needed.to_string(),
            "currency": currency.code(),
        });
        Code::BudgetExceeded.failure(message).with_details(details.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usage_counts_and_its_reversal_makes_room_when_it_is_posted() {
        let counter = |used, held| Some(BudgetCounter { used, held });
        for (kind, posted, pending, expected) in [
            (EntryKind::Usage, 5, 0, counter(5, 0)),
            (EntryKind::Drawdown, 0, 7, counter(0, 7)),
            (EntryKind::Drawdown, 3, -7, counter(3, -7)),
            (EntryKind::UsageReversal, 5, 0, counter(-5, 0)),
            (EntryKind::DrawdownReversal, 0, 5, counter(0, 0)),
            (EntryKind::DrawdownReversal, 2, -5, counter(-2, 0)),
        ] {
            assert_eq!(BudgetCounter::of_entry(kind, posted, pending), expected, "{kind:?}");
        }
        let counted = EntryKind::ALL.iter().filter(|kind| BudgetCounter::of_entry(**kind, 1, 0).is_some());
        assert_eq!(counted.count(), 4);
    }

    #[test]
    fn a_name_names_one_choice() {
        for (name, period) in BudgetPeriod::NAMES {
            assert_eq!(period.as_str(), *name);
        }
        assert_eq!(BudgetScope::NAMES.len(), 2);
    }

    proptest! {
        #[test]
        fn what_is_allowed_never_exceeds_the_limit(
            used in -1_000_i128..1_000, held in 0_i128..1_000, limit in 0_i64..1_000, needed in 1_i64..2_000,
        ) {
            let counter = BudgetCounter { used, held };
            for partial in [false, true] {
                let allowed = counter.allowed(limit, needed, partial);
                prop_assert!(allowed.is_none_or(|allowed| (0..=needed).contains(&allowed)));
                if let Some(allowed) = allowed.filter(|allowed| *allowed > 0) {
                    let mut after = counter;
                    after.add(BudgetCounter { used: 0, held: allowed.into() });
                    prop_assert_eq!(after.excess(limit), None);
                }
            }
            // A partial answer leaves nothing that could be asked for.
            let part = counter.allowed(limit, needed, true).unwrap();
            let more = BudgetCounter { held: held + i128::from(part), used }.allowed(limit, 1, false);
            prop_assert!(part == needed || more.is_none());
        }

        #[test]
        fn any_numbers_have_an_answer(used: i128, held: i128, limit: i64, needed: i64, partial: bool) {
            let mut counter = BudgetCounter { used, held };
            let _ = (counter.allowed(limit, needed, partial), counter.excess(limit));
            counter.add(BudgetCounter { used, held });
        }

        #[test]
        fn a_period_contains_its_time(millis in 0_u64..400_000_000_000_000) {
            let at = Timestamp::from_millis(millis);
            let zone = Zone::bundled("Europe/Berlin").unwrap();
            for (_, period) in BudgetPeriod::NAMES {
                let found = period.containing(&zone, at);
                prop_assert!(found.start <= at && at < found.end, "{found:?}");
            }
        }
    }
}
