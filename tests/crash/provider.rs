//! The external provider: charges cards, sends mail, refunds, and counts its effects. It honours
//! `Idempotency-Key`: a key has at most one effect. For some orders it is busy, cuts the connection
//! or declines.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream;
use serde_json::{Value, json};

/// A provider that listens until it is dropped.
pub struct Provider {
    pub url: String,
    books: Arc<Mutex<Books>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Books {
    /// First request body of each key, and the number of its requests.
    keys: HashMap<String, (Bytes, u32)>,
    /// Number of keys with an effect, by kind and order.
    effects: BTreeMap<String, u32>,
    /// Requests that break the contract of the host.
    wrong: Vec<String>,
}

/// Reaction to the first request of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Day {
    Good,
    /// Does nothing, and answers 503.
    Busy,
    /// Takes effect, but cuts its answer.
    Cut,
    /// Refuses every request.
    Declined,
}

fn day(what: &str, order: u64) -> Day {
    match (what, order % 7) {
        ("charge", 1) | ("refund", 4) => Day::Busy,
        ("charge", 2) | ("mail", 3) | ("slip", 6) => Day::Cut,
        ("charge", 5) => Day::Declined,
        _ => Day::Good,
    }
}

impl Provider {
    pub async fn open() -> Self {
        let books = Arc::new(Mutex::new(Books::default()));
        let routes = Router::new().route("/{what}", post(ask)).with_state(Arc::clone(&books));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, books, serving }
    }

    /// Number of effects, by kind and order. Panics if a request broke the contract.
    pub fn effects(&self) -> BTreeMap<String, u32> {
        let books = self.books.lock().unwrap();
        assert!(books.wrong.is_empty(), "{:#?}", books.wrong);
        books.effects.clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn ask(
    State(books): State<Arc<Mutex<Books>>>,
    Path(what): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let order = serde_json::from_slice::<Value>(&body).unwrap()["order"].as_u64().unwrap();
    let day = day(&what, order);
    let Some(key) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()) else {
        books.lock().unwrap().wrong.push(format!("{what} {order} came without a key"));
        return StatusCode::BAD_REQUEST.into_response();
    };
    let times = {
        let mut books = books.lock().unwrap();
        let (first, times) = books.keys.entry(key.to_owned()).or_insert_with(|| (body.clone(), 0));
        *times += 1;
        let (times, same) = (*times, *first == body);
        if !same {
            books.wrong.push(format!("{what} {order}: the key {key} came with another body"));
        }
        // A key takes effect once: at its first request, or at the second if the first met 503.
        if day != Day::Declined && times == if day == Day::Busy { 2 } else { 1 } {
            *books.effects.entry(format!("{what} {order}")).or_default() += 1;
        }
        times
    };
    match day {
        Day::Declined => StatusCode::PAYMENT_REQUIRED.into_response(),
        Day::Busy if times == 1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Day::Cut if times == 1 => {
            let cut = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))]);
            Response::new(Body::from_stream(cut))
        }
        _ => axum::Json(json!({ "receipt": format!("{what}-{order}") })).into_response(),
    }
}
