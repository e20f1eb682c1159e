//! `docs/src/reference/api.md` matches the API.

use std::collections::BTreeSet;

use tidemill_artifacts::golden;

use crate::world::World;

const PAGE: &str = include_str!("../../../../docs/src/reference/api.md");

#[test]
fn the_page_has_every_route_and_no_other() {
    let written: BTreeSet<_> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .filter_map(|(route, _)| route.split_once(' '))
        .filter(|(_, path)| path.starts_with('/'))
        .map(|(method, path)| (path.to_owned(), method.to_ascii_lowercase()))
        .collect();
    let answered: BTreeSet<_> = tidemill_api::ROUTES
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(|method| ((*path).to_owned(), (*method).to_owned())))
        .collect();
    assert_eq!(written, answered);
}

#[test]
fn every_example_is_json_and_every_code_is_known() {
    for block in PAGE.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        serde_json::from_str::<serde_json::Value>(block).unwrap_or_else(|why| panic!("{why} in\n{block}"));
    }
    for code in PAGE.split("host/").skip(1).filter_map(|rest| rest.split(['`', '"']).next()) {
        assert!(tidemill_core::Code::parse(&["host", code].join("/")).is_some(), "{code}");
    }
}

#[tokio::test]
async fn the_openapi_document_is_the_golden_one() {
    let document = World::new().await.get("/openapi.json").await.is(200).json();
    let text = serde_json::to_string_pretty(&document).unwrap();
    golden::check(env!("CARGO_MANIFEST_DIR"), "openapi.json", &format!("{text}\n"));
}
