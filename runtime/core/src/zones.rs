//! Time zones: the rules of each by name, from the machine's zone data or, as a fallback, from a
//! compiled-in copy.
//!
//! Laws change faster than hosts are released, so zone data comes from where the system keeps it
//! current. This crate does no I/O: a [`ZoneSource`] reads the files, and [`install`] sets the
//! source of this process. The copy provides the zones that the source lacks. A [`Zone`] keeps the
//! rules of its lookup; [`refresh`] checks whether the rules in use have changed.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use chrono::{FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use xxhash_rust::xxh3::xxh3_64;

use crate::ids::Timestamp;

/// Maximum length of the name of a zone, in bytes.
pub const ZONE_NAME_BYTES: usize = 64;
/// Maximum size of the file of one zone, in bytes. Real files have a few thousand bytes.
pub const ZONE_FILE_BYTES: usize = 1 << 20;
/// Release of the compiled-in copy.
pub const BUNDLED: &str = chrono_tz::IANA_TZDB_VERSION;
/// Upper bound of a zone's offset from Greenwich, in hours.
const FARTHEST: i64 = 26;
/// Interval between the offsets that are sampled around a wall clock time, in hours: every zone
/// keeps an offset for longer.
const STEP: i64 = 6;

/// Reads zone data.
pub trait ZoneSource: Send + Sync + 'static {
    /// Reads the TZif file (RFC 9636) of a zone whose name [`is_zone_name`] has accepted; `None`
    /// if there is no such file or it cannot be read.
    fn read(&self, name: &str) -> Option<Vec<u8>>;
    /// Release of the data, such as `2026a`; `None` if it is unknown.
    fn release(&self) -> Option<String>;
    /// Location of the data, for people.
    fn place(&self) -> String;
}

/// The zone data of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneData {
    /// Its release; `None` if it is unknown.
    pub release: Option<String>,
    /// Its location; `None` for the compiled-in copy.
    pub place: Option<String>,
}

#[derive(Default)]
struct ZoneRegistry {
    source: Option<Arc<dyn ZoneSource>>,
    known: HashMap<String, Zone>,
}

static REGISTRY: LazyLock<RwLock<ZoneRegistry>> = LazyLock::new(RwLock::default);

/// Sets the source of zone data for this process.
pub fn install(source: Arc<dyn ZoneSource>) {
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    registry.source = Some(source);
    registry.known.clear();
}

/// The zone data of this process.
#[must_use]
pub fn data() -> ZoneData {
    let source = REGISTRY.read().unwrap_or_else(PoisonError::into_inner).source.clone();
    match source {
        Some(source) => ZoneData { release: source.release(), place: Some(source.place()) },
        None => ZoneData { release: Some(BUNDLED.to_owned()), place: None },
    }
}

/// Reads the zones that were looked up so far again; returns the names of those whose rules have
/// changed. If a file is missing or invalid, the rules stay unchanged.
pub fn refresh() -> Vec<String> {
    let (source, known) = {
        let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
        let Some(source) = registry.source.clone() else { return Vec::new() };
        (source, registry.known.values().cloned().collect::<Vec<_>>())
    };
    let read = |zone: &Zone| Zone::from_tzif(zone.name(), &source.read(zone.name())?);
    let changed: Vec<Zone> =
        known.iter().filter_map(|zone| read(zone).filter(|now| now.fingerprint() != zone.fingerprint())).collect();
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    for zone in &changed {
        registry.known.insert(zone.name().to_owned(), zone.clone());
    }
    changed.into_iter().map(|zone| zone.name().to_owned()).collect()
}

/// Whether a text can be the name of a zone: `Area/Place`, of letters, digits, `_`, `+` and `-`.
/// Names with leap seconds (`right/…`) and names that do not refer to a place (`localtime`) are
/// not accepted.
#[must_use]
pub fn is_zone_name(name: &str) -> bool {
    let part = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte)) && !part.is_empty()
    };
    let special = ["right/", "posix/"].iter().any(|prefix| name.starts_with(prefix));
    let elsewhere = ["localtime", "posixrules", "Factory"].contains(&name);
    name.len() <= ZONE_NAME_BYTES && name.split('/').all(part) && !special && !elsewhere
}

/// A time zone. Cheap to clone; zones with the same name are equal.
#[derive(Clone)]
pub struct Zone(Arc<ZoneRules>);

struct ZoneRules {
    name: String,
    offsets: ZoneOffsets,
    fingerprint: u64,
}

