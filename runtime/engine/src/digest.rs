//! Digests of files that are too large for memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tidemill_core::ComponentDigest;

/// Size of one read, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Returns the digest of a file's bytes.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn of_file(path: &Path) -> io::Result<ComponentDigest> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(ComponentDigest::from_bytes(hash.finalize().into())),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}
