//! Reads and writes the `[ledger]` table of a manifest. [`LedgerPolicy`] documents the fields.

#[cfg(feature = "host")]
use serde_json::{Map, Value};

#[cfg(feature = "host")]
use crate::wire::duration_text;
use crate::wire::{InputProblem, ObjectField};

/// One day, in milliseconds.
const DAY: u64 = 24 * 3_600_000;
/// Least and greatest time after which a reservation may expire by itself, in milliseconds.
const EXPIRY_MILLIS: std::ops::RangeInclusive<u64> = 1_000..=3_660 * DAY;

/// How the ledger treats the entries of a deployment. The operator sets it; the module cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerPolicy {
    /// Time after which a reservation without `expires_at` expires, in milliseconds: 1 s to ten
    /// years. `None` means never.
    pub reservations_expire_millis: Option<u64>,
    /// Whether its entries are on paper: on accounts that no total, report or export includes
    /// unless it is asked for. It cannot change once the stream has entries.
    pub paper: bool,
}

pub(super) fn read(field: ObjectField, problems: &mut Vec<InputProblem>) -> LedgerPolicy {
    let mut policy = LedgerPolicy::default();
    let Some(mut object) = field.object(problems) else { return policy };
    policy.reservations_expire_millis =
        object.take("reservations_expire").and_then(|field| field.duration(EXPIRY_MILLIS, problems));
    policy.paper = object.take("paper").and_then(|field| field.boolean(problems)).unwrap_or_default();
    object.finish(problems);
    policy
}

/// Writes the fields that `read` reads. Absent values have no field; a policy without any has no
/// table.
#[cfg(feature = "host")]
pub(super) fn write(policy: &LedgerPolicy) -> Option<Value> {
    let LedgerPolicy { reservations_expire_millis, paper } = policy;
    let mut object = Map::new();
    if let Some(millis) = reservations_expire_millis {
        object.insert("reservations_expire".to_owned(), duration_text(*millis).into());
    }
    if *paper {
        object.insert("paper".to_owned(), true.into());
    }
    (!object.is_empty()).then_some(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::*;

    fn parse(ledger: &Value) -> Result<Manifest, Vec<InputProblem>> {
        Manifest::parse_json(json!({ "module": "hello@0.1.0", "ledger": ledger }).to_string().as_bytes())
    }

    #[test]
    fn every_field_is_read_and_written() {
        let manifest = parse(&json!({ "reservations_expire": "7d", "paper": true })).unwrap();
        let policy = LedgerPolicy { reservations_expire_millis: Some(604_800_000), paper: true };
        assert_eq!(manifest.ledger, policy);
        let json = manifest.to_json();
        assert_eq!(json["ledger"], json!({ "reservations_expire": "7days", "paper": true }));
        assert_eq!(Manifest::parse_json(json.to_string().as_bytes()), Ok(manifest));
    }

    #[test]
    fn a_manifest_without_the_table_has_none() {
        let manifest = parse(&json!({})).unwrap();
        assert_eq!(manifest.ledger, LedgerPolicy::default());
        assert_eq!(manifest.to_json().get("ledger"), None);
    }

    #[test]
    fn problems_name_their_fields() {
        for (bad, pointer) in [
            (json!({ "reservations_expire": "0s" }), "/ledger/reservations_expire"),
            (json!({ "reservations_expire": 7 }), "/ledger/reservations_expire"),
            (json!({ "reservation_expire": "7d" }), "/ledger/reservation_expire"),
            (json!({ "paper": "yes" }), "/ledger/paper"),
            (json!(true), "/ledger"),
        ] {
            let problems = parse(&bad).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{bad}");
            assert!(problems.iter().all(|problem| problem.fix.ends_with('.')), "{problems:#?}");
        }
    }
}