enum ZoneOffsets {
    Bundled(Tz),
    File(tz::TimeZone),
    Unknown,
}

/// A text that does not name a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time zone of the IANA list")]
pub struct UnknownZone;

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        let source = {
            let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = registry.known.get(name) {
                return Ok(known.clone());
            }
            registry.source.clone()
        };
        if !is_zone_name(name) {
            return Err(UnknownZone);
        }
        // UTC needs no file, and no file can change it.
        let source = source.filter(|_| name != "UTC");
        let read = source.and_then(|source| Self::from_tzif(name, &source.read(name)?));
        let zone = read.or_else(|| Self::bundled(name)).ok_or(UnknownZone)?;
        let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
        Ok(registry.known.entry(name.to_owned()).or_insert(zone).clone())
    }
}

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        static UTC: LazyLock<Zone> = LazyLock::new(|| Zone::of("UTC", ZoneOffsets::Bundled(Tz::UTC), 0));
        UTC.clone()
    }

    /// The zone with that name in the compiled-in copy.
    #[must_use]
    pub fn bundled(name: &str) -> Option<Self> {
        let rules = name.parse().ok()?;
        Some(Self::of(name, ZoneOffsets::Bundled(rules), xxh3_64(format!("bundled {BUNDLED} {name}").as_bytes())))
    }

    /// The zone that a TZif file describes; `None` if the file is invalid or counts leap seconds.
    #[must_use]
    pub fn from_tzif(name: &str, file: &[u8]) -> Option<Self> {
        if file.len() > ZONE_FILE_BYTES {
            return None;
        }
        let rules = tz::TimeZone::from_tz_data(file).ok()?;
        let counts_leap_seconds = !rules.as_ref().leap_seconds().is_empty();
        (!counts_leap_seconds).then(|| Self::of(name, ZoneOffsets::File(rules), xxh3_64(file)))
    }

    /// A zone with a valid name whose rules this process does not have; `None` if [`is_zone_name`]
    /// does not accept the name. It shows the time of Greenwich, and a schedule in it has no next
    /// time.
    #[must_use]
    pub fn unknown(name: &str) -> Option<Self> {
        is_zone_name(name).then(|| Self::of(name, ZoneOffsets::Unknown, 0))
    }

    /// Whether this process has the rules of the zone.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self.0.offsets, ZoneOffsets::Unknown)
    }

    fn of(name: &str, offsets: ZoneOffsets, fingerprint: u64) -> Self {
        Self(Arc::new(ZoneRules { name: name.to_owned(), offsets, fingerprint }))
    }

    /// Its name in the IANA list.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Fingerprint of the rules, which differs for other rules of the same name.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// The offset from Greenwich at an instant, in seconds.
    fn seconds_at(&self, instant: i64) -> i32 {
        match &self.0.offsets {
            ZoneOffsets::Bundled(zone) => chrono::DateTime::from_timestamp(instant, 0)
                .map_or(0, |at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()),
            ZoneOffsets::File(zone) => zone.find_local_time_type(instant).map_or(0, tz::LocalTimeType::ut_offset),
            ZoneOffsets::Unknown => 0,
        }
    }

    fn offset(&self, seconds: i32) -> ZoneOffset {
        let fixed = FixedOffset::east_opt(seconds);
        ZoneOffset { zone: self.clone(), fixed: fixed.unwrap_or_else(|| chrono::Utc.fix()) }
    }
}

impl TimeZone for Zone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone.clone()
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<ZoneOffset> {
        if let ZoneOffsets::Bundled(zone) = &self.0.offsets {
            return zone.offset_from_local_datetime(local).map(|offset| self.offset(offset.fix().local_minus_utc()));
        }
        let wall = local.and_utc().timestamp();
        // Collect the offsets around that time, then keep those under which the clock shows it.
        let mut offsets: Vec<i32> = (-FARTHEST..=FARTHEST)
            .step_by(usize::try_from(STEP).unwrap_or(1))
            .chain([FARTHEST])
            .map(|hours| self.seconds_at(wall.saturating_add(hours * 3_600)))
            .collect();
        offsets.sort_unstable();
        offsets.dedup();
        // A larger offset means an earlier instant.
        offsets.reverse();
        offsets.retain(|offset| self.seconds_at(wall - i64::from(*offset)) == *offset);
        match offsets[..] {
            [] => MappedLocalTime::None,
            [only] => MappedLocalTime::Single(self.offset(only)),
            [first, .., last] => MappedLocalTime::Ambiguous(self.offset(first), self.offset(last)),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        self.offset(self.seconds_at(utc.and_utc().timestamp()))
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An offset of a zone during a period.
#[derive(Clone)]
pub struct ZoneOffset {
    zone: Zone,
    fixed: FixedOffset,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        self.fixed
    }
}

impl fmt::Debug for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fixed.fmt(f)
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fixed.fmt(f)
    }
}

