//! Receives an upload into a file: bounded, hashed on arrival, and removed if no caller keeps it.

use std::io;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tidemill_core::{Code, ComponentDigest};
use tokio::io::AsyncWriteExt as _;

use crate::problem::{ApiResult, Problem};
use crate::request::body::{broken, too_slow};

/// The prefix and suffix of an upload file's name.
const PREFIX: &str = "upload-";
const SUFFIX: &str = ".wasm";

/// A received upload.
pub(super) struct ReceivedUpload {
    /// The path of the file, which is removed when this is dropped.
    pub(super) file: TempPath,
    /// The SHA-256 of the bytes.
    pub(super) digest: ComponentDigest,
    /// The number of bytes.
    pub(super) size: u64,
}

/// Writes a body of at most `most` bytes into a new file in `folder`. `patience` is the maximum
/// time to wait for the next piece.
///
/// # Errors
/// [`Code::ComponentTooLarge`], [`Code::RequestTimeout`], [`Code::DiskFull`], and
/// [`Code::StoreUnavailable`] if the folder cannot be written.
pub(super) async fn receive(body: Body, folder: &Path, most: u64, patience: Duration) -> ApiResult<ReceivedUpload> {
    let (file, path) = create(folder).await.map_err(failed)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut pieces = body.into_data_stream();
    loop {
        let piece = tokio::time::timeout(patience, pieces.next()).await.map_err(|_| too_slow(patience))?;
        let Some(piece) = piece.transpose().map_err(broken)? else { break };
        size += piece.len() as u64;
        if size > most {
            return Err(too_large(most));
        }
        hash.update(&piece);
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    // The store names an admitted component, so its bytes must survive a power cut first.
    file.sync_all().await.map_err(failed)?;
    Ok(ReceivedUpload { file: path, digest: ComponentDigest::from_bytes(hash.finalize().into()), size })
}

/// Removes uploads in `folder` that a previous process left unfinished. Must run before the first
/// upload.
pub(crate) fn remove_leftovers(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_upload =
            entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if is_upload && let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(%error, file = %entry.path().display(), "cannot remove the file of an interrupted upload");
        }
    }
}

/// Refuses a component larger than `most` bytes.
pub(super) fn too_large(most: u64) -> Problem {
    Problem::new(Code::ComponentTooLarge, format!("the component is larger than {most} bytes"))
}

async fn create(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = folder.to_owned();
    let made = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder)?;
        tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(&folder)
    });
    made.await.map_err(io::Error::other)?
}

fn failed(why: io::Error) -> Problem {
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Problem::new(Code::DiskFull, "the disk is too full for the component").log(why)
        }
        _ => Problem::new(Code::StoreUnavailable, "the component could not be written").log(why),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    fn pieces(of: Vec<Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(of.into_iter().map(|piece| Ok::<_, io::Error>(Bytes::from(piece)))))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn an_upload_is_stored_completely_or_removed(of in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..99), 0..5), most in 0u64..300) {
            let whole = of.concat();
            let folder = tempfile::tempdir().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            match runtime.block_on(receive(pieces(of), folder.path(), most, Duration::from_secs(5))) {
                Ok(received) => {
                    prop_assert_eq!(std::fs::read(&received.file).unwrap(), whole.clone());
                    prop_assert_eq!(received.digest, ComponentDigest::of(&whole));
                    prop_assert_eq!(received.size, whole.len() as u64);
                }
                Err(problem) => {
                    prop_assert!(whole.len() as u64 > most);
                    prop_assert_eq!(problem.code(), "host/component-too-large");
                }
            }
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn only_files_of_interrupted_uploads_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["upload-abc.wasm", "upload-.wasm", "notes.txt"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_leftovers(folder.path());
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
        remove_leftovers(&folder.path().join("nowhere"));
    }

    #[tokio::test]
    async fn a_stalled_upload_times_out_and_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let first = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"\0asm"))]);
        let body = Body::from_stream(first.chain(stream::pending()));
        let problem = receive(body, folder.path(), 99, Duration::from_millis(20)).await.err().unwrap();
        assert_eq!(problem.code(), "host/request-timeout");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
