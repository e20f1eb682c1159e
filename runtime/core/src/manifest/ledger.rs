//! Reads and writes the `[ledger]` table of a manifest. [`LedgerPolicy`] documents the fields.

use std::collections::BTreeMap;

#[cfg(feature = "host")]
use serde_json::{Map, Value};

use crate::money::{Account, Currencies, Currency, InvalidDecimal, parse_decimal};
#[cfg(feature = "host")]
use crate::wire::duration_text;
use crate::wire::json::shown;
use crate::wire::{InputProblem, ObjectField};

/// One day, in milliseconds.
const DAY: u64 = 24 * 3_600_000;
/// Least and greatest time after which a reservation may expire by itself, in milliseconds.
const EXPIRY_MILLIS: std::ops::RangeInclusive<u64> = 1_000..=3_660 * DAY;
/// Least and greatest time for which late usage is covered, in milliseconds.
const LATE_USAGE_MILLIS: std::ops::RangeInclusive<u64> = 0..=366 * DAY;
/// Least and greatest time for which evidence is kept, in milliseconds.
const KEEP_EVIDENCE_MILLIS: std::ops::RangeInclusive<u64> = DAY..=3_660 * DAY;
/// Time for which evidence is kept by default, in milliseconds.
const KEEP_EVIDENCE_DEFAULT_MILLIS: u64 = 400 * DAY;
/// Maximum number of currencies in which an account has a floor.
const FLOORS: usize = 200;
/// Maximum length of the code of a currency or unit, in bytes.
pub(super) const CODE_BYTES: usize = 16;
/// Number of decimal places with which an amount in a unit of the operator is read, until the host
/// knows the unit.
pub(super) const MOST_PLACES: u8 = 18;

/// How the ledger treats the entries of a deployment. The operator sets it; the module cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPolicy {
    /// Time after which a reservation without `expires_at` expires, in milliseconds: 1 s to ten
    /// years. `None` means never.
    pub reservations_expire_millis: Option<u64>,
    /// How long after its expiry a grant covers usage from before, in milliseconds: 0 to 366 days.
    pub late_usage_millis: u64,
    /// How long deliveries and recorded answers that an entry names as evidence are kept, in
    /// milliseconds: a day to ten years; by default 400 days. Their digests are kept for ever.
    pub keep_evidence_millis: u64,
    /// The floors of accounts.
    pub floors: LedgerFloors,
    /// Whether its entries are on paper: on accounts that no total, report or export includes
    /// unless it is asked for. It cannot change once the stream has entries.
    pub paper: bool,
}

impl Default for LedgerPolicy {
    fn default() -> Self {
        Self {
            reservations_expire_millis: None,
            late_usage_millis: 0,
            keep_evidence_millis: KEEP_EVIDENCE_DEFAULT_MILLIS,
            floors: LedgerFloors::default(),
            paper: false,
        }
    }
}

/// The least that `reserve` and `draw` leave in an account, as decimal text by the code of the
/// currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerFloors {
    /// Of each customer, unless the customer has their own floor. Zero if a currency is absent.
    pub customer: BTreeMap<String, String>,
    /// Of `receivable`. No floor if a currency is absent.
    pub receivable: BTreeMap<String, String>,
    /// Of `bank`. No floor if a currency is absent.
    pub bank: BTreeMap<String, String>,
}

impl LedgerFloors {
    /// The floor of an account of the stream in a currency, in minor units; `None` if it has none.
    ///
    /// # Errors
    /// The text is no amount of this currency.
    pub fn of_account(&self, account: Account, currency: &Currency) -> Result<Option<i64>, InvalidDecimal> {
        let floors = match account {
            Account::Receivable => &self.receivable,
            Account::Bank => &self.bank,
            _ => return Ok(None),
        };
        floors.get(currency.code()).map(|text| parse_decimal(text, currency.exponent())).transpose()
    }

    /// The floor of each customer in a currency, in minor units.
    ///
    /// # Errors
    /// The text is no amount of this currency.
    pub fn of_customer(&self, currency: &Currency) -> Result<i64, InvalidDecimal> {
        self.customer.get(currency.code()).map_or(Ok(0), |text| parse_decimal(text, currency.exponent()))
    }

