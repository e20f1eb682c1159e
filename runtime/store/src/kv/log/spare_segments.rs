//! Spare segments: filled files that become the log's next segment. A separate thread fills a new
//! one on request, so that no commit waits for it. A checkpoint returns segments that are no longer
//! needed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tidemill_core::failpoint;

use crate::disk::Disk;
use crate::kv::log::segment;

/// Maximum number of spares; further ones are removed.
const KEPT: usize = 2;

/// The spare segments of a log.
pub(in crate::kv) struct SpareSegments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes: u64,
    spares: Mutex<Vec<PathBuf>>,
    number: AtomicU64,
    asked: AtomicBool,
    filler: Mutex<Option<(mpsc::Sender<()>, JoinHandle<()>)>>,
}

impl SpareSegments {
    /// Lists the spares in `dir`, and removes partly filled files.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, bytes: u64) -> io::Result<Arc<Self>> {
        let mut spares = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("spare-") && entry.metadata()?.len() == bytes && spares.len() < KEPT {
                spares.push(entry.path());
            } else if name.starts_with("spare-") || name.starts_with("fill-") {
                disk.remove(&entry.path())?;
            }
        }
        let number = spares.iter().filter_map(|spare| number_in(spare)).max().unwrap_or(0) + 1;
        Ok(Arc::new(Self {
            disk,
            dir: dir.to_owned(),
            bytes,
            spares: Mutex::new(spares),
            number: AtomicU64::new(number),
            asked: AtomicBool::new(false),
            filler: Mutex::new(None),
        }))
    }

    /// Returns the file system of the spares.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Takes a spare with room for `bytes`, if there is one.
    pub fn take(&self, bytes: u64) -> Option<PathBuf> {
        if bytes > self.bytes {
            return None;
        }
        self.spares.lock().pop()
    }

    /// Fills a new file of `bytes` at once, because there is no spare.
    pub fn make(&self, bytes: u64) -> io::Result<PathBuf> {
        let path = self.dir.join(format!("fill-{}", self.number.fetch_add(1, Ordering::Relaxed)));
        if let Err(error) = segment::fill(&*self.disk, &path, bytes) {
            // The partly filled file would take the last space of a full disk.
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        Ok(path)
    }

    /// Keeps a segment that is no longer needed as a spare, or removes it.
    pub fn give_back(&self, path: &Path) -> io::Result<()> {
        let fits = self.disk.open(path, false)?.length()? == self.bytes;
        let mut spares = self.spares.lock();
        if !fits || spares.len() >= KEPT {
            return self.disk.remove(path);
        }
        let spare = self.next_name();
        failpoint::hit("segment/recycle");
        self.disk.rename(path, &spare)?;
        failpoint::hit("segment/recycled");
        spares.push(spare);
        Ok(())
    }

    /// Requests a spare if there is none. Returns at once.
    pub fn want(self: &Arc<Self>) {
        let empty = self.spares.lock().is_empty();
        if !empty || self.asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut filler = self.filler.lock();
        if filler.is_none() {
            *filler = self.start();
        }
        if let Some((ask, _)) = &*filler {
            let _ = ask.send(());
        }
    }

    fn start(self: &Arc<Self>) -> Option<(mpsc::Sender<()>, JoinHandle<()>)> {
        let (ask, asked) = mpsc::channel::<()>();
        let spares = Arc::downgrade(self);
        let thread = std::thread::Builder::new()
            .name("tidemill-fill".to_owned())
            .spawn(move || {
                while asked.recv().is_ok() {
                    let Some(spares) = spares.upgrade() else { return };
                    if let Err(error) = spares.fill_one() {
                        tracing::warn!(%error, "could not fill a spare log segment; a small one is created when needed");
                    }
                    spares.asked.store(false, Ordering::Release);
                }
            })
            .map_err(|error| tracing::warn!(%error, "could not start the thread that fills log segments"))
            .ok()?;
        Some((ask, thread))
    }

    fn fill_one(&self) -> io::Result<()> {
        let made = self.make(self.bytes)?;
        failpoint::hit("segment/filled");
        let spare = self.next_name();
        self.disk.rename(&made, &spare)?;
        self.spares.lock().push(spare);
        Ok(())
    }

    fn next_name(&self) -> PathBuf {
        self.dir.join(format!("spare-{}", self.number.fetch_add(1, Ordering::Relaxed)))
    }

    /// Ends the filling thread after its current file.
    pub fn close(&self) {
        let filler = self.filler.lock().take();
        if let Some((ask, thread)) = filler {
            drop(ask);
            let _ = thread.join();
        }
    }
}

/// Removes the spare segments to free their space. Returns false if there was none.
pub(in crate::kv) fn make_room(disk: &dyn Disk, dir: &Path) -> bool {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let idle = names.filter(|path| number_in(path).is_some());
    idle.filter(|spare| disk.remove(spare).is_ok()).count() > 0
}

fn number_in(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("spare-")?.parse().ok()
}
