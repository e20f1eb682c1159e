//! Every path with its handler, in one table. The router is built from it, and a test compares it
//! with `/openapi.json`.

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::http::header::ALLOW;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing;
use tidemill_core::Code;
use utoipa::OpenApi;

use crate::middleware::{gate, harden};
use crate::problem::{Problem, quoted};
use crate::state::ApiState;
use crate::{
    alerts, budgets, components, deliveries, deployments, events, health, hooks, incidents, ledger, modules, openapi,
    operations, parked, runs, schedules, secrets, silences, streams, subscriptions, topics, web,
};

macro_rules! routes {
    ($($path:literal: $($method:ident $($handler:ident)::+),+;)*) => {
        /// Every path and method that the API serves.
        pub const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+]),)*];

        /// The description of every route, for the OpenAPI document.
        #[derive(OpenApi)]
        #[openapi(paths($($($($handler)::+),+),*))]
        pub struct RouteDescriptions;

        fn table() -> Router<ApiState> {
            Router::new()$(.route($path, routing::MethodRouter::new()$(.$method($($handler)::+))+))*
        }
    };
}

routes! {
    "/v1/modules": get modules::list::list;
    "/v1/modules/{name}": get modules::get::get;
    "/v1/modules/{name}/versions/{version}": put modules::upload::upload;
    "/v1/components/{digest}": get components::get::get, delete components::delete::delete;
    "/v1/components/{digest}/bytes": get components::bytes::bytes;
    "/v1/deployments": get deployments::list::list;
    "/v1/deployments/{name}":
        get deployments::get::get, put deployments::put::put, delete deployments::delete::delete;
    "/v1/deployments/{name}/revisions": get deployments::revisions::revisions;
    "/v1/deployments/{name}/state": get deployments::state::list;
    "/v1/deployments/{name}/state/{key}":
        get deployments::state::get, put deployments::state::put, delete deployments::state::delete;
    "/v1/deployments/{name}/rollback": post deployments::rollback::rollback;
    "/v1/deployments/{name}/hooks": get hooks::list::list;
    "/v1/deployments/{name}/pause": post deployments::pause::pause;
    "/v1/deployments/{name}/resume": post deployments::pause::resume;
    "/v1/deployments/{name}/breaker": get deployments::breaker::get, put deployments::breaker::put;
    "/v1/deployments/{name}/runs": post runs::start::start;
    "/v1/runs": get runs::list::list;
    "/v1/runs/actions": post runs::actions::actions;
    "/v1/runs/{id}": get runs::get::get;
    "/v1/runs/{id}/explain": get runs::explain::explain;
    "/v1/runs/{id}/input": get runs::data::input;
    "/v1/runs/{id}/output": get runs::data::output;
    "/v1/runs/{id}/logs": get runs::logs::logs;
    "/v1/runs/{id}/journal": get runs::journal::journal;
    "/v1/runs/{id}/stack": get runs::stack::stack;
    "/v1/runs/{id}/cancel": post runs::cancel::cancel;
    "/v1/runs/{id}/retry": post runs::retry::retry;
    "/v1/runs/{id}/signals/{name}": post runs::signal::to_run;
    "/v1/deployments/{name}/keys/{key}": get runs::get::by_key;
    "/v1/runs/{id}/inbox": get runs::inbox::list;
    "/v1/runs/{id}/inbox/{place}": delete runs::inbox::drop_one;
    "/v1/deployments/{name}/keys/{key}/signals/{signal}": post runs::signal::to_key;
    "/v1/parked": get parked::list::list;
    "/v1/operations": get operations::list::list;
    "/v1/operations/{id}": get operations::get::get;
    "/v1/operations/{id}/cancel": post operations::cancel::cancel;
    "/v1/schedules": get schedules::list::list;
    "/v1/schedules/actions": post schedules::actions::actions;
    "/v1/schedules/{deployment}/{name}": get schedules::get::get;
    "/v1/schedules/{deployment}/{name}/preview": get schedules::preview::preview;
    "/v1/schedules/{deployment}/{name}/pause": post schedules::pause::pause;
    "/v1/schedules/{deployment}/{name}/resume": post schedules::pause::resume;
    "/v1/schedules/{deployment}/{name}/resync": post schedules::pause::resync;
    "/v1/schedules/{deployment}/{name}/trigger": post schedules::trigger::trigger;
    "/v1/schedules/{deployment}/{name}/firings": get schedules::firings::firings;
    "/v1/schedules/{deployment}/{name}/backfill": post schedules::backfill::backfill;
    "/v1/topics": get topics::list::list;
    "/v1/topics/{topic}": get topics::get::get, delete topics::delete::delete;
    "/v1/topics/{topic}/events": get topics::events::events, post topics::publish::publish;
    "/v1/subscriptions": get subscriptions::list::list;
    "/v1/subscriptions/{deployment}/{name}": get subscriptions::get::get;
    "/v1/subscriptions/{deployment}/{name}/pause": post subscriptions::pause::pause;
    "/v1/subscriptions/{deployment}/{name}/resume": post subscriptions::pause::resume;
    "/v1/subscriptions/{deployment}/{name}/replay": post subscriptions::replay::replay;
    "/v1/subscriptions/{deployment}/{name}/skip": post subscriptions::skip::skip;
    "/v1/secrets": get secrets::list::list;
    "/v1/secrets/{name}": get secrets::get::get, put secrets::put::put, delete secrets::delete::delete;
    "/v1/master-key": get secrets::master_key::master_key;
    "/v1/deliveries": get deliveries::list::list;
    "/v1/deliveries/actions": post deliveries::actions::actions;
    "/v1/deliveries/{id}": get deliveries::get::get;
    "/v1/deliveries/{id}/body": get deliveries::get::body;
    "/v1/deliveries/{id}/replay": post deliveries::replay::replay;
    "/v1/streams": get streams::list::list;
    "/v1/ledger/entries": get ledger::entries::entries;
    "/v1/ledger/entries/{id}": get ledger::show::show;
    "/v1/ledger/entries/{id}/correct": post ledger::correct::correct;
    "/v1/ledger/accounts": get ledger::accounts::accounts;
    "/v1/ledger/balances": get ledger::balances::balances;
    "/v1/ledger/grants": post ledger::grant::grant;
    "/v1/ledger/floors": put ledger::floors::put;
    "/v1/ledger/reservations": get ledger::reservations::reservations;
    "/v1/ledger/head": get ledger::head::head;
    "/v1/ledger/findings": get ledger::findings::list;
    "/v1/ledger/findings/{number}/close": post ledger::findings::close;
    "/v1/ledger/statement": get ledger::report::statement::statement;
    "/v1/ledger/revenue": get ledger::report::revenue::revenue;
    "/v1/ledger/fuel": get ledger::report::fuel::fuel;
    "/v1/ledger/growth": get ledger::report::growth::growth;
    "/v1/ledger/customers": get ledger::report::customers::customers;
    "/v1/ledger/periods": get ledger::periods::list;
    "/v1/ledger/periods/{period}/close": post ledger::periods::close;
    "/v1/ledger/export": get ledger::export::export;
    "/v1/budgets": get budgets::list::list;
    "/v1/budgets/{deployment}/{name}": get budgets::get::get;
    "/v1/budgets/{deployment}/{name}/{customer}": get budgets::customer::get, put budgets::customer::put;
    "/v1/rates": get ledger::rates::list, put ledger::rates::put;
    "/v1/ledger/check": post ledger::check::check;
    "/v1/health": get health::show::health;
    "/v1/health/deployments": get health::deployments::list;
    "/v1/health/deployments/{name}": get health::deployments::get;
    "/v1/health/deployments/{name}/transitions": get health::deployments::transitions;
    "/v1/incidents": get incidents::list::list;
    "/v1/incidents/{number}": get incidents::get::get;
    "/v1/incidents/{number}/acknowledge": post incidents::act::acknowledge;
    "/v1/incidents/{number}/comment": post incidents::act::comment;
    "/v1/incidents/{number}/undo": post incidents::act::undo;
    "/v1/incidents/{number}/close": post incidents::act::close;
    "/v1/alerts": get alerts::list::list;
    "/v1/alerts/channels": get alerts::channels::list;
    "/v1/alerts/channels/{name}/test": post alerts::channels::test;
    "/v1/alerts/{id}": get alerts::get::get;
    "/v1/alerts/{id}/acknowledge": post alerts::acknowledge::acknowledge;
    "/v1/silences": get silences::list::list, post silences::create::create;
    "/v1/silences/{id}": delete silences::delete::delete;
    "/v1/events": get events::feed::events;
    "/healthz": get health::probes::healthz;
    "/readyz": get health::probes::readyz;
    "/metrics": get health::metrics::metrics;
    "/openapi.json": get openapi::document;
    "/hooks/{deployment}/{hook}": post hooks::receive::receive;
    "/": get web::status_page;
    "/errors/{page}": get web::error_page;
}

