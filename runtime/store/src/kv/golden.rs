//! Golden bytes of every file of the commit log. They change only with the format.

use std::path::Path;

use tidemill_artifacts::golden::{check, hex};

use super::checksum::{is_sound, seal};
use super::clean_shutdown;
use super::config::Table;
use super::manifest::{self, Manifest};
use super::table_checksum::TableSum;
use crate::disk::SystemDisk;
use crate::kv::log::header;
use crate::kv::log::header::{HeaderFile, LogPoint};
use crate::kv::log::record;
use crate::kv::log::record::RecordBuffer;
use crate::kv::log::segment;
use crate::kv::log::segment::Segment;
use crate::kv::log::tail_mark;
use crate::kv::log::tail_mark::TailMark;

/// The seed of the store's checksums.
const SEED: u64 = 0x0123_4567_89ab_cdef;
const RUNS: Table = Table::new(7, "runs");

/// Returns the bytes of a file without trailing zeros, and its length.
fn shown(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    format!("{} of {} bytes: {}", end, bytes.len(), hex(&bytes[..end]))
}

/// Appends a record with a put and a delete.
fn record(text: &mut String) {
    let sealed = seal(RUNS.id, b"key", b"a value");
    assert!(is_sound(RUNS.id, b"key", &sealed));
    *text += &format!("sealed value: {}\n", hex(&sealed));
    let mut buffer = RecordBuffer::default();
    let sums = [(1, TableSum { count: 4, sum: 9 }), (7, TableSum { count: 2, sum: u64::MAX })];
    buffer.begin(sums.into_iter());
    buffer.write(RUNS.id, b"key", Some(&sealed));
    buffer.write(1, b"gone", None);
    let bytes = buffer.seal(SEED, 3, 12, 40, 555).0.to_vec();
    let (header, payload) = record::read(&bytes, 0, SEED, 3).unwrap();
    assert_eq!((header.generation, header.position, header.before), (12, 40, 555));
    let payload = record::decode(payload).unwrap();
    assert_eq!((payload.sums.as_slice(), payload.writes.len()), (sums.as_slice(), 2));
    *text += &format!("record: {}\n", hex(&bytes));
}

fn segment(dir: &Path, text: &mut String) {
    let spare = dir.join("spare");
    segment::fill(&SystemDisk, &spare, 8_192).unwrap();
    Segment::begin(&SystemDisk, dir, &spare, 0x1f, SEED).unwrap();
    segment::read_whole(&SystemDisk, dir, 0x1f, SEED).unwrap();
    let name = segment::name(0x1f);
    assert_eq!(segment::number_of(&name), Some(0x1f));
    *text += &format!("{name}: {}\n", shown(&dir.join(&name)));
    *text += &format!("first record at: {}\n", segment::FIRST_RECORD);
}

/// Appends the two slots of the log's header, and the tail mark.
fn header(dir: &Path, text: &mut String) {
    let point = |generation| LogPoint {
        generation,
        position: 40,
        segment: 3,
        offset: 8_192,
        chain: 555,
        sums: vec![(1, TableSum { count: 4, sum: 9 }), (7, TableSum { count: 2, sum: u64::MAX })],
        index: 6,
        live_bytes: Some(70_000),
    };
    HeaderFile::create(&SystemDisk, dir, SEED, &point(12)).unwrap();
    let (mut anchor, found) = HeaderFile::open(&SystemDisk, dir, SEED).unwrap();
    assert_eq!(found, point(12));
    anchor.write(&LogPoint { live_bytes: None, ..point(13) }).unwrap();
    anchor.write(&point(14)).unwrap();
    assert_eq!(HeaderFile::open(&SystemDisk, dir, SEED).unwrap().1, point(14));
    *text += &format!("{}: {}\n", header::NAME, shown(&dir.join(header::NAME)));
    TailMark::open(&SystemDisk, dir, SEED).unwrap().write(13).unwrap();
    assert_eq!(tail_mark::read(&SystemDisk, dir, SEED), Some(13));
    *text += &format!("tail: {}\n", shown(&dir.join("tail")));
}

/// Appends the two text files: the manifest and the list of a clean shutdown.
fn texts(dir: &Path, text: &mut String) {
    let tables = [(1, "meta".to_owned()), (7, "runs".to_owned())].into();
    let written = Manifest { seed: SEED, index: 7, tables };
    written.write(&SystemDisk, dir).unwrap();
    assert_eq!(Manifest::read(&SystemDisk, dir).unwrap(), written);
    let shown = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    *text += &format!("--- {}\n{}", manifest::NAME, shown(manifest::NAME));
    let index = dir.join("index");
    std::fs::create_dir(&index).unwrap();
    std::fs::write(index.join("db"), b"pages").unwrap();
    clean_shutdown::write(&SystemDisk, dir, &index, SEED).unwrap();
    *text += &format!("--- {}\n{}", clean_shutdown::NAME, shown(clean_shutdown::NAME));
    assert!(clean_shutdown::verify(&SystemDisk, dir, &index, SEED).unwrap());
}

#[test]
fn the_log_keeps_its_format() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    record(&mut text);
    segment(dir.path(), &mut text);
    header(dir.path(), &mut text);
    texts(dir.path(), &mut text);
    check(env!("CARGO_MANIFEST_DIR"), "log.txt", &text);
}
