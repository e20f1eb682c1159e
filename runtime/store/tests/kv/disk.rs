//! A file system that fails on request, and keeps a copy of what a power cut would leave.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tidemill_store::disk::{Disk, DiskFile, SystemDisk};

use super::support;

/// The faults that a [`FaultDisk`] injects, and its counts.
#[derive(Default)]
struct State {
    /// Free space to report instead of the real one.
    free: Option<u64>,
    /// No file grows.
    stuck: bool,
    /// Number of syncs in the log's folder that still fail.
    failing: u64,
    /// Number of syncs until the power cut; zero for none.
    cut_at: u64,
    cut: bool,
    /// Names that a power cut would undo.
    pending: Vec<(PathBuf, Option<PathBuf>)>,
    /// The current path of each open file.
    open: HashMap<PathBuf, Vec<Arc<Mutex<PathBuf>>>>,
}

/// A disk that fails on request and records what a power cut would leave.
pub struct FaultDisk {
    root: PathBuf,
    durable: PathBuf,
    state: Mutex<State>,
    syncs: AtomicU64,
    held: Mutex<bool>,
    released: Condvar,
}

/// While this exists, no sync of a file completes.
pub struct HeldSyncs(Arc<FaultDisk>);

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        *self.0.held.lock().unwrap() = false;
        self.0.released.notify_all();
    }
}

struct FaultFile {
    disk: Arc<FaultDisk>,
    file: Arc<dyn DiskFile>,
    path: Arc<Mutex<PathBuf>>,
}

/// The disk as a [`Disk`]; its files hold it by reference count.
#[derive(Clone)]
pub struct Faults(pub Arc<FaultDisk>);

impl Faults {
    /// Returns a disk without faults; `durable` receives what a power cut would leave.
    pub fn new(root: &Path, durable: &Path) -> Self {
        let (root, durable) = (root.to_owned(), durable.to_owned());
        Self(Arc::new(FaultDisk {
            root,
            durable,
            state: Mutex::default(),
            syncs: AtomicU64::new(0),
            held: Mutex::new(false),
            released: Condvar::new(),
        }))
    }

    /// Sets the reported free space. If it is zero, no file grows.
    pub fn set_free(&self, free: Option<u64>) {
        self.0.state.lock().unwrap().free = free;
    }

    pub fn fail_growth(&self, fail: bool) {
        self.0.state.lock().unwrap().stuck = fail;
    }

    pub fn fail_syncs(&self, count: u64) {
        self.0.state.lock().unwrap().failing = count;
    }

    /// Makes file syncs wait until the returned guard is dropped.
    pub fn hold_syncs(&self) -> HeldSyncs {
        *self.0.held.lock().unwrap() = true;
        HeldSyncs(Arc::clone(&self.0))
    }

    pub fn cut_at(&self, sync: u64) {
        self.0.state.lock().unwrap().cut_at = sync;
    }

    pub fn is_cut(&self) -> bool {
        self.0.state.lock().unwrap().cut
    }

    pub fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

impl FaultDisk {
    fn durable(&self, path: &Path) -> PathBuf {
        self.durable.join(path.strip_prefix(&self.root).unwrap())
    }

    fn alive(&self) -> io::Result<()> {
        if self.state.lock().unwrap().cut { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    /// Counts a sync. Fails if it is to fail, and returns whether the power is cut.
    fn count(&self, path: &Path) -> io::Result<bool> {
        self.alive()?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap();
        if state.failing > 0 && path.to_string_lossy().contains("/log/") {
            state.failing -= 1;
            return Err(io::Error::other("the disk refused"));
        }
        if state.cut_at > 0 {
            state.cut_at -= 1;
            state.cut = state.cut_at == 0;
        }
        Ok(state.cut)
    }

    fn keep(&self, path: &Path, torn: bool) {
        let target = self.durable(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let now = fs::read(path).unwrap();
        let mut kept = fs::read(&target).unwrap_or_default();
        if torn {
            // Every other sector written since the last sync has reached the disk.
            kept.resize(now.len(), 0);
            for (sector, content) in now.chunks(512).enumerate() {
                if sector % 2 == 0 {
                    kept[sector * 512..sector * 512 + content.len()].copy_from_slice(content);
                }
            }
            fs::write(&target, kept).unwrap();
        } else if now != kept {
            fs::write(&target, now).unwrap();
        }
    }
}

/// Returns the folders of indexes: two during a rewrite.
fn indexes(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("index"))).collect()
}

impl Disk for Faults {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.alive()?;
        SystemDisk.create_dir(path)
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.0.alive()?;
        let file = SystemDisk.open(path, create)?;
        let known = Arc::new(Mutex::new(path.to_owned()));
        self.0.state.lock().unwrap().open.entry(path.to_owned()).or_default().push(Arc::clone(&known));
        Ok(Arc::new(FaultFile { disk: Arc::clone(&self.0), file, path: known }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.alive()?;
        SystemDisk.rename(from, to)?;
        let mut state = self.0.state.lock().unwrap();
        let moved = state.open.remove(from).unwrap_or_default();
        for path in &moved {
            to.clone_into(&mut path.lock().unwrap());
        }
        state.open.insert(to.to_owned(), moved);
        state.pending.push((from.to_owned(), Some(to.to_owned())));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.alive()?;
        SystemDisk.remove(path)?;
        self.0.state.lock().unwrap().pending.push((path.to_owned(), None));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.0.count(path)? {
            return Err(io::Error::other("the power is gone"));
        }
        SystemDisk.sync_dir(path)?;
        let pending = {
            let mut state = self.0.state.lock().unwrap();
            let (now, later) =
                std::mem::take(&mut state.pending).into_iter().partition(|(from, _)| from.parent() == Some(path));
            state.pending = later;
            let now: Vec<(PathBuf, Option<PathBuf>)> = now;
            now
        };
        for (from, to) in pending {
            let from = self.0.durable(&from);
            match to {
                Some(to) if from.exists() => fs::rename(from, self.0.durable(&to)).unwrap(),
                None if from.exists() => fs::remove_file(from).unwrap(),
                _ => {}
            }
        }
        Ok(())
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.0.state.lock().unwrap().free.map_or_else(|| SystemDisk.free_space(path), Ok)
    }
}

impl DiskFile for FaultFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.alive()?;
        let full = {
            let state = self.disk.state.lock().unwrap();
            state.stuck || state.free == Some(0)
        };
        if full && offset + bytes.len() as u64 > self.file.length()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.disk.released.wait_while(self.disk.held.lock().unwrap(), |held| *held).unwrap());
        let path = self.path.lock().unwrap().clone();
        let cut = self.disk.count(&path)?;
        self.disk.keep(&path, cut);
        if cut {
            return Err(io::Error::other("the power is gone"));
        }
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("checkpoint")) {
            // The index is synced before a checkpoint is written; no test commits at the same time.
            for index in indexes(&self.disk.durable) {
                fs::remove_dir_all(index).unwrap();
            }
            for index in indexes(&self.disk.root) {
                support::copy(&index, &self.disk.durable(&index));
            }
        }
        Ok(())
    }
}
