//! A component that is ready to run.

use tidemill_core::ComponentDigest;
use tidemill_core::run::Export;

/// A component's code in memory, linked against the host for each export that it has.
pub struct Module {
    digest: ComponentDigest,
    exports: Vec<Export>,
}

impl Module {
    /// The component that it came from.
    #[must_use]
    pub const fn digest(&self) -> ComponentDigest {
        self.digest
    }

    /// The exports that can be called, in the order of the WIT.
    #[must_use]
    pub fn exports(&self) -> &[Export] {
        &self.exports
    }
}
