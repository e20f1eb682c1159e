//! Golden bytes of the records of customers' accounts.

use std::collections::BTreeMap;

use tidemill_core::money::balance::{
    AccountSums, CreditGrant, CreditHold, CreditUse, GrantKind, GrantPart, PartSource,
};

use super::at;
use super::records::Rows;
use crate::embedded::ledger::credit::account::CreditAccountRecord;
use crate::embedded::ledger::credit::past::CheckpointRecord;
use crate::embedded::ledger::findings::due::DueChange;
use crate::embedded::ledger::findings::floors::FloorRecord;
use crate::embedded::tables::{
    CREDIT_ACCOUNTS, CREDIT_CHECKPOINTS, CREDIT_FLOORS, CREDIT_GRANTS, CREDIT_USES, LEDGER_FINDING_SUMS, LEDGER_FINDINGS,
};
use crate::records::CustomerFloor;

pub(super) fn credit(rows: &mut Rows) {
    let sums = AccountSums { debt: 50, held: 400 };
    rows.add(CREDIT_ACCOUNTS, "account", &CreditAccountRecord { number: 7, until_checkpoint: 9, sums });
    for (name, kind) in [("promotion", GrantKind::Promotion), ("prepayment", GrantKind::Prepayment)] {
        let grant = CreditGrant {
            id: "grant-1".to_owned(),
            kind,
            priority: 50,
            starts_at: at(1),
            expires_at: Some(at(2)),
            closes_at: Some(at(3)),
            sequence: 7,
            granted: 1_000,
            left: 600,
            held: 400,
        };
        rows.add(CREDIT_GRANTS, name, &grant);
    }
    let debt_of = GrantPart { source: PartSource::DebtOf("draw-1".to_owned()), minor_units: 1 };
    let used = CreditUse {
        id: "hold-1".to_owned(),
        sequence: 8,
        occurred_at: at(1),
        hold: Some(CreditHold { expires_at: Some(at(4)) }),
        parts: vec![GrantPart::of_grant("grant-1", 400), GrantPart::debt(50), debt_of],
    };
    rows.add(CREDIT_USES, "held", &used);
    let grants = BTreeMap::from([("grant-1".to_owned(), (600, 400))]);
    let checkpoint = CheckpointRecord { grants, holds: vec![used.clone()], sums };
    rows.add(CREDIT_CHECKPOINTS, "checkpoint", &checkpoint);
    rows.add(CREDIT_USES, "used", &CreditUse { hold: None, ..used });
    rows.add(LEDGER_FINDING_SUMS, "floor", &FloorRecord { floor: -500, paper: true, sequence: 8 });
    rows.add(LEDGER_FINDINGS, "due floor", &DueChange::Floor { account: b"shop\0EUR\0c-1".to_vec() });
    rows.add(CREDIT_FLOORS, "floor", &CustomerFloor { minor_units: -500, set_at: at(1) });
}