    /// The floors that a host with these currencies cannot use, with the reason.
    #[must_use]
    pub fn problems(&self, currencies: &Currencies) -> Vec<InputProblem> {
        let tables = [("customer", &self.customer), ("receivable", &self.receivable), ("bank", &self.bank)];
        let floors = tables.into_iter().flat_map(|(account, floors)| floors.iter().map(move |floor| (account, floor)));
        let problem = |(account, (code, text)): (&str, (&String, &String))| {
            let why = match currencies.get(code) {
                None => format!("`{code}` is neither a currency of ISO 4217 nor a unit that the operator declared"),
                Some(currency) => parse_decimal(text, currency.exponent()).err()?.to_string(),
            };
            Some(InputProblem::field(format!("/ledger/floor/{account}/{code}"), why, FLOOR_FIX))
        };
        floors.filter_map(problem).collect()
    }
}

/// How a floor is written.
const FLOOR_FIX: &str = "Give an amount as decimal text by the code of its currency, such as `EUR = \"0.00\"`.";

pub(super) fn read(field: ObjectField, problems: &mut Vec<InputProblem>) -> LedgerPolicy {
    let mut policy = LedgerPolicy::default();
    let Some(mut object) = field.object(problems) else { return policy };
    policy.reservations_expire_millis =
        object.take("reservations_expire").and_then(|field| field.duration(EXPIRY_MILLIS, problems));
    let late_usage = object.take("late_usage").and_then(|field| field.duration(LATE_USAGE_MILLIS, problems));
    policy.late_usage_millis = late_usage.unwrap_or_default();
    let keep_evidence = object.take("keep_evidence").and_then(|field| field.duration(KEEP_EVIDENCE_MILLIS, problems));
    policy.keep_evidence_millis = keep_evidence.unwrap_or(KEEP_EVIDENCE_DEFAULT_MILLIS);
    if let Some(mut floors) = object.take("floor").and_then(|field| field.object(problems)) {
        let mut table = |name| floors.take(name).map(|field| read_floors(field, problems)).unwrap_or_default();
        policy.floors =
            LedgerFloors { customer: table("customer"), receivable: table("receivable"), bank: table("bank") };
        floors.finish(problems);
    }
    policy.paper = object.take("paper").and_then(|field| field.boolean(problems)).unwrap_or_default();
    object.finish(problems);
    policy
}

fn read_floors(field: ObjectField, problems: &mut Vec<InputProblem>) -> BTreeMap<String, String> {
    let pointer = field.pointer.clone();
    let Some(mut object) = field.object(problems) else { return BTreeMap::new() };
    let fields = object.take_all();
    if fields.len() > FLOORS {
        let message = format!("{} floors; an account has at most {FLOORS}", fields.len());
        problems.push(InputProblem::field(pointer, message, "Remove some."));
        return BTreeMap::new();
    }
    let known = Currencies::default();
    let mut floors = BTreeMap::new();
    for (code, field) in fields {
        let pointer = field.pointer.clone();
        let Some(text) = field.text(crate::money::DECIMAL_BYTES, problems) else { continue };
        if !is_currency_code(&code) {
            let message = format!("`{}` is no code of a currency", shown(&code));
            problems.push(InputProblem::field(pointer, message, FLOOR_FIX));
            continue;
        }
        let places = known.get(&code).map_or(MOST_PLACES, |currency| currency.exponent());
        match parse_decimal(&text, places) {
            Ok(_) => drop(floors.insert(code, text)),
            Err(why) => problems.push(InputProblem::field(pointer, why.to_string(), FLOOR_FIX)),
        }
    }
    floors
}

/// Whether a text can be the code of a currency or unit.
pub(super) fn is_currency_code(text: &str) -> bool {
    let is_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    !text.is_empty() && text.len() <= CODE_BYTES && text.bytes().all(is_code)
}