/// Approximate time at which a release came out: its name contains the year and a letter, and most
/// years have a similar number of releases. `None` if the text is not the name of a release.
#[must_use]
pub fn released(release: &str) -> Option<Timestamp> {
    let (year, letter) = release.split_at_checked(4)?;
    let nth = letter.bytes().next().filter(u8::is_ascii_lowercase)? - b'a';
    // In most years the first two releases come out in spring, and the others in autumn.
    let month = match nth {
        0 => 1,
        1 => 3,
        2 => 8,
        _ => 11,
    };
    let date = NaiveDate::from_ymd_opt(year.parse().ok()?, month, 1)?;
    let millis = date.and_time(NaiveTime::MIN).and_utc().timestamp_millis();
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

/// Whether a release came out more than a year before `now`, as far as [`released`] can tell.
#[must_use]
pub fn is_old(release: &str, now: Timestamp) -> bool {
    let year = u64::try_from(TimeDelta::days(365).num_milliseconds()).unwrap_or(u64::MAX);
    released(release).is_some_and(|at| now.millis_since(at) > year)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    /// A TZif file of version 2 (RFC 9636) with these transitions, each to an offset, and a rule
    /// for the time after them.
    fn tzif(first: i32, transitions: &[(i64, i32)], rule: &str) -> Vec<u8> {
        let mut offsets: Vec<i32> = vec![first];
        offsets.extend(transitions.iter().map(|(_, offset)| *offset));
        let header = |transitions: usize, types: usize| {
            let mut header = b"TZif2".to_vec();
            header.resize(20, 0);
            for count in [0, 0, 0, transitions, types, 4] {
                header.extend_from_slice(&u32::try_from(count).unwrap().to_be_bytes());
            }
            header
        };
        // Readers of version 2 skip the first part.
        let mut file = header(0, 1);
        file.extend_from_slice(&[0; 6]);
        file.extend_from_slice(b"LMT\0");
        file.extend(header(transitions.len(), offsets.len()));
        file.extend(transitions.iter().flat_map(|(at, _)| at.to_be_bytes()));
        file.extend((1..=transitions.len()).map(|index| u8::try_from(index).unwrap()));
        for offset in offsets {
            file.extend_from_slice(&offset.to_be_bytes());
            file.extend_from_slice(&[0, 0]);
        }
        file.extend_from_slice(b"LMT\0");
        file.extend_from_slice(format!("\n{rule}\n").as_bytes());
        file
    }

    fn local(zone: &Zone, text: &str) -> MappedLocalTime<i64> {
        zone.from_local_datetime(&text.parse().unwrap()).map(|at| at.timestamp())
    }

    #[test]
    fn a_file_has_precedence_over_the_compiled_in_copy() {
        // Vancouver has kept -07:00 since 2026; the copy is older than that law.
        let fixed = Zone::from_tzif("America/Vancouver", &tzif(-25_200, &[], "<-07>7")).unwrap();
        let wall = "2026-11-29T09:00:00";
        let noon = DateTime::parse_from_rfc3339("2026-11-29T16:00:00Z").unwrap().timestamp();
        assert_eq!(local(&fixed, wall), MappedLocalTime::Single(noon));
        let copy = Zone::bundled("America/Vancouver").unwrap();
        assert_eq!(local(&copy, wall), MappedLocalTime::Single(noon + 3_600));
        assert!(fixed == copy && fixed.fingerprint() != copy.fingerprint());
        let shown = DateTime::from_timestamp(noon, 0).unwrap().with_timezone(&fixed);
        assert_eq!(shown.to_rfc3339(), "2026-11-29T09:00:00-07:00");
    }

    #[test]
    fn gaps_and_repeats_are_found_in_transitions_and_in_rules() {
        let change = DateTime::parse_from_rfc3339("2026-03-29T01:00:00Z").unwrap().timestamp();
        let once = Zone::from_tzif("Test/Once", &tzif(3_600, &[(change, 7_200)], "LMT-2")).unwrap();
        let yearly = Zone::from_tzif("Test/Yearly", &tzif(3_600, &[], "CET-1CEST,M3.5.0,M10.5.0/3")).unwrap();
        let berlin = Zone::bundled("Europe/Berlin").unwrap();
        for wall in ["2026-03-29T01:59:59", "2026-03-29T02:00:00", "2026-03-29T02:30:00", "2026-03-29T03:00:00"] {
            assert_eq!(local(&once, wall), local(&berlin, wall), "{wall}");
            assert_eq!(local(&yearly, wall), local(&berlin, wall), "{wall}");
        }
        for wall in ["2026-10-25T01:59:59", "2026-10-25T02:00:00", "2026-10-25T02:59:59", "2026-10-25T03:00:00"] {
            assert_eq!(local(&yearly, wall), local(&berlin, wall), "{wall}");
        }
        let (first, second) = (1_792_888_200, 1_792_891_800);
        assert_eq!(local(&yearly, "2026-10-25T02:30:00"), MappedLocalTime::Ambiguous(first, second));
    }

    #[test]
    fn only_names_of_places_are_names() {
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"] {
            assert!(is_zone_name(name), "{name}");
        }
        for name in
            ["", "/", "/etc/passwd", "../UTC", "Europe/", "right/UTC", "localtime", "zone.tab", "a b", &"x".repeat(65)]
        {
            assert!(!is_zone_name(name) && name.parse::<Zone>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_source_is_read_before_the_copy_and_again_by_a_refresh() {
        struct SingleOffset(std::sync::Mutex<Vec<u8>>);
        impl ZoneSource for SingleOffset {
            fn read(&self, name: &str) -> Option<Vec<u8>> {
                (name == "Test/Fixture").then(|| self.0.lock().unwrap().clone())
            }
            fn release(&self) -> Option<String> {
                Some("2026f".to_owned())
            }
            fn place(&self) -> String {
                "a test".to_owned()
            }
        }
        let source = Arc::new(SingleOffset(std::sync::Mutex::new(tzif(3_600, &[], "<+01>-1"))));
        install(Arc::clone(&source) as Arc<dyn ZoneSource>);
        let at = |name: &str| local(&name.parse::<Zone>().unwrap(), "2026-01-01T12:00:00");
        let noon = DateTime::parse_from_rfc3339("2026-01-01T12:00:00Z").unwrap().timestamp();
        assert_eq!(at("Test/Fixture"), MappedLocalTime::Single(noon - 3_600));
        assert_eq!(at("Asia/Kolkata"), MappedLocalTime::Single(noon - 19_800), "it has no such file");
        assert_eq!(data(), ZoneData { release: Some("2026f".to_owned()), place: Some("a test".to_owned()) });
        assert_eq!(refresh(), [""; 0]);
        *source.0.lock().unwrap() = tzif(7_200, &[], "<+02>-2");
        assert_eq!(refresh(), ["Test/Fixture"]);
        assert_eq!(at("Test/Fixture"), MappedLocalTime::Single(noon - 7_200));
        *source.0.lock().unwrap() = b"TZif".to_vec();
        assert_eq!(refresh(), [""; 0]);
        assert_eq!(at("Test/Fixture"), MappedLocalTime::Single(noon - 7_200), "an invalid file changes nothing");
    }

    #[test]
    fn a_release_is_old_a_year_after_it_came_out() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        assert!(is_old("2025b", at("2026-11-29T00:00:00Z")) && !is_old("2025b", at("2026-02-01T00:00:00Z")));
        assert!(!is_old("2026f", at("2026-11-29T00:00:00Z")) && !is_old("2026a", at("2026-12-31T00:00:00Z")));
        for name in ["", "2026", "2026F", "abcda", "99999999a", "é"] {
            assert_eq!(released(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_file_is_a_zone_or_refused(mut file in any::<Vec<u8>>(), cut in any::<prop::sample::Index>(), byte: u8, wall in 0i64..4_000_000_000) {
            let _ = Zone::from_tzif("Test/Any", &file);
            file = tzif(3_600, &[(1_000_000_000, 7_200), (1_500_000_000, 3_600)], "LMT-1");
            let place = cut.index(file.len());
            file[place] = byte;
            if let Some(zone) = Zone::from_tzif("Test/Any", &file) {
                let at = DateTime::from_timestamp(wall, 0).unwrap();
                let _ = zone.from_local_datetime(&at.naive_utc());
                let _ = at.with_timezone(&zone).to_rfc3339();
            }
        }
    }
}