/// Builds the router of the whole API.
pub fn router(state: ApiState) -> Router {
    // A hook decides which methods it takes.
    let hooks = routing::MethodRouter::new().fallback(hooks::receive::any);
    table()
        .route("/hooks/{deployment}/{hook}", hooks)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(state.clone(), gate))
        .with_state(state)
}

/// Builds the router for connections beyond the maximum: the probes, and a refusal of everything
/// else.
pub fn probes(state: ApiState) -> Router {
    Router::new()
        .route("/healthz", routing::get(health::probes::healthz))
        .route("/readyz", routing::get(health::probes::readyz))
        .fallback(too_many_connections)
        .layer(middleware::map_response(async |mut response: Response| {
            harden(response.headers_mut());
            response
        }))
        .with_state(state)
}

async fn too_many_connections() -> Problem {
    Problem::new(Code::Overloaded, "the host, or this address, has the maximum number of connections")
        .fix("Close idle connections and share those that are open; wait for the time in `Retry-After`.")
}

async fn not_found(request: Request) -> Problem {
    Problem::new(Code::PathNotFound, format!("there is nothing at `{}`", quoted(request.uri().path())))
}

async fn method_not_allowed(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let allowed = allowed(path);
    let detail = format!("`{}` does not take {}", quoted(path), quoted(method.as_str()));
    let mut response =
        Problem::new(Code::MethodNotAllowed, detail).fix(format!("Use {}.", allowed.join(" or "))).into_response();
    if let Ok(allow) = allowed.join(", ").parse() {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// Returns the methods of the route that matches `path`.
fn allowed(path: &str) -> Vec<String> {
    let belongs = |route: &str| {
        route.split('/').count() == path.split('/').count()
            && route.split('/').zip(path.split('/')).all(|(part, given)| part.starts_with('{') || part == given)
    };
    let methods = ROUTES.iter().find(|(route, _)| belongs(route)).map_or(&[][..], |(_, methods)| methods);
    let mut allowed: Vec<_> = methods.iter().map(|method| method.to_ascii_uppercase()).collect();
    if allowed.iter().any(|method| method == Method::GET.as_str()) {
        allowed.push(Method::HEAD.to_string());
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_of_a_path_are_found() {
        assert_eq!(allowed("/v1/deployments/hello"), ["GET", "PUT", "DELETE", "HEAD"]);
        assert_eq!(allowed("/v1/deployments/hello/runs"), ["POST"]);
        assert_eq!(allowed("/v1/runs/actions"), ["POST"]);
        assert!(allowed("/v1/nothing").is_empty());
    }
}
