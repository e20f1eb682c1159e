//! Exchange rates that the operator gives, for reports in one currency.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::money::report::{CalendarUnit, ExchangeRate, PeriodName};
use tidemill_core::wire::{InputProblem, ObjectReader};
use tidemill_store::records::RateRecord;

use super::Amounts;
use crate::list::{list_of, page_request};
use crate::problem::ApiResult;
use crate::request::{JsonBody, RawQuery};
use crate::state::ApiState;
use crate::wire::{FromRecord as _, ok};

/// Maximum number of rates in one request.
pub const RATES: usize = 500;
/// Maximum length of a source, in bytes.
pub const SOURCE_BYTES: usize = 255;
/// Maximum length of any other text of a rate, in bytes.
const TEXT_BYTES: usize = 32;

/// Lists exchange rates, the latest day of each currency first
#[utoipa::path(
    get, path = "/v1/rates", tag = "ledger",
    params(
        ("to" = Option<String>, Query, description = "into this currency"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page"),
    ),
    responses((status = 200, body = shapes::List<shapes::ExchangeRate<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["to", "limit", "cursor"])?;
    let to = params.text("to")?;
    let scope = format!("rates {to:?}");
    let page = state.host.store().rates(to, page_request(&params, &scope)?).await?;
    Ok(ok(&list_of(&page, &scope, shapes::ExchangeRate::of)))
}

/// Sets exchange rates
///
/// A report in one currency converts the sum of each day and currency with the rate of that day.
/// Rates post nothing. A rate of the same day and currencies is replaced.
#[utoipa::path(
    put, path = "/v1/rates", tag = "ledger",
    request_body(content = shapes::RateRequest<'_>),
    responses((status = 200, body = shapes::List<shapes::ExchangeRate<'_>>, description = "the rates as they are stored"))
)]
pub async fn put(State(state): State<ApiState>, query: RawQuery, body: JsonBody) -> ApiResult<Response> {
    query.only(&[])?;
    let mut rates = read(body, &Amounts::of(&state).await?)?;
    let now = state.host.clock().now();
    rates.iter_mut().for_each(|rate| rate.set_at = now);
    state.host.store().put_rates(rates.clone()).await?;
    Ok(ok(&shapes::List { items: rates.iter().map(shapes::ExchangeRate::of).collect(), next: None }))
}

fn read(body: JsonBody, amounts: &Amounts) -> ApiResult<Vec<RateRecord>> {
    body.fields(|fields, problems| {
        let items = fields.require("rates", "Write a list of rates.", problems)?.list(RATES, problems)?;
        let rates: Vec<_> = items.into_iter().map(|item| rate(item.object(problems)?, amounts, problems)).collect();
        rates.into_iter().collect()
    })
}

fn rate(mut fields: ObjectReader, amounts: &Amounts, problems: &mut Vec<InputProblem>) -> Option<RateRecord> {
    let mut text =
        |name: &'static str, fix: &str, problems: &mut Vec<InputProblem>, is_valid: &dyn Fn(&str) -> bool| {
            let text = fields.require(name, fix, problems)?.text(TEXT_BYTES, problems)?;
            if !is_valid(&text) {
                problems.push(InputProblem::field(fields.pointer_to(name), format!("`{name}` is not valid"), fix));
                return None;
            }
            Some(text)
        };
    let is_day = |text: &str| text.parse::<PeriodName>().is_ok_and(|period| period.unit() == CalendarUnit::Day);
    let is_currency = |text: &str| amounts.exponent(text).is_some();
    let day = text("day", "Write a day such as \"2026-10-05\".", problems, &is_day);
    let from = text("from", "Write a currency of the ledger or of ISO 4217.", problems, &is_currency);
    let to = text("to", "Write a currency of the ledger or of ISO 4217.", problems, &is_currency);
    let rate = text("rate", "Write a decimal number above 0 as text, such as \"0.9234\".", problems, &|text| {
        text.parse::<ExchangeRate>().is_ok()
    });
    let source = fields.take("source").map_or(Some(String::new()), |field| field.text(SOURCE_BYTES, problems));
    if from.is_some() && from == to {
        let fix = "Write two different currencies.";
        problems.push(InputProblem::field(fields.pointer_to("to"), "both currencies are the same".to_owned(), fix));
    }
    fields.finish(problems);
    Some(RateRecord { day: day?, from: from?, to: to?, rate: rate?, source: source?, set_at: <_>::default() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> ApiResult<Vec<RateRecord>> {
        JsonBody::read(text.as_bytes()).and_then(|body| read(body, &Amounts::default()))
    }

    #[test]
    fn a_rate_has_a_day_two_currencies_and_a_decimal() {
        let rate = |day: &str, from: &str, to: &str, rate: &str| {
            format!(r#"{{"rates": [{{"day": "{day}", "from": "{from}", "to": "{to}", "rate": "{rate}"}}]}}"#)
        };
        assert_eq!(of(&rate("2026-10-05", "USD", "EUR", "0.92")).unwrap()[0].rate, "0.92");
        for (body, pointer) in [
            (rate("2026-10-5", "USD", "EUR", "1"), "/rates/0/day"),
            (rate("2026-02-30", "USD", "EUR", "1"), "/rates/0/day"),
            (rate("2026-10-05", "usd", "EUR", "1"), "/rates/0/from"),
            (rate("2026-10-05", "USD", "XXX", "1"), "/rates/0/to"),
            (rate("2026-10-05", "USD", "USD", "1"), "/rates/0/to"),
            (rate("2026-10-05", "USD", "EUR", "1e3"), "/rates/0/rate"),
            (rate("2026-10-05", "USD", "EUR", "0"), "/rates/0/rate"),
            (
                r#"{"rates": [{"day": "2026-10-05", "from": "USD", "to": "EUR", "rate": 0.9}]}"#.to_owned(),
                "/rates/0/rate",
            ),
            ("{}".to_owned(), "/rates"),
        ] {
            let problem = of(&body).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{body}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{\"rates\":\\[(\\{(\"(day|from|to|rate|source)\":(\"[0-9A-Z.-]{0,12}\"|[0-9]{0,9}|null),?){0,5}\\},?){0,3}\\]\\}?|\\PC{0,80}") {
            let _ = of(&text);
        }
    }
}
