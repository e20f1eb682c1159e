//! State that an operator edits while runs use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tidemill_control::RunRequest;
use tidemill_core::Code;
use tidemill_core::run::RunState;

use crate::fixture::{TestHost, name, value};

#[tokio::test]
async fn a_run_that_has_read_an_edited_value_is_retried() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let counted = Arc::new(AtomicUsize::new(0));
    let (host, counts) = (world.host.clone(), Arc::clone(&counted));
    world.act(move |mut guest| {
        let (host, counted) = (host.clone(), Arc::clone(&counts));
        async move {
            guest.count("n").await;
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                let edited = host.edit_state(&name("a"), "n".into(), Some(Bytes::from_static(b"40")), None).await;
                assert!(!edited.unwrap().existed);
            }
            Ok(guest.succeed("1"))
        }
    });
    let invoked = world.host.invoke(RunRequest::new(name("a"), "{}"), Duration::from_secs(60)).await.unwrap();
    assert_eq!(invoked.run.state, RunState::Succeeded, "{invoked:?}");
    assert_eq!(counted.load(Ordering::SeqCst), 2);
    assert_eq!(value(&world.store, "n").await.as_deref(), Some("41"));
}

#[tokio::test]
async fn edits_have_the_bounds_of_a_guests_write() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let edit = async |of: &str, key: String, value: Option<usize>| {
        let value = value.map(|length| Bytes::from(vec![1; length]));
        world.host.edit_state(&name(of), key, value, None).await.map_err(|error| error.code())
    };
    assert_eq!(edit("a", String::new(), Some(1)).await, Err(Code::LimitStateKey));
    assert_eq!(edit("a", "k".repeat(513), Some(1)).await, Err(Code::LimitStateKey));
    assert_eq!(edit("a", "k".into(), Some((1 << 20) + 1)).await, Err(Code::LimitStateValue));
    assert_eq!(edit("unknown", "k".into(), Some(1)).await, Err(Code::DeploymentNotFound));
    assert_eq!(edit("a", "k".into(), None).await, Err(Code::StateKeyNotFound));
    assert!(edit("a", "k".repeat(512), Some(1 << 20)).await.is_ok());
}
