//! The wire form of entries, accounts and totals. Amounts are integers of the currency's minor
//! unit, and decimal text.

use data_encoding::HEXLOWER;
use tidemill_api_types as shapes;
use tidemill_core::money::balance::{CreditGrant, GrantKind};
use tidemill_store::records::{
    AccountTotal, ClosedPeriod, Evidence, Finding, FindingCount, LedgerCheck, LedgerEntry, LedgerHead, LedgerLeg,
    RateRecord,
};

use super::Amounts;
use crate::wire::FromRecord;

/// Returns the shape of an entry.
pub fn entry<'a>(entry: &'a LedgerEntry, amounts: &Amounts) -> shapes::LedgerEntry<'a> {
    let amount = amounts.amount(entry.minor_units.into(), &entry.currency);
    let legs = |legs: &'a [LedgerLeg]| legs.iter().map(|one| leg(one, &entry.currency, amounts)).collect();
    shapes::LedgerEntry {
        sequence: entry.sequence,
        id: (&entry.id).into(),
        stream: entry.stream.as_str().into(),
        run: entry.run,
        external_id: (&entry.external_id).into(),
        call: entry.call.as_str().into(),
        kind: (&entry.kind).into(),
        minor_units: entry.minor_units,
        amount: amount.amount,
        currency: (&entry.currency).into(),
        exponent: amount.exponent,
        net_revenue: entry.net_revenue,
        net_revenue_amount: amounts.amount(entry.net_revenue.into(), &entry.currency).amount,
        occurred_at: entry.occurred_at.into(),
        posted_at: entry.posted_at.into(),
        customer: entry.customer.as_deref().map(Into::into),
        description: (&entry.description).into(),
        metadata: Some(shapes::StoredJson::of(entry.metadata.as_bytes())),
        of: entry.of.as_deref().map(Into::into),
        legs: legs(&entry.legs),
        pending: legs(&entry.pending),
        reservation: entry.reservation.as_deref().map(Into::into),
        expires_at: entry.expires_at.map(Into::into),
        late: entry.late,
        paper: entry.paper,
        evidence: evidence(&entry.evidence),
        hash: HEXLOWER.encode(&entry.hash),
    }
}

/// Returns the shape of a grant.
pub fn grant<'a>(grant: &'a CreditGrant, currency: &str, amounts: &Amounts) -> shapes::CustomerGrant<'a> {
    let amount = |minor_units: i64| amounts.amount(minor_units.into(), currency);
    let kind = match grant.kind {
        GrantKind::Promotion => "promotion",
        GrantKind::Prepayment => "prepayment",
    };
    shapes::CustomerGrant {
        external_id: (&grant.id).into(),
        sequence: grant.sequence,
        kind: kind.into(),
        priority: grant.priority,
        starts_at: grant.starts_at.into(),
        expires_at: grant.expires_at.map(Into::into),
        granted: amount(grant.granted),
        left: amount(grant.left),
        held: amount(grant.held),
    }
}

fn leg<'a>(leg: &'a LedgerLeg, currency: &str, amounts: &Amounts) -> shapes::LedgerLeg<'a> {
    let amount = amounts.amount(leg.minor_units.into(), currency).amount;
    shapes::LedgerLeg { account: (&leg.account).into(), minor_units: leg.minor_units, amount }
}

fn evidence(evidence: &Evidence) -> shapes::EntryEvidence<'_> {
    let by_hand = evidence.by_hand.as_ref();
    shapes::EntryEvidence {
        asserted: evidence.is_asserted(),
        component: evidence.component.map(|component| component.to_string()),
        delivery: evidence.delivery.as_deref().map(Into::into),
        responses: evidence.responses.iter().map(|digest| HEXLOWER.encode(digest)).collect(),
        actor: by_hand.map(|hand| (&hand.actor).into()),
        reason: by_hand.map(|hand| (&hand.reason).into()),
    }
}

/// Returns the shape of a finding.
pub fn finding<'a>(finding: &'a Finding, amounts: &Amounts) -> shapes::Finding<'a> {
    let amount = finding.minor_units.zip(finding.currency.as_deref());
    let closure = finding.closure.as_ref();
    shapes::Finding {
        number: finding.number,
        kind: (&finding.kind).into(),
        stream: finding.stream.as_ref().map(|stream| stream.as_str().into()),
        subject: (&finding.subject).into(),
        currency: finding.currency.as_deref().map(Into::into),
        amount: amount.map(|(minor_units, currency)| amounts.amount(minor_units, currency)),
        sequence: finding.sequence,
        paper: finding.paper,
        opened_at: finding.opened_at.into(),
        closed_at: closure.map(|closure| closure.at.into()),
        actor: closure.map(|closure| (&closure.actor).into()),
        reason: closure.map(|closure| (&closure.reason).into()),
    }
}

/// Returns the shape of an account.
pub fn account<'a>(total: &'a AccountTotal, amounts: &Amounts) -> shapes::Account<'a> {
    let amount = amounts.amount(total.minor_units, &total.currency);
    shapes::Account {
        stream: total.stream.as_str().into(),
        account: (&total.account).into(),
        currency: (&total.currency).into(),
        minor_units: total.minor_units,
        amount: amount.amount,
        pending: total.pending,
        pending_amount: amounts.amount(total.pending, &total.currency).amount,
        exponent: amount.exponent,
    }
}

/// Returns the shape of net revenue without a group.
pub fn total(currency: &str, net_revenue: i128, entries: u64, amounts: &Amounts) -> shapes::RevenueTotal {
    let shapes::Amount { minor_units, amount, currency, exponent } = amounts.amount(net_revenue, currency);
    shapes::RevenueTotal { stream: None, kind: None, currency, net_revenue: minor_units, amount, exponent, entries }
}

impl FromRecord<&LedgerHead> for shapes::LedgerHead {
    fn of(head: &LedgerHead) -> Self {
        let posted_at = (head.sequence > 0).then(|| head.posted_at.into());
        Self { sequence: head.sequence, hash: HEXLOWER.encode(&head.hash), posted_at }
    }
}

impl<'a> FromRecord<&'a ClosedPeriod> for shapes::ClosedPeriod<'a> {
    fn of(period: &'a ClosedPeriod) -> Self {
        Self {
            period: (&period.name).into(),
            time_zone: (&period.time_zone).into(),
            start: period.start.into(),
            end: period.end.into(),
            closed_at: period.closed_at.into(),
            sequence: period.sequence,
        }
    }
}

impl<'a> FromRecord<&'a RateRecord> for shapes::ExchangeRate<'a> {
    fn of(rate: &'a RateRecord) -> Self {
        Self {
            day: (&rate.day).into(),
            from: (&rate.from).into(),
            to: (&rate.to).into(),
            rate: (&rate.rate).into(),
            source: (&rate.source).into(),
            set_at: Some(rate.set_at.into()),
        }
    }
}

impl<'a> FromRecord<&'a LedgerCheck> for shapes::LedgerCheck<'a> {
    fn of(check: &'a LedgerCheck) -> Self {
        Self {
            good: check.problems.is_empty(),
            entries: check.entries,
            totals: check.totals,
            problems: (&check.problems).into(),
            findings: check.findings.iter().map(shapes::FindingCount::of).collect(),
        }
    }
}

impl<'a> FromRecord<&'a FindingCount> for shapes::FindingCount<'a> {
    fn of(count: &'a FindingCount) -> Self {
        Self { kind: (&count.kind).into(), open: count.open, on_paper: count.on_paper }
    }
}
