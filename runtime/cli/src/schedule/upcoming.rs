//! Formats future firings: one line each, in the schedule's time zone and in UTC, with the effect
//! of daylight saving.

use chrono::DateTime;
use tidemill_api_types::{NextFirings, UpcomingFiring};
use tidemill_core::Timestamp;
use tidemill_core::manifest::Manifest;
use tidemill_core::schedule::{PlannedFiring, SchedulePreview};

use crate::printer::clean;

/// Default number of firings shown per schedule.
pub const FIRINGS: usize = 20;
/// Number of firings shown per schedule in the output of `dev` and `demo`.
pub const FEW_FIRINGS: usize = 3;

/// Returns why no firing follows, for people.
pub fn ends(by: Option<&str>) -> Option<&'static str> {
    match by? {
        "limit" => Some("its limit is reached"),
        "blocked" => Some("it is blocked: `tidemill schedules list` shows why"),
        _ => Some("it has no more times"),
    }
}

/// Formats a firing: `Sun 2026-03-29 03:00:00 +02:00   2026-03-29T01:00:00.000Z   why`.
fn line(firing: &UpcomingFiring) -> String {
    let local = DateTime::parse_from_rfc3339(&firing.local)
        .map_or_else(|_| clean(&firing.local), |local| local.format("%a %Y-%m-%d %H:%M:%S%.f %:z").to_string());
    let note = firing.note.as_deref().map(|note| format!("   {}", clean(note))).unwrap_or_default();
    let (local, at) =
        if firing.dropped { ("(dropped)".to_owned(), String::new()) } else { (local, firing.at.to_string()) };
    format!("{local:<30} {at:<24}{note}").trim_end().to_owned()
}

/// Formats firings, one line each, with this indentation.
pub fn lines(firings: &[UpcomingFiring], indent: usize) -> String {
    let lines: Vec<_> = firings.iter().map(|firing| format!("{:indent$}{}", "", line(firing))).collect();
    lines.join("\n")
}

/// Computes the next firings of a manifest's schedules after `now`, without a host.
pub fn upcoming(manifest: &Manifest, now: Timestamp) -> Vec<NextFirings<'static>> {
    let firing = |PlannedFiring { at, local, note, dropped }| UpcomingFiring { at: at.into(), local, note, dropped };
    let schedules = manifest.schedules.iter().map(|schedule| {
        let SchedulePreview { firings, ends } = schedule.ahead(now, FIRINGS, schedule.spec().limit);
        NextFirings {
            name: schedule.name().to_string().into(),
            time_zone: schedule.spec().time_zone.name().to_owned().into(),
            firings: firings.into_iter().map(firing).collect(),
            ends: ends.map(|ends| ends.as_str().into()),
        }
    });
    schedules.collect()
}

/// Formats the schedule's name and the first `most` of its firings, one line each.
pub fn text(next: &NextFirings<'_>, most: usize) -> String {
    let (name, zone) = (clean(&next.name), clean(&next.time_zone));
    let ends = ends(next.ends.as_deref());
    if next.firings.is_empty() {
        return ends.map_or_else(|| format!("  {name} will not fire"), |why| format!("  {name} will not fire: {why}"));
    }
    let shown = &next.firings[..most.min(next.firings.len())];
    let more = match ends {
        Some(why) if shown.len() == next.firings.len() => format!("\n    and no more: {why}"),
        _ => "\n    …".to_owned(),
    };
    format!("  {name} ({zone}) fires\n{}{more}", lines(shown, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firing_is_shown_in_both_times_and_with_its_note() {
        let text = "module = \"m@1.0.0\"\nschedule = [{ name = \"nightly\", cron = \"30 2 * * *\", \
                    time_zone = \"Europe/Berlin\", gap = \"skip\" }]";
        let manifest = tidemill_core::manifest::ModuleFile::parse_toml(text).unwrap().manifest;
        let shown = upcoming(&manifest, Timestamp::parse_rfc3339("2026-03-28T00:00:00Z").unwrap());
        assert_eq!(shown[0].firings.len(), FIRINGS + 1);
        assert_eq!(
            super::text(&shown[0], 2),
            "  nightly (Europe/Berlin) fires\n    \
             Sat 2026-03-28 02:30:00 +01:00 2026-03-28T01:30:00.000Z\n    \
             (dropped)                                               \
             \u{20} the clock leaves out 2026-03-29 02:30:00: does not fire (gap = \"skip\")\n    …"
        );
    }

    #[test]
    fn the_end_of_the_firings_has_a_reason() {
        let text = |fields: &str| {
            let text = format!("module = \"m@1.0.0\"\nschedule = [{{ name = \"s\", {fields} }}]");
            let manifest = tidemill_core::manifest::ModuleFile::parse_toml(&text).unwrap().manifest;
            super::text(&upcoming(&manifest, Timestamp::parse_rfc3339("2026-03-28T00:00:00Z").unwrap())[0], 3)
        };
        let day = "    Sun 2026-03-29 00:00:00 +00:00 2026-03-29T00:00:00.000Z";
        let limited = format!("  s (UTC) fires\n{day}\n    and no more: its limit is reached");
        assert_eq!(text("every = \"24h\", limit = 1"), limited);
        let once = format!("  s (UTC) fires\n{day}\n    and no more: it has no more times");
        assert_eq!(text("at = \"2026-03-29T00:00:00Z\", limit = 1"), once);
        assert_eq!(text("at = \"2026-03-27T00:00:00Z\""), "  s will not fire: it has no more times");
    }
}
