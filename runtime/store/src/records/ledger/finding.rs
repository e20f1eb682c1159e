//! Findings: what is odd about entries, until later entries explain it or a person closes it.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::FindingKind;

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its number, from 1, in the order in which findings were opened.
    pub number: u64,
    /// The name of its [`FindingKind`].
    pub kind: String,
    /// The stream; `None` if it is about several.
    pub stream: Option<LedgerStream>,
    /// What it is about: an external id, the id of a conversion, an invoice, or nothing if the
    /// stream and the currency say it.
    pub subject: String,
    /// The currency, if it is about one.
    pub currency: Option<String>,
    /// The excess or the open sum, in minor units, if it is about one.
    pub minor_units: Option<i128>,
    /// The sequence number of the entry that raised it.
    pub sequence: u64,
    /// Whether it is about streams on paper.
    pub paper: bool,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Who closed it and why; `None` while it is open.
    pub closure: Option<FindingClosure>,
}

/// How a person closed a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingClosure {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// The number of open findings of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingCount {
    /// The name of the kind.
    pub kind: String,
    /// The number of those about streams that are not on paper.
    pub open: u64,
    /// The number of those about streams on paper.
    pub on_paper: u64,
}

/// Selects findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Findings that a person closed instead of open ones.
    pub closed: bool,
    /// Only of this kind.
    pub kind: Option<FindingKind>,
    /// Only of this stream.
    pub stream: Option<LedgerStream>,
    /// Those about streams on paper instead of others.
    pub paper: bool,
}

impl FindingFilter {
    /// Whether a finding is selected.
    #[must_use]
    pub fn selects(&self, finding: &Finding) -> bool {
        self.closed == finding.closure.is_some()
            && self.paper == finding.paper
            && self.kind.is_none_or(|kind| kind.as_str() == finding.kind)
            && self.stream.as_ref().is_none_or(|stream| Some(stream) == finding.stream.as_ref())
    }
}
