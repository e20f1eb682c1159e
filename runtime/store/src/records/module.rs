//! Components and the modules that name them. The bytes lie in files beside the store, named by their digest.

use serde::{Deserialize, Serialize};
use tidemill_core::run::Export;
use tidemill_core::{ComponentDigest, ModuleName, Timestamp};

/// What is known of an uploaded component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The sha256 of its bytes.
    pub digest: ComponentDigest,
    /// Length of its bytes.
    pub size: u64,
    /// Which of the four worlds it implements.
    pub exports: Vec<Export>,
    /// The interfaces that it imports, with versions, as it names them.
    pub imports: Vec<String>,
    /// What its author should know.
    pub warnings: Vec<String>,
    /// When it came.
    pub uploaded_at: Timestamp,
    /// What it says of its workflow's JSON, as JSON of up to 64 KiB.
    pub schemas: Option<String>,
}

/// A name for a component; it never changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleVersion {
    /// The module.
    pub module: ModuleName,
    /// The version, a semantic version of at most 64 bytes.
    pub version: String,
    /// What it names.
    pub digest: ComponentDigest,
    /// When it was named.
    pub created_at: Timestamp,
}

/// What putting a version did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutVersion {
    /// It is new.
    Created,
    /// It was there, with the same bytes.
    Same,
}
