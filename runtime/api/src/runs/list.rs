//! Finding runs.

use axum::extract::State;
use axum::response::Response;
use tidemill_core::DeploymentName;
use tidemill_core::run::RunState;
use tidemill_store::records::RunFilter;

use super::json::RunJson;
use crate::list::{List, page_request};
use crate::problem::{Answer, nearest};
use crate::request::{Params, RawParams, bad};
use crate::state::ApiState;
use crate::wire::ok;

/// Lists runs, newest first
///
/// Input and output are left out.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs",
    params(
        ("deployment" = Option<String>, Query, description = "of this deployment"),
        ("state" = Option<Vec<String>>, Query, description = "in this state; may be repeated, or several with commas"),
        ("label" = Option<Vec<String>>, Query, description = "with this label, NAME=VALUE; may be repeated: with all of them"),
        ("since" = Option<String>, Query, description = "made at or after this time (RFC 3339)"),
        ("until" = Option<String>, Query, description = "made before this time"),
        ("limit" = Option<usize>, Query, description = "at most so many, 1 to 500; 50 where it is left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = List<RunJson<'_>>))
)]
pub async fn list(State(state): State<ApiState>, query: RawParams) -> Answer<Response> {
    let params = query.only(&["deployment", "state", "label", "since", "until", "limit", "cursor"])?;
    let filter = filter(&params)?;
    let scope = format!("runs {filter:?}");
    let page = state.host.store().runs(filter, page_request(&params, &scope)?).await?;
    Ok(ok(&List::of(&page, &scope, RunJson::brief)))
}

fn filter(params: &Params) -> Answer<RunFilter> {
    Ok(RunFilter {
        deployment: params.parsed::<DeploymentName>("deployment")?,
        states: states(params)?,
        labels: params.labels()?,
        since: params.time("since")?,
        until: params.time("until")?,
    })
}

fn states(params: &Params) -> Answer<Vec<String>> {
    let mut states = Vec::new();
    for text in params.all("state").flat_map(|text| text.split(',')) {
        let Some(name) = RunState::NAMES.into_iter().find(|name| *name == text) else {
            let problem = bad("state", text, "there is no such state");
            return Err(match nearest(text, &RunState::NAMES) {
                Some(near) => problem.fix(format!("Did you mean `{near}`?")),
                None => problem.fix(format!("Use one of {}.", RunState::NAMES.join(", "))),
            });
        };
        if !states.iter().any(|known| known == name) {
            states.push(name.to_owned());
        }
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &[&str] = &["deployment", "state", "label", "since", "until"];

    #[test]
    fn states_are_known_by_name() {
        let read = |text: &str| filter(&RawParams::read(text).unwrap().only(KNOWN).unwrap());
        assert_eq!(read("state=failed,parked&state=failed").unwrap().states, ["failed", "parked"]);
        assert_eq!(read("state=faild").unwrap_err().body().fix, "Did you mean `failed`?");
        assert!(read("deployment=A").is_err());
    }

    proptest! {
        #[test]
        fn no_filter_makes_a_panic(name in prop::sample::select(KNOWN), value in "\\PC{0,100}") {
            let query: String = form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish();
            let _ = filter(&RawParams::read(&query).unwrap().only(KNOWN).unwrap());
        }
    }
}
