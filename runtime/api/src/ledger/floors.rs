//! Floors of customers' accounts.

use axum::extract::State;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::InputProblem;
use tidemill_core::money::{CUSTOMER_BYTES, Currencies, DECIMAL_BYTES, LedgerStream, parse_decimal};
use tidemill_core::wire::json::shown;
use tidemill_store::records::{CustomerAccount, CustomerFloor};

use super::balances::Floors;
use super::{Amounts, check_known};
use crate::problem::ApiResult;
use crate::request::{JsonBody, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Maximum length of the code of a currency, in bytes.
const CODE_BYTES: usize = 16;

/// Sets the floor of a customer's account, or removes it
///
/// `reserve` and `draw` leave at least the floor. Below zero it is a credit line. Without one of
/// its own, a customer has the floor of the deployment's manifest, which is zero by default.
#[utoipa::path(
    put, path = "/v1/ledger/floors", tag = "ledger",
    request_body(content = shapes::FloorRequest<'_>),
    responses(
        (status = 200, body = shapes::CustomerFloor<'_>, description = "the floor in force"),
        (status = 422, body = shapes::ProblemDetails, description = "a field is not valid"),
    )
)]
pub async fn put(State(state): State<ApiState>, query: RawQuery, body: JsonBody) -> ApiResult<Response> {
    query.only(&[])?;
    let (account, own) = read(body, state.host.currencies())?;
    check_known(&state, Some(&account.stream)).await?;
    let now = state.host.clock().now();
    let floor = own.map(|minor_units| CustomerFloor { minor_units, set_at: now });
    state.host.store().set_customer_floor(account.clone(), floor, now).await?;
    let amounts = Amounts::of(&state).await?;
    let mut floors = Floors::default();
    floors.read(&state, &account.stream).await?;
    let minor_units = floors.of_customer(&account, own, &amounts);
    Ok(ok(&shapes::CustomerFloor {
        stream: account.stream.as_str().into(),
        customer: (&account.customer).into(),
        floor: amounts.amount(minor_units.into(), &account.currency),
        own_floor: own.is_some(),
    }))
}

fn read(body: JsonBody, currencies: &Currencies) -> ApiResult<(CustomerAccount, Option<i64>)> {
    const CUSTOMER: &str = "Name the customer.";
    const CURRENCY: &str = "Write a currency that the host knows, such as \"EUR\".";
    const FLOOR: &str = "Write an amount such as \"-5.00\", or null to remove the floor.";
    body.fields(|fields, problems| {
        let stream = fields
            .require("stream", "Name the stream.", problems)
            .and_then(|field| field.parse::<LedgerStream>(problems));
        let customer =
            fields.require("customer", CUSTOMER, problems).and_then(|field| field.text(CUSTOMER_BYTES, problems));
        if customer.as_deref() == Some("") {
            let pointer = fields.pointer_to("customer");
            problems.push(InputProblem::field(pointer, "the customer is empty".to_owned(), CUSTOMER));
        }
        let currency =
            fields.require("currency", CURRENCY, problems).and_then(|field| field.text(CODE_BYTES, problems));
        let exponent = currency.as_deref().and_then(|code| Some(currencies.get(code)?.exponent()));
        if let (Some(currency), None) = (&currency, exponent) {
            let message = format!("the host has no currency `{}`", shown(currency));
            problems.push(InputProblem::field(fields.pointer_to("currency"), message, CURRENCY));
        }
        let floor = fields.require("floor", FLOOR, problems)?;
        let floor = if floor.value.is_null() {
            None
        } else {
            let pointer = floor.pointer.clone();
            let text = floor.text(DECIMAL_BYTES, problems)?;
            match parse_decimal(&text, exponent?) {
                Ok(minor_units) => Some(minor_units),
                Err(why) => {
                    problems.push(InputProblem::field(pointer, why.to_string(), FLOOR));
                    return None;
                }
            }
        };
        Some((CustomerAccount { stream: stream?, currency: currency?, customer: customer? }, floor))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn of(body: &Value) -> ApiResult<(CustomerAccount, Option<i64>)> {
        JsonBody::read(body.to_string().as_bytes()).and_then(|body| read(body, &Currencies::default()))
    }

    #[test]
    fn a_floor_is_an_amount_or_null() {
        let body = |currency: &str, floor: Value| json!({ "stream": "shop", "customer": "c", "currency": currency, "floor": floor });
        assert_eq!(of(&body("EUR", json!("-5.00"))).unwrap().1, Some(-500));
        assert_eq!(of(&body("EUR", json!(null))).unwrap().1, None);
        for (body, pointer) in [
            (body("EUR", json!(5)), "/floor"),
            (body("EUR", json!("0.001")), "/floor"),
            (body("XXY", json!("5")), "/currency"),
            (json!({ "stream": "shop", "customer": "", "currency": "EUR", "floor": null }), "/customer"),
            (json!({ "stream": "shop", "customer": "c", "currency": "EUR" }), "/floor"),
        ] {
            let problem = of(&body).unwrap_err();
            assert!(problem.body().errors.iter().any(|field| field.pointer == pointer), "{body}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn bodies_of_any_content_never_panic(text in "\\{(\"(stream|customer|currency|floor)\":(\"[a-zA-Z0-9 .-]{0,9}\"|[0-9]{1,3}|null),?){0,4}\\}?|\\PC{0,80}") {
            let _ = JsonBody::read(text.as_bytes()).and_then(|body| read(body, &Currencies::default()));
        }
    }
}
