//! The system's zone data: finds it and reports its age.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_core::zones::{self, ZONE_FILE_BYTES, Zone, ZoneSource};

/// Folders in which systems store zone data.
const SYSTEM: [&str; 4] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// A zone that every folder of zone data contains.
const PROBE: &str = "Etc/UTC";
/// Maximum length of a line that names a release, in bytes.
const RELEASE_BYTES: u64 = 64;

/// A folder of TZif files with names such as `Area/Place`.
#[derive(Debug)]
pub struct ZoneDirectory(PathBuf);

impl ZoneDirectory {
    /// Opens the folder `dir`.
    ///
    /// # Errors
    /// If it contains no zone data.
    pub fn open(dir: &Path) -> Result<Self, String> {
        let directory = Self(dir.to_owned());
        let probe = directory.read(PROBE).and_then(|file| Zone::from_tzif(PROBE, &file));
        probe.map(|_| directory).ok_or_else(|| format!("{} holds no zone data: no TZif file {PROBE}", dir.display()))
    }

    /// Returns the system's folder; `None` if it has no zone data.
    #[must_use]
    pub fn system() -> Option<Self> {
        SYSTEM.iter().find_map(|dir| Self::open(Path::new(dir)).ok())
    }
}

impl ZoneSource for ZoneDirectory {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let file = std::fs::File::open(self.0.join(name)).ok()?;
        let mut bytes = Vec::new();
        file.take(ZONE_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn release(&self) -> Option<String> {
        let first_line = |name: &str| {
            let mut bytes = Vec::new();
            std::fs::File::open(self.0.join(name)).ok()?.take(RELEASE_BYTES).read_to_end(&mut bytes).ok()?;
            String::from_utf8_lossy(&bytes).lines().next().map(|line| line.trim().to_owned())
        };
        let named = first_line("tzdata.zi").and_then(|line| line.strip_prefix("# version ").map(str::to_owned));
        let named = named.or_else(|| first_line("+VERSION")).or_else(|| first_line("version"));
        named.filter(|release| zones::released(release).is_some())
    }

    fn place(&self) -> String {
        self.0.display().to_string()
    }
}

/// Makes this process read zone data from `dir`, or from the system if `dir` is `None`. Without
/// either, the compiled-in copy is used.
///
/// # Errors
/// If `dir` contains no zone data.
pub fn install_zones(dir: Option<&Path>) -> Result<(), String> {
    let directory = match dir {
        Some(dir) => Some(ZoneDirectory::open(dir)?),
        None => ZoneDirectory::system(),
    };
    if let Some(directory) = directory {
        zones::install(Arc::new(directory));
    }
    Ok(())
}

/// The zone data that this process uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneReport {
    /// Its release, such as `2026a`, or `unknown`.
    pub release: String,
    /// The folder that contains it, or `compiled in`.
    pub place: String,
    /// What the operator should do about it, in words.
    pub warnings: Vec<String>,
}

impl ZoneReport {
    /// Reports on the zone data at `now`. Reads the first lines of some files.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        let data = zones::data();
        let system = ZoneDirectory::system().filter(|system| data.place.as_ref() != Some(&system.place()));
        report(data, system.and_then(|system| Some((system.release()?, system.place()))), now)
    }
}

/// Reports on `data`. `other` is the release and the folder of the system's zone data, if this
/// process does not use it.
fn report(data: zones::ZoneData, other: Option<(String, String)>, now: Timestamp) -> ZoneReport {
    const FIX: &str = "update the system's package `tzdata`, or name a newer folder with --zoneinfo";
    let place = data.place.unwrap_or_else(|| "compiled in".to_owned());
    let mut warnings = Vec::new();
    match &data.release {
        Some(release) if zones::is_old(release, now) => {
            warnings.push(format!("the zone data ({release}, {place}) is more than a year old: {FIX}"));
        }
        Some(_) => {}
        None => warnings.push(format!("the release of the zone data in {place} is unknown: {FIX}")),
    }
    if let (Some(release), Some((newer, system))) = (&data.release, other)
        && newer > *release
    {
        warnings.push(format!("the zone data ({release}, {place}) is older than the system's ({newer}, {system})"));
    }
    ZoneReport { release: data.release.unwrap_or_else(|| "unknown".to_owned()), place, warnings }
}

#[cfg(test)]
mod tests {
    use tidemill_core::zones::{BUNDLED, ZoneData};

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn old_zone_data_and_newer_system_data_cause_warnings() {
        let now = at("2026-11-29T00:00:00Z");
        let of = |release: Option<&str>, other: Option<&str>| {
            let data = ZoneData { release: release.map(str::to_owned), place: Some("/zones".to_owned()) };
            report(data, other.map(|release| (release.to_owned(), "/usr".to_owned())), now).warnings.join("\n")
        };
        assert_eq!(of(Some("2026f"), Some("2026f")), "");
        assert!(of(Some("2025b"), None).contains("more than a year old"));
        assert!(of(Some("2026a"), Some("2026f")).contains("older than the system's (2026f, /usr)"));
        assert!(of(None, None).contains("is unknown"));
        let copy = report(ZoneData { release: Some(BUNDLED.to_owned()), place: None }, None, now);
        assert_eq!((copy.place.as_str(), copy.release.as_str()), ("compiled in", BUNDLED));
    }

    /// Reads every zone of this machine; without zone data there is nothing to check.
    #[test]
    fn every_zone_of_the_system_is_readable() {
        let named = std::env::var_os("TIDEMILL_ZONEINFO").map(|dir| ZoneDirectory(dir.into()));
        let Some(directory) = named.or_else(ZoneDirectory::system) else { return };
        let table = std::fs::read_to_string(directory.0.join("zone1970.tab")).unwrap_or_default();
        let lines = table.lines().filter(|line| !line.starts_with('#'));
        for name in lines.filter_map(|line| line.split('\t').nth(2)) {
            let zone = directory.read(name).and_then(|file| Zone::from_tzif(name, &file));
            assert!(zone.is_some() && zones::is_zone_name(name), "{name}");
        }
    }

    #[test]
    fn folders_without_zones_are_refused_and_the_release_is_read_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let refused = ZoneDirectory::open(dir.path()).unwrap_err();
        assert!(refused.contains("no TZif file Etc/UTC"), "{refused}");
        let directory = ZoneDirectory(dir.path().to_owned());
        assert_eq!(directory.release(), None);
        for (file, text) in [("version", "2024a\n"), ("+VERSION", "2025b"), ("tzdata.zi", "# version 2026f\n# more")] {
            std::fs::write(dir.path().join(file), text).unwrap();
            let release = text.trim_start_matches("# version ").lines().next().map(str::to_owned);
            assert_eq!(directory.release(), release, "{file}");
        }
        std::fs::remove_file(dir.path().join("tzdata.zi")).unwrap();
        std::fs::write(dir.path().join("+VERSION"), "not a release").unwrap();
        assert_eq!(directory.release(), None);
    }
}
