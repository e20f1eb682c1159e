//! The JSON shape of a line of a budget.

use tidemill_api_types as shapes;
use tidemill_core::budget::{BudgetCounter, BudgetUnit};
use tidemill_core::money::{Currencies, write_decimal};
use tidemill_store::records::{Budget, BudgetLine};

/// Returns the shape of a line. `currencies` are the host's.
pub fn line<'a>(line: &'a BudgetLine, currencies: &Currencies) -> shapes::Budget<'a> {
    let BudgetLine { budget, customer, limit, own_limit, period, counter } = line;
    let Budget { deployment, name, unit, scope, period: length, time_zone, over, .. } = budget;
    let exponent = unit.exponent(currencies);
    let amount = |minor_units: i128| shapes::Amount {
        minor_units,
        amount: write_decimal(minor_units, exponent),
        currency: unit.as_str().to_owned(),
        exponent,
    };
    let counted = |what: fn(&BudgetCounter) -> i128| counter.as_ref().map(|counter| amount(what(counter)));
    shapes::Budget {
        deployment: deployment.as_str().into(),
        name: name.as_str().into(),
        unit: unit.as_str().into(),
        per: scope.as_str().into(),
        period: length.as_str().into(),
        time_zone: time_zone.into(),
        over: (*unit == BudgetUnit::Fuel).then(|| over.as_str().into()),
        customer: customer.as_ref().map(Into::into),
        limit: amount((*limit).into()),
        own_limit: *own_limit,
        starts_at: period.start.into(),
        ends_at: period.end.into(),
        used: counted(|counter| counter.used),
        held: counted(|counter| counter.held),
        left: counter.as_ref().map(|counter| amount(counter.left(*limit))),
    }
}
