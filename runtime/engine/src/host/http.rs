//! `tidemill:guest/http`: requests through the host's egress policy. A body holds 4 MiB, the bodies of a `fetch-all` 6 MiB in all; one
//! call takes 256 requests, 16 of them at once. A health check may send GET and HEAD.
//!
//! The work is done on the host's own threads, so that a guest that spins delays no answer.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tidemill_core::limits::{FETCH_ALL_BYTES, FETCH_ALL_REQUESTS, HTTP_BODY_BYTES};
use tidemill_core::run::Export;
use tidemill_core::{Code, Failure};
use tokio::task::JoinHandle;

use super::call::{Answer, Contract, Interface, Pending, answer};
use crate::bindings::wit::http::{Request, Response};
use crate::bindings::wit::types::Field;
use crate::cancel::Urgency;
use crate::egress::{Answered, Budget, Draft, Leave, Outgoing, Reach, Retry};
use crate::end::End;
use crate::guest::Guest;

/// Requests of one `fetch-all` that are under way at once.
const AT_ONCE: usize = 16;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut http = Interface::new(contract, "http")?;
    http.wait("fetch", fetch)?;
    http.wait("fetch-all", fetch_all)
}

fn fetch(guest: &mut Guest, (request,): (Request,)) -> Pending<'_, Answer<Response>> {
    Box::pin(async move {
        let request = match guest.may_fail().and_then(|()| check(guest, request)) {
            Ok(request) => request,
            Err(failure) => return answer(Err(failure)),
        };
        if !request.is_safe() {
            leaving(guest).await?;
        }
        // An answer may be as large as a request.
        let leave = leave(guest, &request, &Arc::new(Budget::new(HTTP_BODY_BYTES)));
        let sent = send(guest, request, leave);
        answer(until_cancelled(guest, sent).await.map(response))
    })
}

fn fetch_all(guest: &mut Guest, (requests,): (Vec<Request>,)) -> Pending<'_, Vec<Answer<Response>>> {
    Box::pin(async move {
        if requests.len() > FETCH_ALL_REQUESTS {
            let message =
                format!("`http.fetch-all` takes {FETCH_ALL_REQUESTS} requests; it was given {}", requests.len());
            return Err(End::new(Code::BadArgument, message).into());
        }
        let count = requests.len();
        let refused = |failure: Failure| (0..count).map(|_| Err(failure.clone().into())).collect();
        if let Err(failure) = guest.may_fail() {
            return Ok(refused(failure));
        }
        let requests: Vec<_> = requests.into_iter().map(|request| check(guest, request)).collect();
        let bodies: usize = requests.iter().flatten().map(|request| request.body.len()).sum();
        if bodies > FETCH_ALL_BYTES {
            let message =
                format!("the bodies of one `fetch-all` hold {bodies} bytes; at most {FETCH_ALL_BYTES} are sent");
            return Ok(refused(Code::LimitHttpBody.failure(message)));
        }
        if requests.iter().flatten().any(|request| !request.is_safe()) {
            leaving(guest).await?;
        }
        let budget = Arc::new(Budget::new(FETCH_ALL_BYTES));
        let sent: Vec<_> = requests
            .into_iter()
            .map(|request| {
                request.map(|request| {
                    let leave = leave(guest, &request, &budget);
                    (request, leave)
                })
            })
            .collect();
        let egress = Arc::clone(&guest.outside.egress);
        let all = guest.io.spawn(async move {
            let egress = &egress;
            stream::iter(sent)
                .map(|sent| async move {
                    match sent {
                        Ok((request, leave)) => egress.send(&request, &leave).await,
                        Err(failure) => Err(failure),
                    }
                })
                .buffered(AT_ONCE)
                .collect::<Vec<_>>()
                .await
        });
        match until_cancelled(guest, async move { Ok(joined(all).await) }).await {
            Ok(Ok(answers)) => {
                Ok(answers.into_iter().map(|answered| answered.map(response).map_err(Into::into)).collect())
            }
            Ok(Err(failure)) | Err(failure) => Ok(refused(failure)),
        }
    })
}

