//! `http`: a request that may change something is a commit point and has a key. Its response is
//! saved on arrival.

use super::types::{Failure as WitFailure, Field};
use super::{Bytes, current, shown};
use crate::Timestamp;
pub(crate) use crate::bindings::imports::tidemill::guest::http::{Request, Response};
use crate::testing::checks::stop_unless;
use crate::testing::failure::{cancelled, of_wit};
use crate::testing::limits;
use crate::testing::run::{Fake, hash};
use crate::testing::web::{Answer, SentRequest, is_effect};
use serde::{Deserialize, Serialize};
use tidemill_core::retry::RetryPolicy;
use tidemill_core::{Code, Failure};

/// Maximum delay between two tries, in milliseconds. A host waits in memory.
const WAIT_MILLIS: u64 = 10 * 60 * 1000;

/// A response as the journal records it.
#[derive(Serialize, Deserialize)]
struct RecordedResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    /// The length of the body.
    #[serde(skip)]
    len: usize,
}

pub(crate) fn fetch(request: &Request) -> Result<Response, WitFailure> {
    let fake = current();
    let key = key(&fake, request);
    let effect = is_effect(&request.method);
    let answered = fake.fallible("http.fetch", &text(request), || {
        limits::request(request)?;
        claim_in_step(&fake, effect)?;
        if effect {
            fake.commit();
        }
        send(&fake, request, key)
    });
    if effect {
        // A retry keeps what the provider did, and every response is saved at once.
        if matches!(&answered, Ok(RecordedResponse { status: 200..=299, .. })) {
            fake.keep();
        }
        fake.save();
    }
    response(request, answered)
}

pub(crate) fn fetch_all(requests: &[Request]) -> Vec<Result<Response, WitFailure>> {
    let fake = current();
    stop_unless(limits::requests(requests.len()));
    let keys: Vec<Option<String>> = requests.iter().map(|request| key(&fake, request)).collect();
    let effect = requests.iter().any(|request| is_effect(&request.method));
    let all = requests.iter().map(text).collect::<Vec<_>>().join("\n");
    let answers = fake.call("http.fetch-all", &all, || {
        let bodies = || limits::bodies(requests.iter().map(|request| request.body.len()).sum());
        let allowed = || bodies().and_then(|()| claim_in_step(&fake, effect));
        let refused = if fake.must_be_notified() { Err(cancelled()) } else { allowed() };
        if let Err(failed) = refused {
            return requests.iter().map(|_| Err(failed.clone())).collect::<Vec<Result<RecordedResponse, Failure>>>();
        }
        if effect {
            fake.commit();
        }
        let mut bytes = 0;
        let one = |(request, key)| {
            limits::request(request)?;
            let answered = send(&fake, request, key)?;
            bytes += answered.len;
            limits::bodies(bytes).map(|()| answered)
        };
        requests.iter().zip(keys).map(one).collect()
    });
    for failed in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        fake.hear(failed);
    }
    if effect {
        if answers.iter().any(|answer| matches!(answer, Ok(RecordedResponse { status: 200..=299, .. }))) {
            fake.keep();
        }
        fake.save();
    }
    requests.iter().zip(answers).map(|(request, answer)| response(request, answer)).collect()
}

fn claim_in_step(fake: &Fake, effect: bool) -> Result<(), Failure> {
    let claimed = fake.run.borrow().layers.iter().skip(1).any(|layer| layer.claimed);
    if effect && claimed {
        return Err(Code::ClaimInStep.failure(
            "a request that may change something follows a compare-and-set or a reservation in the same step: claim before the step",
        ));
    }
    Ok(())
}

/// Returns the key: the same in every try, attempt and replay. Replays count too.
fn key(fake: &Fake, request: &Request) -> Option<String> {
    if !is_effect(&request.method) || request.headers.iter().any(|field| is_key(&field.name)) {
        return None;
    }
    let text = text(request);
    let nth = fake.nth_sent(&text);
    let run = fake.run.borrow();
    let place = format!("{} {} {:?} {nth} {text}", fake.id, run.generation, run.replay.path());
    Some(format!("{:016x}{:016x}", hash(&place), hash(&format!("{place}."))))
}

