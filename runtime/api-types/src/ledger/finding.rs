//! Findings about the ledger.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{Amount, Time};

/// What is odd about entries of the ledger, until later entries explain it or a person closes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Finding<'a> {
    /// The number of the finding.
    pub number: u64,
    /// Its kind: `over-refunded`, `over-reversed`, `of-unknown`, `negative-receivable`,
    /// `clearing-open`, `conversion-unpaired`, `reservation-old`, `future-dated`, `late`,
    /// `id-conflict` or `below-floor`.
    pub kind: Cow<'a, str>,
    /// The stream; left out if the finding is about several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Cow<'a, str>>,
    /// What it is about: an external id, the id of a conversion, an invoice, or a customer; empty
    /// if it is the account `receivable`, or entries without an invoice.
    pub subject: Cow<'a, str>,
    /// The currency; left out if the finding is about none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Cow<'a, str>>,
    /// The excess, the open sum, the reserved amount, or what is missing to the floor; left out for
    /// kinds without an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// The sequence number of the entry that raised it.
    pub sequence: u64,
    /// Whether it is about streams on paper.
    pub paper: bool,
    /// When it was opened.
    pub opened_at: Time,
    /// When a person closed it; left out while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Time>,
    /// Who closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Cow<'a, str>>,
    /// Why they closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

/// The number of open findings of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct FindingCount<'a> {
    /// The kind.
    pub kind: Cow<'a, str>,
    /// The number of open findings about streams that are not on paper.
    pub open: u64,
    /// The number of open findings about streams on paper.
    pub on_paper: u64,
}

/// Why a finding is closed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct FindingClosure<'a> {
    /// Why it is no problem; at most 4096 bytes.
    pub reason: Cow<'a, str>,
    /// Who closes it; `operator` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Cow<'a, str>>,
}
