//! The system's zone data: finds it, reports its age, and reschedules after it has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemill_core::schedule::Schedule as Plan;
use tidemill_core::zones::{self, ZONE_FILE_BYTES, Zone, ZoneSource};
use tidemill_core::{DeploymentName, Timestamp};
use tidemill_store::records::{Schedule, ScheduleReplan};

use crate::control_plane::{ControlPlane, HostState};
use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::reconcile::scheduler::{before, upcoming};
use crate::reconcile::{NextTick, Reconciler, TickReport};

/// Folders in which systems store zone data.
const SYSTEM: [&str; 4] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// A zone that every folder of zone data contains.
const PROBE: &str = "Etc/UTC";
/// Interval between checks for changed zone data, in milliseconds.
const INTERVAL: u64 = 600_000;
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

impl ControlPlane {
    /// Checks whether the rules of used zones have changed since the last check, and recomputes the
    /// next times of the affected schedules. Returns the number of schedules whose next time
    /// changed.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn refresh_zones(&self) -> Result<usize, ControlError> {
        self.0.refresh_zones().await
    }
}

impl HostState {
    /// Checks zone data and the clock at the start. A read-only store does not keep a host from
    /// starting: the loops check again.
    pub(crate) async fn check_clock_and_zones(&self) {
        let now = self.clock.now();
        for warning in ZoneReport::of(now).warnings {
            tracing::warn!(warning, "zone data");
        }
        let looked = self.refresh_zones().await.map(drop);
        if let Err(error) = looked.and(self.refresh_silent_schedules(now).await) {
            tracing::warn!(%error, "could not check the schedules against the clock at the start");
        }
    }

    pub(crate) async fn refresh_zones(&self) -> Result<usize, ControlError> {
        // Reading files blocks. Fingerprints reveal a change even if it happened while the host was
        // down.
        let _ = tokio::task::spawn_blocking(zones::refresh).await;
        let names: BTreeSet<String> =
            self.deployments.all().values().flat_map(|live| live.plan.zones.iter().cloned()).collect();
        let count = names.len();
        let present: BTreeMap<String, u64> = names
            .into_iter()
            .filter_map(|name| name.parse::<Zone>().ok().map(|zone| (name, zone.fingerprint())))
            .collect();
        let unknown = present.len() < count || self.blocked.has_unknown_zones();
        let moved = self.replan_changed(present).await?;
        if unknown {
            let _turn = self.changes.lock().await;
            self.refresh_blocked_schedules().await?;
        }
        Ok(moved)
    }

    /// Reschedules the schedules of zones whose rules have changed. `present` has the current
    /// fingerprints.
    async fn replan_changed(&self, present: BTreeMap<String, u64>) -> Result<usize, ControlError> {
        let known = self.store.zone_marks().await?;
        let changed: BTreeSet<&String> =
            present.iter().filter(|(name, mark)| known.get(*name) != Some(mark)).map(|(name, _)| name).collect();
        if changed.is_empty() {
            return Ok(0);
        }
        let mut moved = 0;
        for live in
            self.deployments.all().values().filter(|live| live.plan.zones.iter().any(|name| changed.contains(name)))
        {
            for name in live.plan.schedule_names() {
                let Some(plan) = live.plan.schedule(name) else { continue };
                if changed.contains(&plan.spec().time_zone.name().to_owned()) {
                    moved += usize::from(self.replan(live, &plan).await?);
                }
            }
        }
        self.store.put_zone_marks(present).await?;
        if moved > 0 {
            let release = zones::data().release.unwrap_or_else(|| "unknown".to_owned());
            tracing::info!(moved, release, "zone data changed; recomputed the next times of schedules");
            self.rescheduled.notify_one();
        }
        Ok(moved)
    }

    /// Recomputes the next time of a schedule by the current rules of its zone. Returns whether it
    /// changed.
    async fn replan(&self, live: &ActiveDeployment, plan: &Plan) -> Result<bool, ControlError> {
        let (deployment, now) = (&live.deployment.name, self.clock.now());
        let Some(stored) = self.store.schedule(deployment, plan.name()).await? else { return Ok(false) };
        let Some(replan) = replanned(&stored, plan, deployment, now) else { return Ok(false) };
        let note = replan.note.clone();
        let done = self.store.replan_schedule(replan, now).await?.is_some();
        if done {
            tracing::info!(%deployment, schedule = %plan.name(), note, "schedule's next time changed");
        }
        Ok(done)
    }
}

/// Returns the change of a schedule's next time by the current rules; `None` if it stays the same
/// or there is none.
fn replanned(stored: &Schedule, plan: &Plan, deployment: &DeploymentName, now: Timestamp) -> Option<ScheduleReplan> {
    let seen = stored.next?;
    let from = match stored.through {
        Some(through) => stored.since.map_or(through, |since| since.max(through)),
        // It has not fired since it was created, or an older release wrote it: times before `seen`
        // were processed.
        None => stored.since.unwrap_or(if seen > now { now } else { before(seen) }),
    };
    let next = upcoming(plan, deployment, from);
    if next.is_some_and(|next| next.at == seen) {
        return None;
    }
    let shown = next.map_or_else(|| "none".to_owned(), |next| next.at.to_rfc3339());
    let note =
        format!("the rules of {} changed: {shown} instead of {}", plan.spec().time_zone.name(), seen.to_rfc3339());
    Some(ScheduleReplan {
        deployment: deployment.clone(),
        name: stored.name.clone(),
        revision: stored.revision,
        seen: Some(seen),
        next,
        through: None,
        change: "rescheduled",
        note,
    })
}

/// The loop that checks for changed zone data.
pub(crate) struct ZoneReconciler {
    host: Arc<HostState>,
}

impl ZoneReconciler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host }
    }
}

impl Reconciler for ZoneReconciler {
    const NAME: &'static str = "zones";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let moved = self.host.refresh_zones().await?;
        Ok(TickReport { found: moved, done: moved, failed: 0, next: NextTick::At(now.plus_millis(INTERVAL)) })
    }

    async fn woken(&self) {
        std::future::pending().await
    }
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