/// Writes the fields that `read` reads. Absent values have no field; a policy without any has no
/// table.
#[cfg(feature = "host")]
pub(super) fn write(policy: &LedgerPolicy) -> Option<Value> {
    let LedgerPolicy { reservations_expire_millis, late_usage_millis, keep_evidence_millis, floors, paper } = policy;
    let mut object = Map::new();
    if let Some(millis) = reservations_expire_millis {
        object.insert("reservations_expire".to_owned(), duration_text(*millis).into());
    }
    if *late_usage_millis > 0 {
        object.insert("late_usage".to_owned(), duration_text(*late_usage_millis).into());
    }
    if *keep_evidence_millis != KEEP_EVIDENCE_DEFAULT_MILLIS {
        object.insert("keep_evidence".to_owned(), duration_text(*keep_evidence_millis).into());
    }
    let LedgerFloors { customer, receivable, bank } = floors;
    let tables = [("customer", customer), ("receivable", receivable), ("bank", bank)];
    let tables = tables.into_iter().filter(|(_, floors)| !floors.is_empty());
    let floor: Map<String, Value> = tables.map(|(name, floors)| (name.to_owned(), serde_json::json!(floors))).collect();
    if !floor.is_empty() {
        object.insert("floor".to_owned(), Value::Object(floor));
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
    use super::{Account, Currencies};

    fn parse(ledger: &Value) -> Result<Manifest, Vec<InputProblem>> {
        Manifest::parse_json(json!({ "module": "hello@0.1.0", "ledger": ledger }).to_string().as_bytes())
    }

    #[test]
    fn every_field_is_read_and_written() {
        let floors = json!({ "customer": { "EUR": "-5.00", "TOKENS": "0.125" }, "receivable": { "JPY": "7" },
            "bank": { "EUR": "0" } });
        let manifest =
            parse(&json!({ "reservations_expire": "7d", "late_usage": "2d", "keep_evidence": "7d", "paper": true,
                "floor": floors }))
            .unwrap();
        assert_eq!(manifest.ledger.reservations_expire_millis, Some(604_800_000));
        assert!(manifest.ledger.paper);
        assert_eq!(manifest.ledger.late_usage_millis, 172_800_000);
        assert_eq!(manifest.ledger.keep_evidence_millis, 604_800_000);
        let json = manifest.to_json();
        let written = json!({ "reservations_expire": "7days", "late_usage": "2days", "keep_evidence": "7days",
            "paper": true, "floor": floors });
        assert_eq!(json["ledger"], written);
        assert_eq!(Manifest::parse_json(json.to_string().as_bytes()), Ok(manifest));
    }

    #[test]
    fn a_floor_is_read_in_the_units_of_the_host() {
        let floors =
            parse(&json!({ "floor": { "customer": { "EUR": "-5.00", "TOKENS": "0.125" }, "bank": { "EUR": "2" } } }));
        let floors = floors.unwrap().ledger.floors;
        let known = Currencies::default();
        let (euro, yen) = (known.get("EUR").unwrap(), known.get("JPY").unwrap());
        assert_eq!((floors.of_customer(&euro), floors.of_customer(&yen)), (Ok(-500), Ok(0)));
        assert_eq!(floors.of_account(Account::Bank, &euro), Ok(Some(200)));
        assert_eq!(floors.of_account(Account::Receivable, &euro), Ok(None));
        let problems = floors.problems(&known);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].pointer, "/ledger/floor/customer/TOKENS");
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
            (json!({ "late_usage": "400d" }), "/ledger/late_usage"),
            (json!({ "keep_evidence": "1h" }), "/ledger/keep_evidence"),
            (json!({ "floor": 0 }), "/ledger/floor"),
            (json!({ "floor": { "sales": { "EUR": "0" } } }), "/ledger/floor/sales"),
            (json!({ "floor": { "customer": { "EUR": 0 } } }), "/ledger/floor/customer/EUR"),
            (json!({ "floor": { "customer": { "EUR": "0.001" } } }), "/ledger/floor/customer/EUR"),
            (json!({ "floor": { "bank": { "JPY": "1e3" } } }), "/ledger/floor/bank/JPY"),
            (json!({ "floor": { "bank": { "eur": "1" } } }), "/ledger/floor/bank/eur"),
            (json!({ "paper": "yes" }), "/ledger/paper"),
            (json!(true), "/ledger"),
        ] {
            let problems = parse(&bad).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{bad}");
            assert!(problems.iter().all(|problem| problem.fix.ends_with('.')), "{problems:#?}");
        }
    }
}