fn is_key(name: &str) -> bool {
    name.eq_ignore_ascii_case("Idempotency-Key")
}

fn text(request: &Request) -> String {
    let mut text = format!("{} {}", request.method, request.url);
    for field in &request.headers {
        text.push_str(&format!("\n{}: {}", field.name, field.value));
    }
    if !request.body.is_empty() {
        text.push_str(&format!("\n\n{}", shown(&request.body)));
    }
    text
}

/// Sends the request with its own retries.
fn send(fake: &Fake, request: &Request, key: Option<String>) -> Result<RecordedResponse, Failure> {
    // A denied request is not retried.
    fake.may_send(&limits::origin(&request.url)?, &request.secrets)?;
    let retry = request.retry.map_or(Ok(RetryPolicy::NEVER), |retry| limits::retry(&retry))?;
    let mut attempt = 1;
    loop {
        fake.count_request(request.body.len())?;
        let answer = send_once(fake, request, key.as_deref());
        let now = tidemill_core::Timestamp::from_millis(fake.now());
        let asked_for = answer.retry_after(now).map_or(0, |at| at.millis_since(now));
        if answer.is_passing() && retry.has_another(attempt) && asked_for <= WAIT_MILLIS {
            attempt += 1;
            let delay = retry.delay_before(attempt, 0).min(WAIT_MILLIS).max(asked_for);
            fake.pass_to(fake.now().saturating_add(delay));
            continue;
        }
        return match answer.result {
            Ok((status, headers, body)) => {
                let len = body.len();
                fake.count_answer(len)?;
                Ok(RecordedResponse { status, headers, body: body.into(), len })
            }
            Err(error) => Err(of_wit(error.into_failure())),
        };
    }
}

#[allow(clippy::panic, reason = "a test without an answer cannot continue")]
fn send_once(fake: &Fake, request: &Request, key: Option<&str>) -> Answer {
    let (method, url) = (request.method.as_str(), request.url.as_str());
    let Some(route) = fake.setup.routes.iter().position(|route| route.takes(method, url)) else {
        panic!("no route answers {method} {url} in this test: add `Harness::http({method:?}, {url:?}, …)`");
    };
    let mut headers: Vec<(String, String)> =
        request.headers.iter().map(|Field { name, value }| (name.clone(), value.clone())).collect();
    headers.extend(key.map(|key| ("Idempotency-Key".to_owned(), key.to_owned())));
    let at = Timestamp::from_millis(fake.now());
    let mut sent =
        SentRequest { method: method.to_owned(), url: url.to_owned(), headers, body: request.body.clone(), at, nth: 0 };
    let memory = sent.key().filter(|_| sent.is_effect()).map(str::to_owned);
    let remembered = {
        let mut world = fake.world.borrow_mut();
        let remembered = memory.as_ref().and_then(|key| world.answered.get(key)).cloned();
        let asked = world.asked.entry(route).or_default();
        if remembered.is_none() {
            *asked += 1;
        }
        sent.nth = *asked;
        world.sent.push(sent.clone());
        remembered
    };
    if let Some(answer) = remembered {
        return answer;
    }
    let answer = (fake.setup.routes[route].answer)(&sent);
    // Providers that support keys remember executed and refused requests, but not that they were
    // busy.
    if let Some(key) = memory
        && (answer.is_success() || !answer.is_passing())
    {
        fake.world.borrow_mut().answered.insert(key, answer.clone());
    }
    answer
}

fn response(request: &Request, answered: Result<RecordedResponse, Failure>) -> Result<Response, WitFailure> {
    let RecordedResponse { status, headers, body, .. } = answered.map_err(WitFailure::from)?;
    Ok(Response {
        status,
        headers: headers.into_iter().map(|(name, value)| Field { name, value }).collect(),
        body: body.into(),
        url: request.url.clone(),
        elapsed: 1,
    })
}
