//! Reports about the ledger: the ranges of time that they add up, their ratios and conversions,
//! what is odd about entries, and exports.
//!
//! Every rule is a function of entries or sums. The store finds these, and the API answers.

mod bucket;
mod calendar;
pub mod export;
mod finding;
mod rate;
mod ratio;
mod statement;

pub use bucket::{BucketLevel, RangeCover, SignedRange};
pub use calendar::{
    CalendarPeriod, CalendarUnit, InvalidPeriod, PERIODS_MAX, PeriodName, TooManyPeriods, period_at, periods,
};
pub use finding::{
    AnswerSums, CLEARING_MILLIS, FUTURE_MILLIS, FindingKind, RESERVATION_OLD_MILLIS, clearing_is_open_at,
    is_conversion_unpaired, is_future_dated, is_return, reservation_is_old_at,
};
pub use rate::{ExchangeRate, InvalidRate, RATE_DIGITS};
pub use ratio::Ratio;
pub use statement::{AccountLine, KindMovement, account_lines};