/// The request in form, and with its key.
fn check(guest: &mut Guest, request: Request) -> Result<Outgoing, Failure> {
    let draft = Draft {
        method: request.method,
        url: request.url,
        headers: request.headers.into_iter().map(|field| (field.name, field.value)).collect(),
        body: request.body,
        secrets: request.secrets,
        timeout: request.timeout,
        retry: request.retry.map(|policy| Retry {
            max_attempts: policy.max_attempts,
            initial_millis: policy.initial_delay,
            factor_permille: policy.factor_permille,
            max_millis: policy.max_delay,
            jitter_permille: policy.jitter_permille,
        }),
        redirects: request.redirects,
    };
    let mut request = draft.check()?;
    if !request.is_safe() {
        if guest.export == Export::Health {
            return Err(Code::NotInHealthCheck.failure("a health check may send GET and HEAD only"));
        }
        let key = idempotency_key(guest, &request);
        request.set_idempotency_key(&key);
    }
    Ok(request)
}

/// The same in every try, attempt and recovery; another for each of several equal requests.
fn idempotency_key(guest: &mut Guest, request: &Outgoing) -> String {
    let content = request.hash();
    let ordinal = guest.sent.entry(content).or_default();
    let mut hash = Sha256::new();
    hash.update(guest.run.id.to_bytes());
    hash.update(guest.run.generation.to_le_bytes());
    // The path of the open step, which without a journal is always the run itself.
    hash.update(0u64.to_le_bytes());
    hash.update(ordinal.to_le_bytes());
    hash.update(content);
    *ordinal += 1;
    let digest: [u8; 32] = hash.finalize().into();
    digest.iter().take(16).fold(String::from("tidemill-"), |mut key, byte| {
        use std::fmt::Write as _;
        let _ = write!(key, "{byte:02x}");
        key
    })
}

/// Before the first request that may do something leaves: the run is made durable. Once.
async fn leaving(guest: &mut Guest) -> wasmtime::Result<()> {
    if !guest.left {
        guest.sink.leaving().await.map_err(End::from)?;
        guest.left = true;
    }
    Ok(())
}

fn leave(guest: &Guest, request: &Outgoing, budget: &Arc<Budget>) -> Leave {
    Leave {
        reach: Reach {
            policy: Arc::clone(&guest.outside.policy),
            grants: Arc::clone(&guest.run.grants),
            secrets: Arc::clone(&guest.outside.secrets),
        },
        deployment: guest.run.deployment.to_string(),
        limits: guest.run.limits.clone(),
        usage: Arc::clone(&guest.usage),
        budget: Arc::clone(budget),
        salt: request.hash().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
    }
}

fn send(
    guest: &Guest,
    request: Outgoing,
    leave: Leave,
) -> impl Future<Output = Result<Answered, Failure>> + Send + use<> {
    let egress = Arc::clone(&guest.outside.egress);
    let sent = guest.io.spawn(async move { egress.send(&request, &leave).await });
    async move { joined(sent).await? }
}

/// Waits for work on the host's threads; gives it up when nobody waits any more.
async fn joined<T>(handle: JoinHandle<T>) -> Result<T, Failure> {
    struct GiveUp(tokio::task::AbortHandle);
    impl Drop for GiveUp {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let _give_up = GiveUp(handle.abort_handle());
    handle.await.map_err(|_| Code::Internal.failure("the host failed while it sent a request; its own log says how"))
}

/// Waits for an answer, or tells the cancellation that comes first.
async fn until_cancelled<T>(
    guest: &mut Guest,
    sent: impl Future<Output = Result<T, Failure>> + Send,
) -> Result<T, Failure> {
    if guest.was_told() {
        return sent.await;
    }
    let cancel = guest.cancel().clone();
    tokio::select! {
        biased;
        answered = sent => return answered,
        () = cancel.reached(Urgency::Asked) => {}
    }
    guest.may_fail()?;
    Err(Code::Cancelled.failure("the run is being cancelled"))
}

fn response(answered: Answered) -> Response {
    Response {
        status: answered.status,
        headers: answered.headers.into_iter().map(|(name, value)| Field { name, value }).collect(),
        body: answered.body,
        url: answered.url,
        elapsed: answered.elapsed,
    }
}
