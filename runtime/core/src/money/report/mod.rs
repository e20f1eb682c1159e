//! Reports about the ledger: the ranges of time that they add up, and their ratios and conversions.
//!
//! Every rule is a function of sums. The store finds these, and the API answers.

mod bucket;
mod calendar;
mod rate;
mod ratio;

pub use bucket::{BucketLevel, RangeCover, SignedRange};
pub use calendar::{CalendarPeriod, CalendarUnit, InvalidPeriod, PERIODS_MAX, PeriodName, TooManyPeriods, periods};
pub use rate::{ExchangeRate, InvalidRate, RATE_DIGITS};
pub use ratio::Ratio;
