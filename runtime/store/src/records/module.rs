//! Components, and the modules that refer to them. The bytes are files outside the store, named by
//! their digest.

use serde::{Deserialize, Serialize};
use tidemill_core::run::Export;
use tidemill_core::{ComponentDigest, ModuleName, Timestamp};

/// The metadata of an uploaded component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The SHA-256 digest of its bytes.
    pub digest: ComponentDigest,
    /// The size, in bytes.
    pub size: u64,
    /// The exports: which of the four worlds it implements.
    pub exports: Vec<Export>,
    /// The imported interfaces with versions, as written in the component.
    pub imports: Vec<String>,
    /// Warnings for the author.
    pub warnings: Vec<String>,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
    /// Its description of the workflow's JSON input and output, as JSON of at most 64 KiB.
    pub schemas: Option<String>,
}

/// A version of a module. It always refers to the same component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleVersion {
    /// The module.
    pub module: ModuleName,
    /// The semantic version, at most 64 bytes.
    pub version: String,
    /// The component.
    pub digest: ComponentDigest,
    /// When the version was created.
    pub created_at: Timestamp,
}

/// The result of adding a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutVersion {
    /// The version is new.
    Created,
    /// The version exists with the same bytes.
    Same,
}
