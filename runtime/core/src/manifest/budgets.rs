//! Reads and writes the budgets of a manifest. [`BudgetSpec`] documents the fields.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::BUDGETS;
use super::ledger::{CODE_BYTES, MOST_PLACES, is_currency_code};
use super::schedules::{no_zone, time_zone};
use crate::budget::{BudgetPeriod, BudgetScope, BudgetSpec, BudgetUnit, OverBudget};
use crate::ids::BudgetName;
use crate::money::{Currencies, DECIMAL_BYTES, parse_decimal};
use crate::wire::json::shown;
use crate::wire::{InputProblem, ObjectField, ObjectReader};
use crate::zones::Zone;

const LIMIT_FIX: &str = "Write an amount of zero or more as decimal text, such as limit = \"100.00\".";
const UNIT_FIX: &str = "Write unit = \"fuel\", or the code of a currency, such as unit = \"EUR\".";

/// Takes the budgets of a manifest, which are under one of two names.
pub(super) fn read(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Vec<BudgetSpec> {
    // `[[budget]]` in TOML gives `budget`; in JSON `budgets` reads better. Both are accepted.
    let (one, many) = (object.take("budget"), object.take("budgets"));
    if let (Some(_), Some(field)) = (&one, &many) {
        let message = "both `budget` and `budgets` are given";
        problems.push(InputProblem::field(&field.pointer, message, "Join the two lists."));
    }
    let fields = many.or(one).and_then(|field| field.one_or_many(BUDGETS, problems)).unwrap_or_default();
    let (mut budgets, mut names) = (Vec::new(), BTreeSet::new());
    for field in fields {
        let pointer = format!("{}/name", field.pointer);
        if let Some(budget) = budget(field, problems) {
            if !names.insert(budget.name.clone()) {
                let message = format!("there are two budgets `{}`", budget.name);
                problems.push(InputProblem::field(pointer, message, "Give each budget a name of its own."));
            }
            budgets.push(budget);
        }
    }
    budgets
}

fn budget(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<BudgetSpec> {
    const PER_FIX: &str = "Write per = \"deployment\", or per = \"customer\".";
    const PERIOD_FIX: &str = "Write \"hour\", \"day\", \"week\" or \"month\".";
    let mut object = field.object(problems)?;
    let name_fix = "Name the budget: 1 to 63 lower-case letters, digits and hyphens.";
    let name: Option<BudgetName> = object.require("name", name_fix, problems).and_then(|field| field.parse(problems));
    let unit = object.require("unit", UNIT_FIX, problems).and_then(|field| unit(field, problems));
    let limit = object.require("limit", LIMIT_FIX, problems).and_then(|field| limit(field, unit.as_ref(), problems));
    let scope = object.require("per", PER_FIX, problems).and_then(|field| {
        if field.value == "instance" {
            let message = "the host has no instances of deployments yet";
            problems.push(InputProblem::field(field.pointer, message, PER_FIX));
            return None;
        }
        field.choice(BudgetScope::NAMES, problems)
    });
    let period =
        object.require("period", PERIOD_FIX, problems).and_then(|field| field.choice(BudgetPeriod::NAMES, problems));
    let zone = match object.take("time_zone") {
        Some(field) => time_zone(field, problems),
        None => Some(Zone::utc()),
    };
    let over = object.take("over").and_then(|field| {
        if unit.as_ref().is_some_and(|unit| *unit != BudgetUnit::Fuel) {
            let message = "only a budget of fuel has `over`: what exceeds one of money is refused";
            problems.push(InputProblem::field(field.pointer, message, "Remove it."));
            return None;
        }
        field.choice(OverBudget::NAMES, problems)
    });
    object.finish(problems);
    Some(BudgetSpec {
        name: name?,
        unit: unit?,
        limit: limit?,
        scope: scope?,
        period: period?,
        time_zone: zone?,
        over: over.unwrap_or_default(),
    })
}

fn unit(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<BudgetUnit> {
    let pointer = field.pointer.clone();
    let code = field.text(CODE_BYTES, problems)?;
    if code == "fuel" {
        return Some(BudgetUnit::Fuel);
    }
    if !is_currency_code(&code) {
        let message = format!("`{}` is no code of a currency", shown(&code));
        problems.push(InputProblem::field(pointer, message, UNIT_FIX));
        return None;
    }
    Some(BudgetUnit::Currency(code))
}

fn limit(field: ObjectField, unit: Option<&BudgetUnit>, problems: &mut Vec<InputProblem>) -> Option<String> {
    let pointer = field.pointer.clone();
    let text = field.text(DECIMAL_BYTES, problems)?;
    // What has more places than the host's unit is refused once the host knows the unit.
    let written = || text.rsplit_once('.').map_or(0, |(_, places)| places.len());
    let known = match unit {
        Some(BudgetUnit::Currency(code)) => Currencies::default().get(code).map(|currency| currency.exponent()),
        Some(BudgetUnit::Fuel) => Some(0),
        None => None,
    };
    let places = known.unwrap_or_else(|| u8::try_from(written()).unwrap_or(u8::MAX));
    let why = match parse_decimal(&text, places.min(MOST_PLACES)) {
        Ok(limit) if limit >= 0 => return Some(text),
        Ok(_) => "a limit is not below zero".to_owned(),
        Err(why) => why.to_string(),
    };
    problems.push(InputProblem::field(pointer, why, LIMIT_FIX));
    None
}

/// Returns the budgets whose limits a host with these currencies cannot use, with the reason.
pub(super) fn problems(budgets: &[BudgetSpec], currencies: &Currencies) -> Vec<InputProblem> {
    let problem = |(index, budget): (usize, &BudgetSpec)| {
        let why = budget.limit_in(currencies).err()?;
        Some(InputProblem::field(format!("/budgets/{index}/limit"), why, LIMIT_FIX))
    };
    budgets.iter().enumerate().filter_map(problem).collect()
}

/// Returns the budgets in zones whose rules this process does not have.
pub(super) fn unknown_zones(budgets: &[BudgetSpec]) -> Vec<InputProblem> {
    let unknown = budgets.iter().enumerate().filter(|(_, budget)| !budget.time_zone.is_known());
    unknown.map(|(index, budget)| no_zone(format!("/budgets/{index}/time_zone"), budget.time_zone.name())).collect()
}

/// Writes a budget in the form that `read` reads.
pub(super) fn write(budget: &BudgetSpec) -> Value {
    let BudgetSpec { name, unit, limit, scope, period, time_zone, over } = budget;
    let mut object = json!({
        "name": name.as_str(),
        "unit": unit.as_str(),
        "limit": limit,
        "per": scope.as_str(),
        "period": period.as_str(),
        "time_zone": time_zone.name(),
    });
    if let (Some(object), BudgetUnit::Fuel) = (object.as_object_mut(), unit) {
        object.insert("over".to_owned(), over.as_str().into());
    }
    object
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::*;
    use super::{BudgetPeriod, BudgetScope, BudgetUnit, Currencies, OverBudget};

    fn parse(budgets: &Value) -> Result<Manifest, Vec<InputProblem>> {
        Manifest::parse_json(json!({ "module": "hello@0.1.0", "budgets": budgets }).to_string().as_bytes())
    }

    fn budget(more: &Value) -> Value {
        let mut budget =
            json!({ "name": "cap", "unit": "EUR", "limit": "100.00", "per": "customer", "period": "month" });
        budget.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        budget
    }

    #[test]
    fn every_field_is_read_and_written() {
        let given = json!([
            budget(&json!({ "time_zone": "Europe/Berlin" })),
            budget(&json!({ "name": "calls", "unit": "CALLS", "limit": "5", "per": "deployment", "period": "hour" })),
            budget(&json!({ "name": "work", "unit": "fuel", "limit": "5000000", "over": "refuse" })),
        ]);
        let manifest = parse(&given).unwrap();
        let [cap, calls, work] = manifest.budgets.as_slice() else { panic!("{manifest:?}") };
        assert_eq!(
            (cap.scope, cap.period, cap.time_zone.name()),
            (BudgetScope::Customer, BudgetPeriod::Month, "Europe/Berlin")
        );
        assert_eq!((calls.unit.as_str(), calls.time_zone.name()), ("CALLS", "UTC"));
        assert_eq!((&work.unit, work.over), (&BudgetUnit::Fuel, OverBudget::Refuse));
        assert_eq!(work.limit_in(&Currencies::default()), Ok(5_000_000));
        let json = manifest.to_json();
        assert_eq!(json["budgets"][0], given[0]);
        assert_eq!(Manifest::parse_json(json.to_string().as_bytes()), Ok(manifest));
    }

    #[test]
    fn a_manifest_without_budgets_has_no_field() {
        assert_eq!(parse(&json!([])).unwrap().to_json().get("budgets"), None);
    }

    #[test]
    fn a_limit_is_read_in_the_units_of_the_host() {
        let manifest = parse(&json!([budget(&json!({})), budget(&json!({ "name": "b", "unit": "CALLS" }))])).unwrap();
        assert_eq!(manifest.budgets[0].limit_in(&Currencies::default()), Ok(10_000));
        let problems = manifest.unusable_budgets(&Currencies::default());
        assert_eq!(problems.iter().map(|problem| problem.pointer.as_str()).collect::<Vec<_>>(), ["/budgets/1/limit"]);
    }

    #[test]
    fn problems_name_their_fields() {
        for (bad, pointer) in [
            (budget(&json!({ "name": "Cap" })), "/budgets/0/name"),
            (budget(&json!({ "unit": "fuel", "limit": "100.5" })), "/budgets/0/limit"),
            (budget(&json!({ "over": "wait" })), "/budgets/0/over"),
            (budget(&json!({ "unit": "fuel", "limit": "5", "over": "park" })), "/budgets/0/over"),
            (budget(&json!({ "unit": "eur" })), "/budgets/0/unit"),
            (budget(&json!({ "limit": 5 })), "/budgets/0/limit"),
            (budget(&json!({ "limit": "-1" })), "/budgets/0/limit"),
            (budget(&json!({ "limit": "0.001" })), "/budgets/0/limit"),
            (budget(&json!({ "per": "instance" })), "/budgets/0/per"),
            (budget(&json!({ "per": "run" })), "/budgets/0/per"),
            (budget(&json!({ "period": "year" })), "/budgets/0/period"),
            (budget(&json!({ "time_zone": "Berlin!" })), "/budgets/0/time_zone"),
            (budget(&json!({ "limits": "5" })), "/budgets/0/limits"),
            (json!(5), "/budgets/0"),
        ] {
            let problems = parse(&json!([bad])).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{bad}");
            assert!(problems.iter().all(|problem| problem.fix.ends_with('.')), "{problems:#?}");
        }
        let twice = parse(&json!([budget(&json!({})), budget(&json!({}))])).unwrap_err();
        assert_eq!(twice[0].pointer, "/budgets/1/name");
        let many: Vec<_> = (0..=BUDGETS).map(|number| budget(&json!({ "name": format!("b{number}") }))).collect();
        assert_eq!(parse(&json!(many)).unwrap_err()[0].pointer, "/budgets");
    }

    #[test]
    fn a_zone_that_this_process_does_not_have_is_named() {
        let manifest = parse(&json!([budget(&json!({ "time_zone": "Mars/Olympus" }))])).unwrap();
        assert_eq!(manifest.unknown_zones()[0].pointer, "/budgets/0/time_zone");
        let file = "module = \"m@1.0.0\"\n[[budget]]\nname = \"a\"\nunit = \"EUR\"\nlimit = \"1\"\nper = \"customer\"\nperiod = \"day\"\ntime_zone = \"Mars/Olympus\"";
        assert_eq!(ModuleFile::parse_toml(file).unwrap_err()[0].pointer, "/budget/0/time_zone");
    }

    proptest! {
        #[test]
        fn a_budget_of_any_content_is_read_back_or_refused(
            name in "[a-z-]{0,9}", unit in "[A-Z]{3}|fuel|\\PC{0,9}", limit in "-?[0-9.]{0,9}|\\PC{0,9}",
            per in "customer|deployment|instance|[a-z]{3}", period in "hour|day|week|month|[a-z]{3}",
            zone in "UTC|Europe/Berlin|[A-Z/]{0,9}",
        ) {
            let given = json!([{ "name": name, "unit": unit, "limit": limit, "per": per, "period": period, "time_zone": zone }]);
            if let Ok(manifest) = parse(&given) {
                prop_assert_eq!(&manifest.to_json()["budgets"][0]["limit"], &given[0]["limit"]);
                prop_assert_eq!(Manifest::parse_json(manifest.to_json().to_string().as_bytes()), Ok(manifest));
            }
        }
    }
}
