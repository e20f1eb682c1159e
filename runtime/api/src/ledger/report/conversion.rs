//! Net revenue in one currency, at the operator's rates. It is a view: it posts nothing.
//!
//! The net revenue of each day and currency is converted with the rate of that day and rounded
//! once. What has no rate on its day stays in its own currency.

use std::collections::BTreeMap;
use std::ops::Range;

use tidemill_api_types as shapes;
use tidemill_core::money::report::{CalendarPeriod, CalendarUnit, ExchangeRate, periods};
use tidemill_core::{Code, Timestamp};
use tidemill_store::records::KindSum;

use super::query::ReportQuery;
use crate::ledger::Amounts;
use crate::problem::{ApiResult, Problem};
use crate::request::{QueryParams, bad};
use crate::state::ApiState;

/// The requested currency, and the days whose sums are converted.
#[derive(Debug)]
pub struct ConversionDays {
    to: String,
    exponent: u8,
    days: Vec<CalendarPeriod>,
}

impl ConversionDays {
    /// Reads `currency`, if it is given.
    ///
    /// # Errors
    /// [`Code::BadQuery`] if no such currency exists or the range has too many days; errors of the
    /// store.
    pub async fn read(state: &ApiState, params: &QueryParams, query: &ReportQuery) -> ApiResult<Option<Self>> {
        let Some(to) = params.text("currency")? else { return Ok(None) };
        let exponent = Amounts::of(state).await?.exponent(to);
        let exponent = exponent.ok_or_else(|| bad("currency", to, "the ledger has no such currency"))?;
        Ok(Some(Self { to: to.to_owned(), exponent, days: clipped(CalendarUnit::Day, query)? }))
    }

    /// Returns the ranges of the days.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<Timestamp>> {
        ranges_of(&self.days)
    }

    /// Adds the sums of the days, and reads the rates of the days.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn with_sums(self, state: &ApiState, sums: Vec<Vec<KindSum>>) -> ApiResult<Conversion> {
        let Self { to, exponent, days } = self;
        let rates = match (days.first(), days.last()) {
            (Some(first), Some(last)) => state.host.store().rates_into(&to, &first.name, &last.name).await?,
            _ => Vec::new(),
        };
        let rates = rates.into_iter().filter_map(|rate| Some(((rate.day, rate.from), rate.rate.parse().ok()?)));
        Ok(Conversion { to, exponent, days: days.into_iter().zip(sums).collect(), rates: rates.collect() })
    }
}

/// The days of a range with their sums, and the rates into one currency.
#[derive(Debug)]
pub struct Conversion {
    to: String,
    exponent: u8,
    days: Vec<(CalendarPeriod, Vec<KindSum>)>,
    /// The rates by day and currency.
    rates: BTreeMap<(String, String), ExchangeRate>,
}

impl Conversion {
    /// Converts the whole range.
    #[must_use]
    pub fn whole(&self, amounts: &Amounts) -> shapes::ConvertedRevenue {
        self.convert(self.days.iter().map(|(day, sums)| (day, sums.as_slice())), amounts)
    }

    /// Converts one period of the range, whose own sums are `sums`.
    #[must_use]
    pub fn period(&self, period: &CalendarPeriod, sums: &[KindSum], amounts: &Amounts) -> shapes::ConvertedRevenue {
        // An hour takes the rate of its day.
        let is_within_day = self.days.iter().any(|(day, _)| day.start <= period.start && period.end <= day.end);
        if is_within_day {
            return self.convert([(period, sums)].into_iter(), amounts);
        }
        let days = self.days.iter().filter(|(day, _)| period.start <= day.start && day.end <= period.end);
        self.convert(days.map(|(day, sums)| (day, sums.as_slice())), amounts)
    }

    fn convert<'a>(
        &self,
        parts: impl Iterator<Item = (&'a CalendarPeriod, &'a [KindSum])>,
        amounts: &Amounts,
    ) -> shapes::ConvertedRevenue {
        let mut total = 0i128;
        let mut unconverted: BTreeMap<&str, i128> = BTreeMap::new();
        for (part, sums) in parts {
            let mut revenues: BTreeMap<&str, i128> = BTreeMap::new();
            for sum in sums {
                let revenue = revenues.entry(&sum.currency).or_default();
                *revenue = revenue.saturating_add(sum.sum.net_revenue);
            }
            for (currency, revenue) in revenues {
                match self.converted(part, currency, revenue, amounts) {
                    Some(converted) => total = total.saturating_add(converted),
                    None => {
                        let rest = unconverted.entry(currency).or_default();
                        *rest = rest.saturating_add(revenue);
                    }
                }
            }
        }
        let unconverted = unconverted.into_iter().map(|(currency, rest)| amounts.amount(rest, currency));
        shapes::ConvertedRevenue { net_revenue: amounts.amount(total, &self.to), unconverted: unconverted.collect() }
    }

    fn converted(&self, part: &CalendarPeriod, currency: &str, revenue: i128, amounts: &Amounts) -> Option<i128> {
        if currency == self.to || revenue == 0 {
            return Some(revenue);
        }
        // The names of days and of hours begin with the date.
        let day = part.name.get(..10)?.to_owned();
        let rate = self.rates.get(&(day, currency.to_owned()))?;
        rate.convert(revenue, amounts.exponent(currency)?, self.exponent)
    }
}

/// Returns the ranges of periods.
#[must_use]
pub fn ranges_of(periods: &[CalendarPeriod]) -> Vec<Range<Timestamp>> {
    periods.iter().map(|period| period.start..period.end).collect()
}

/// Returns the periods of a report's range. The first and the last one end with the range.
///
/// # Errors
/// [`Code::BadQuery`] if there are too many.
pub fn clipped(unit: CalendarUnit, query: &ReportQuery) -> ApiResult<Vec<CalendarPeriod>> {
    let (start, end) = (query.range.start, query.range.end);
    let mut found = periods(unit, &query.zone, start, end)
        .map_err(|why| Problem::new(Code::BadQuery, format!("the range has {why}")))?;
    if let Some(first) = found.first_mut() {
        first.start = first.start.max(start);
    }
    if let Some(last) = found.last_mut() {
        last.end = last.end.min(end);
    }
    Ok(found)
}
