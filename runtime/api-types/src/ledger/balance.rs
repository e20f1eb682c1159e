//! Customers' accounts: balances, grants and floors.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{Amount, Time};

/// What a customer's account has in one currency.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct CustomerBalance<'a> {
    /// The stream.
    pub stream: Cow<'a, str>,
    /// The customer.
    pub customer: Cow<'a, str>,
    /// The currency.
    pub currency: Cow<'a, str>,
    /// What valid grants have left and not held, less debt.
    pub available: Amount,
    /// What reservations hold.
    pub held: Amount,
    /// What was used or held beyond the grants, and not paid since.
    pub debt: Amount,
    /// What `reserve` and `draw` leave at least. Below zero it is a credit line.
    pub floor: Amount,
    /// Whether the floor is the customer's own.
    pub own_floor: bool,
    /// The next time at which something that is available expires.
    pub next_expiry: Option<Time>,
    /// Grants with something left or held, at most 500, in the order in which usage takes from
    /// them.
    pub grants: Vec<CustomerGrant<'a>>,
}

/// A grant, and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct CustomerGrant<'a> {
    /// The external id of its entry.
    pub external_id: Cow<'a, str>,
    /// The sequence number of its entry.
    pub sequence: u64,
    /// `prepayment` or `promotion`.
    pub kind: Cow<'a, str>,
    /// Lower priorities are used first; 0 to 255.
    pub priority: u8,
    /// It covers usage from this time on.
    pub starts_at: Time,
    /// It covers usage before this time; absent if it never expires.
    pub expires_at: Option<Time>,
    /// The amount granted.
    pub granted: Amount,
    /// What is neither used nor held.
    pub left: Amount,
    /// What reservations hold.
    pub held: Amount,
}

/// A grant by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct GrantRequest<'a> {
    /// The external id of its entry. The same grant again changes nothing.
    pub external_id: Cow<'a, str>,
    /// The stream.
    pub stream: Cow<'a, str>,
    /// The customer; at most 256 bytes.
    pub customer: Cow<'a, str>,
    /// The amount, such as `5.00`; above zero.
    pub amount: Cow<'a, str>,
    /// The currency.
    pub currency: Cow<'a, str>,
    /// `promotion` if it is given away, `prepayment` if it was paid; `promotion` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^(promotion|prepayment)$"))]
    pub kind: Option<Cow<'a, str>>,
    /// Why; at most 500 bytes.
    pub reason: Cow<'a, str>,
    /// Who grants it; `operator` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Cow<'a, str>>,
    /// When it happened; now if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Time>,
    /// Lower priorities are used first, 0 to 255; 100 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// It covers usage from this time on; from `occurred_at` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Time>,
    /// It covers usage before this time; never expires if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// The floor of a customer's account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct FloorRequest<'a> {
    /// The stream.
    pub stream: Cow<'a, str>,
    /// The customer; at most 256 bytes.
    pub customer: Cow<'a, str>,
    /// The currency.
    pub currency: Cow<'a, str>,
    /// The floor, such as `-5.00`; null removes it, so that the deployment's applies.
    pub floor: Option<Cow<'a, str>>,
}

/// The floor of a customer's account as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct CustomerFloor<'a> {
    /// The stream.
    pub stream: Cow<'a, str>,
    /// The customer.
    pub customer: Cow<'a, str>,
    /// The floor in force: the customer's own, or the deployment's.
    pub floor: Amount,
    /// Whether it is the customer's own.
    pub own_floor: bool,
}
