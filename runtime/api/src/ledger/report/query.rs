//! What a report is asked for: its stream, its range of time, and which entries count.

use std::ops::Range;

use tidemill_api_types as shapes;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::{BucketLevel, CalendarPeriod, CalendarUnit, PeriodName};
use tidemill_core::zones::Zone;
use tidemill_core::{Code, Timestamp};
use tidemill_store::records::{AsOf, BucketAxis, ReportScope};

use crate::problem::{ApiResult, Problem};
use crate::request::{QueryParams, bad};
use crate::state::ApiState;

/// The parameters that every report has.
pub const PARAMS: [&str; 8] = ["stream", "period", "start", "end", "time_zone", "by", "as_of", "paper"];

/// A range of time, and the period that it is, if it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRange {
    /// The period.
    pub period: Option<PeriodName>,
    /// The start, inclusive.
    pub start: Timestamp,
    /// The end, exclusive.
    pub end: Timestamp,
}

impl ReportRange {
    fn of(period: PeriodName, range: &CalendarPeriod) -> Self {
        Self { period: Some(period), start: range.start, end: range.end }
    }

    /// The range for the store.
    #[must_use]
    pub const fn range(&self) -> Range<Timestamp> {
        self.start..self.end
    }

    /// The shape of the range.
    #[must_use]
    pub fn shape(&self) -> shapes::ReportRange {
        let period = self.period.map(|period| period.to_string());
        shapes::ReportRange { period, start: self.start.into(), end: self.end.into() }
    }
}

/// The range of a report that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultRange {
    /// Everything until now.
    All,
    /// The current month.
    Month,
}

/// What a report is asked for.
#[derive(Debug, Clone)]
pub struct ReportQuery {
    /// The entries.
    pub scope: ReportScope,
    /// The range.
    pub range: ReportRange,
    /// The zone of periods and days.
    pub zone: Zone,
}

impl ReportQuery {
    /// Reads [`PARAMS`].
    ///
    /// # Errors
    /// [`Code::BadQuery`].
    pub fn read(state: &ApiState, params: &QueryParams, default: DefaultRange) -> ApiResult<Self> {
        let zone = params.parsed::<Zone>("time_zone")?.unwrap_or_else(Zone::utc);
        let axis = match params.text("by")? {
            None | Some("occurred") => BucketAxis::Occurred,
            Some("posted") => BucketAxis::Posted,
            Some(other) => return Err(bad("by", other, "it is `occurred` or `posted`")),
        };
        let range = range(params, &zone, default, state.host.clock().now())?;
        let scope = ReportScope {
            stream: params.parsed::<LedgerStream>("stream")?,
            paper: params.flag("paper")?,
            axis,
            as_of: as_of(params)?,
        };
        Ok(Self { scope, range, zone })
    }

    /// Returns what the report counts, for its answer. `sequence` is the last entry that counts.
    #[must_use]
    pub fn basis(&self, sequence: u64) -> shapes::ReportBasis<'_> {
        shapes::ReportBasis {
            stream: self.scope.stream.as_ref().map(|stream| stream.as_str().into()),
            time_zone: self.zone.name().into(),
            by: match self.scope.axis {
                BucketAxis::Occurred => "occurred",
                BucketAxis::Posted => "posted",
            }
            .into(),
            paper: self.scope.paper,
            sequence,
        }
    }
}

/// Reads `as_of`: a sequence number or a time.
///
/// # Errors
/// If it is neither.
pub fn as_of(params: &QueryParams) -> ApiResult<Option<AsOf>> {
    let Some(text) = params.text("as_of")? else { return Ok(None) };
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return Ok(Some(AsOf::Sequence(text.parse().map_err(|why| bad("as_of", text, why))?)));
    }
    Ok(params.time("as_of")?.map(AsOf::Time))
}

fn range(params: &QueryParams, zone: &Zone, default: DefaultRange, now: Timestamp) -> ApiResult<ReportRange> {
    let (start, end) = (params.time("start")?, params.time("end")?);
    if let Some(period) = params.parsed::<PeriodName>("period")? {
        if start.is_some() || end.is_some() {
            let problem = Problem::new(Code::BadQuery, "`period` is given together with `start` or `end`");
            return Err(problem.fix("Give a period, or a start and an end."));
        }
        let range = period.in_zone(zone).ok_or_else(|| {
            Problem::new(Code::BadQuery, format!("the zone {} skips the whole of {period}", zone.name()))
        })?;
        return Ok(ReportRange::of(period, &range));
    }
    if let (None, None, DefaultRange::Month) = (start, end, default)
        && let Some((month, range)) = current(CalendarUnit::Month, zone, now)
    {
        return Ok(ReportRange::of(month, &range));
    }
    // Until now means until the end of this quarter of an hour, so that the range is whole buckets.
    let range = ReportRange {
        period: None,
        start: start.unwrap_or_default(),
        end: end.unwrap_or_else(|| BucketLevel::Quarter.end_of(now)),
    };
    if range.start > range.end {
        let detail = format!("`start` {} is after `end` {}", range.start, range.end);
        return Err(Problem::new(Code::BadQuery, detail));
    }
    Ok(range)
}

/// Returns the period that contains `now`.
fn current(unit: CalendarUnit, zone: &Zone, now: Timestamp) -> Option<(PeriodName, CalendarPeriod)> {
    let found = tidemill_core::money::report::periods(unit, zone, now, now.plus_millis(1)).ok()?;
    let period = found.into_iter().next()?;
    Some((period.name.parse().ok()?, period))
}
