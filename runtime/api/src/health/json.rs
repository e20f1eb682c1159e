//! The wire form of the host's health.

use tidemill_api_types as shapes;
use tidemill_control::ClockSetBack;

use crate::wire::FromRecord;

impl FromRecord<ClockSetBack> for shapes::ClockSetBack {
    fn of(found: ClockSetBack) -> Self {
        let silent = found.named.into_iter().map(|(deployment, schedule, next)| shapes::SilentSchedule {
            deployment: deployment.to_string(),
            schedule: schedule.to_string(),
            next: shapes::Time(next),
        });
        Self {
            back_ms: found.back_millis,
            schedules: found.schedules,
            until: shapes::Time(found.until),
            silent: silent.collect(),
        }
    }
}
