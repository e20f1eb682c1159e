//! `tidemill:guest/http`: requests through the host's egress policy. A body holds 4 MiB, the bodies
//! of a `fetch-all` 6 MiB in total. One call takes 256 requests, 16 of them concurrently. A health
//! check may send GET and HEAD.
//!
//! The work is done on the host's own threads, so that a spinning guest delays no answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidemill_core::breaker::CallPurpose;
use tidemill_core::journal::{Hash, Kind, SHOWN_BYTES};
use tidemill_core::limits::{FETCH_ALL_BYTES, FETCH_ALL_REQUESTS, HTTP_BODY_BYTES};
use tidemill_core::retry_after::{after_answer, refused_until};
use tidemill_core::run::Export;
use tidemill_core::{Code, Failure, failpoint};
use tidemill_store::records::LogLevel;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::abi::{Contract, HostFuture, HostResult, Interface, answer};
use crate::activation::result::NextAttempt;
use crate::component::bindings::wit::http::{Request, Response};
use crate::component::bindings::wit::types::Field;
use crate::egress::{
    Authorization, BodyBudget, HttpResponse, HttpRetry, OutgoingRequest, RequestContext, RequestDraft,
};
use crate::guest::GuestState;
use crate::guest::cancel::Urgency;
use crate::guest::trap::GuestStop;
use crate::replay::cancelled;
use crate::replay::state::{SentRequest, hash};

/// Maximum number of concurrent requests of one `fetch-all`.
const AT_ONCE: usize = 16;
/// Time to wait for an answer before earlier entries are saved.
const SAVE_AFTER: Duration = Duration::from_millis(100);

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut http = Interface::new(contract, "http")?;
    http.wait("fetch", fetch)?;
    http.wait("fetch-all", fetch_all)
}

fn fetch(guest: &mut GuestState, (request,): (Request,)) -> HostFuture<'_, HostResult<Response>> {
    Box::pin(async move {
        let request = match guest.check_cancelled().and_then(|()| check(guest, request)) {
            Ok(request) => request,
            Err(failure) => return answer(Err(failure)),
        };
        let request_hash = short(&request.content);
        if let Some(response) = guest.replay::<Result<RecordedResponse, Failure>>(Kind::Fetch, request_hash)? {
            note_next_attempt(guest, [&response]);
            return answer(response.map(RecordedResponse::into_response));
        }
        let (shown, acts) = (shown(&request.request), !request.request.is_safe());
        if acts {
            if let Err(failure) = no_claim(guest) {
                guest.record::<Result<RecordedResponse, Failure>>(
                    Kind::Fetch,
                    request_hash,
                    &Err(failure.clone()),
                    Some(&shown),
                )?;
                return answer(Err(failure));
            }
            note_place(guest, &request);
            guest.commit_before_request().await?;
            failpoint::hit("http/leave");
        }
        // An answer may be as large as a request.
        let context = request_context(guest, &request, &Arc::new(BodyBudget::new(HTTP_BODY_BYTES)));
        let carries_secret = pay_search(guest, &request.request);
        let sent = send(guest, request.request, context);
        let Some(response) = until_cancelled(guest, acts, sent).await? else { return answer(Err(cancelled())) };
        failpoint::hit("http/answered");
        let response = response.map(RecordedResponse::from);
        if carries_secret {
            guest.fuel.owed.work(searched_bytes(&response));
        }
        note_next_attempt(guest, [&response]);
        guest.record(Kind::Fetch, request_hash, &response, Some(&shown))?;
        note_evidence(guest, &response);
        failpoint::hit("http/recorded");
        if acts {
            arrived(guest, is_good(&response)).await?;
        }
        answer(response.map(RecordedResponse::into_response))
    })
}

fn fetch_all(guest: &mut GuestState, (requests,): (Vec<Request>,)) -> HostFuture<'_, Vec<HostResult<Response>>> {
    Box::pin(async move {
        if requests.len() > FETCH_ALL_REQUESTS {
            let message = format!(
                "`http.fetch-all` takes at most {FETCH_ALL_REQUESTS} requests; this call has {}",
                requests.len()
            );
            return Err(GuestStop::new(Code::BadArgument, message).into());
        }
        let count = requests.len();
        let refused = |failure: Failure| (0..count).map(|_| Err(failure.clone().into())).collect();
        if let Err(failure) = guest.check_cancelled() {
            return Ok(refused(failure));
        }
        let requests: Vec<_> = requests.into_iter().map(|request| check(guest, request)).collect();
        let bodies: usize = requests.iter().flatten().map(|checked| checked.request.body.len()).sum();
        if bodies > FETCH_ALL_BYTES {
            let message = format!(
                "the bodies of this `fetch-all` have {bodies} bytes in total; the maximum is {FETCH_ALL_BYTES}"
            );
            return Ok(refused(Code::LimitHttpBody.failure(message)));
        }
        let parts: Vec<&[u8]> =
            requests.iter().map(|checked| checked.as_ref().map_or(&[][..], |it| &it.content)).collect();
        let request_hash = hash(&parts);
        let acts = requests.iter().flatten().any(|checked| !checked.request.is_safe());
        let mut slots: Vec<Option<Result<RecordedResponse, Failure>>> = (0..count).map(|_| None).collect();
        match guest.replay::<Result<(), Failure>>(Kind::FetchAll, request_hash)? {
            Some(Err(failure)) => return Ok(refused(failure)),
            Some(Ok(())) => {
                while let Some((index, response)) = guest.replay_if::<(usize, _)>(Kind::FetchSlot, request_hash)? {
                    if let Some(slot) = slots.get_mut(index) {
                        *slot = Some(response);
                    }
                }
                if slots.iter().any(Option::is_none) {
                    if let Err(failure) = guest.check_cancelled() {
                        return Ok(refused(failure));
                    }
                    // The last recorded slot is the end of the journal; any other entry belongs to
                    // another call.
                    guest.replay::<()>(Kind::FetchSlot, request_hash)?;
                }
            }
            None => {
                let allowed = if acts { no_claim(guest) } else { Ok(()) };
                guest.record(Kind::FetchAll, request_hash, &allowed, Some(&shown_all(&requests)))?;
                if let Err(failure) = allowed {
                    return Ok(refused(failure));
                }
                requests.iter().flatten().for_each(|request| note_place(guest, request));
            }
        }
        if slots.iter().any(Option::is_none)
            && let Err(failure) = fetch_slots(guest, request_hash, requests, &mut slots).await?
        {
            return Ok(refused(failure));
        }
        note_next_attempt(guest, slots.iter().flatten());
        let missing = || Err(Code::Internal.failure("the request was not sent"));
        Ok(slots
            .into_iter()
            .map(|slot| slot.unwrap_or_else(missing).map(RecordedResponse::into_response).map_err(Into::into))
            .collect())
    })
}

/// Sends the requests of a `fetch-all` that have no answer yet.
///
/// Answers that a retry keeps are recorded as they arrive, and the others after them, so that kept
/// entries are contiguous.
async fn fetch_slots(
    guest: &mut GuestState,
    request_hash: Hash,
    requests: Vec<Result<CheckedRequest, Failure>>,
    slots: &mut [Option<Result<RecordedResponse, Failure>>],
) -> wasmtime::Result<Result<(), Failure>> {
    let budget = Arc::new(BodyBudget::new(FETCH_ALL_BYTES));
    let mut open: Vec<usize> =
        (0..slots.len()).filter(|index| slots.get(*index).is_some_and(Option::is_none)).collect();
    let mut acts = vec![false; requests.len()];
    let (mut sent, mut searched) = (Vec::new(), Vec::new());
    for (index, request) in requests.into_iter().enumerate() {
        match request {
            _ if !open.contains(&index) => {}
            Ok(request) => {
                if let Some(acts) = acts.get_mut(index) {
                    *acts = !request.request.is_safe();
                }
                let context = request_context(guest, &request, &budget);
                if pay_search(guest, &request.request) {
                    searched.push(index);
                }
                sent.push((index, request.request, context));
            }
            Err(failure) => {
                if let Some(slot) = slots.get_mut(index) {
                    *slot = Some(Err(failure));
                }
            }
        }
    }
    let mut under_way = sent.len();
    if acts.contains(&true) {
        guest.commit_before_request().await?;
        failpoint::hit("http/leave-all");
    }
    let egress = Arc::clone(&guest.services.egress);
    let (sender, mut receiver) = mpsc::channel(AT_ONCE);
    let all = guest.io.spawn(async move {
        let (egress, sender) = (&egress, &sender);
        let sending = stream::iter(sent).map(|(index, request, context)| async move {
            let answered = egress.send(request, &context).await;
            // If the receiver is closed, the guest was stopped.
            let _ = sender.send((index, answered)).await;
        });
        sending.buffer_unordered(AT_ONCE).collect::<()>().await;
    });
    let _give_up = AbortOnDrop(all.abort_handle());
    while under_way > 0 {
        let next = async { receiver.recv().await.ok_or_else(lost) };
        let (index, answered) = match until_cancelled(guest, acts.contains(&true), next).await? {
            None => return Ok(Err(cancelled())),
            Some(Err(failure)) => return Ok(Err(failure)),
            Some(Ok(next)) => next,
        };
        under_way -= 1;
        failpoint::hit("http/slot-answered");
        let answered = answered.map(RecordedResponse::from);
        if searched.contains(&index) {
            guest.fuel.owed.work(searched_bytes(&answered));
        }
        if acts.get(index) == Some(&true) && is_good(&answered) {
            guest.record(Kind::FetchSlot, request_hash, &(index, &answered), None)?;
            note_evidence(guest, &answered);
            failpoint::hit("http/slot-recorded");
            arrived(guest, true).await?;
            failpoint::hit("http/slot-saved");
            open.retain(|open| *open != index);
        }
        if let Some(slot) = slots.get_mut(index) {
            *slot = Some(answered);
        }
    }
    for index in &open {
        if let Some(Some(answered)) = slots.get(*index) {
            guest.record(Kind::FetchSlot, request_hash, &(*index, answered), None)?;
            note_evidence(guest, answered);
        }
    }
    if open.iter().any(|index| acts.get(*index) == Some(&true)) {
        arrived(guest, false).await?;
    }
    Ok(Ok(()))
}

/// A validated request.
struct CheckedRequest {
    request: OutgoingRequest,
    /// Hash of the request without its idempotency key.
    content: [u8; 32],
}

/// An answer, as it is recorded.
#[derive(Serialize, Deserialize)]
struct RecordedResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    url: String,
    elapsed: u64,
}

impl From<HttpResponse> for RecordedResponse {
    fn from(answered: HttpResponse) -> Self {
        let HttpResponse { status, headers, body, url, elapsed } = answered;
        Self { status, headers, body: body.into(), url, elapsed }
    }
}

impl RecordedResponse {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn into_response(self) -> Response {
        Response {
            status: self.status,
            headers: self.headers.into_iter().map(|(name, value)| Field { name, value }).collect(),
            body: self.body.into(),
            url: self.url,
            elapsed: self.elapsed,
        }
    }
}

fn is_good(response: &Result<RecordedResponse, Failure>) -> bool {
    response.as_ref().is_ok_and(|response| (200..300).contains(&response.status))
}

/// An unsafe request was answered: persist the answer now, so that no resume (and, if it was 2xx,
/// no retry) sends it again.
async fn arrived(guest: &mut GuestState, good: bool) -> wasmtime::Result<()> {
    if good {
        guest.keep();
    }
    guest.begin_here();
    guest.save().await
}

/// Refuses an unsafe request after a claim in the same step: others would see the claim only after
/// the request. The claim must be made before the step.
fn no_claim(guest: &GuestState) -> Result<(), Failure> {
    if guest.transaction.has_claim_in_step() {
        return Err(Code::ClaimInStep.failure(
            "a request that is neither GET nor HEAD follows a `compare-and-set`, a reservation or a draw in the same step: claim before the step",
        ));
    }
    Ok(())
}

/// Notes what the step sends and where. Warns if another attempt sends something else to the same
/// URL: the provider sees two requests.
fn note_place(guest: &mut GuestState, checked: &CheckedRequest) {
    let request = &checked.request;
    if request.is_safe() || guest.history.depth() == 0 {
        return;
    }
    let sent = SentRequest {
        place: hash(&[request.method.as_str().as_bytes(), request.url.as_bytes()]),
        content: checked.content,
    };
    let frame = guest.history.frame();
    frame.places.push(sent);
    let nth = frame.places.iter().filter(|other| other.place == sent.place).count();
    let before = frame.places_before.iter().filter(|other| other.place == sent.place).nth(nth.saturating_sub(1));
    if before.is_some_and(|before| before.content != sent.content) {
        let message = format!(
            "this attempt of the step sends a different {} to {} than the previous attempt, with a different Idempotency-Key",
            request.method, request.url
        );
        guest.log.write(LogLevel::Warn, message, Vec::new());
    }
}

/// Returns the request in readable form, with its placeholders.
fn shown(request: &OutgoingRequest) -> Vec<u8> {
    let mut shown = format!("{} {}", request.method, request.url).into_bytes();
    if !request.body.is_empty() {
        shown.push(b'\n');
        shown.extend(request.body.iter().take(SHOWN_BYTES));
    }
    shown
}

fn shown_all(requests: &[Result<CheckedRequest, Failure>]) -> Vec<u8> {
    let lines: Vec<_> = requests
        .iter()
        .flatten()
        .map(|checked| format!("{} {}", checked.request.method, checked.request.url))
        .collect();
    lines.join("\n").into_bytes()
}

fn short(content: &[u8; 32]) -> Hash {
    content.first_chunk().copied().unwrap_or_default()
}

/// Validates the request and sets its idempotency key.
fn check(guest: &mut GuestState, request: Request) -> Result<CheckedRequest, Failure> {
    let draft = RequestDraft {
        method: request.method,
        url: request.url,
        headers: request.headers.into_iter().map(|field| (field.name, field.value)).collect(),
        body: request.body,
        secrets: request.secrets,
        timeout: request.timeout,
        retry: request.retry.map(|policy| HttpRetry {
            max_attempts: policy.max_attempts,
            initial_millis: policy.initial_delay,
            factor_permille: policy.factor_permille,
            max_millis: policy.max_delay,
            jitter_permille: policy.jitter_permille,
        }),
        redirects: request.redirects,
    };
    let mut request = draft.check()?;
    let content = request.hash();
    if !request.is_safe() {
        if guest.export == Export::Health {
            return Err(Code::NotInHealthCheck.failure("a health check may send GET and HEAD only"));
        }
        let key = idempotency_key(guest, content);
        request.set_idempotency_key(&key);
    }
    Ok(CheckedRequest { request, content })
}

/// Returns a key that is the same in every try, attempt and recovery, and differs between several
/// equal requests of a step.
fn idempotency_key(guest: &mut GuestState, content: [u8; 32]) -> String {
    let (run, generation) = (guest.run.id.to_bytes(), guest.run.generation.to_le_bytes());
    let frame = guest.history.frame();
    let ordinal = frame.sent.entry(content).or_default();
    let mut hash = Sha256::new();
    for part in [&run[..], &generation, &frame.path, &ordinal.to_le_bytes(), &content] {
        hash.update(part);
    }
    *ordinal += 1;
    let digest: [u8; 32] = hash.finalize().into();
    format!("tidemill-{}", HEXLOWER.encode(&digest[..16]))
}

fn request_context(guest: &GuestState, request: &CheckedRequest, budget: &Arc<BodyBudget>) -> RequestContext {
    RequestContext {
        authorization: Authorization {
            deployment: guest.run.deployment.to_string(),
            policy: Arc::clone(&guest.services.policy),
            operator: guest.services.operator.now(),
            grants: guest.grants(),
            secrets: Arc::clone(&guest.services.secrets),
        },
        limits: guest.run.limits.clone(),
        usage: Arc::clone(&guest.usage),
        budget: Arc::clone(budget),
        salt: request.content.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
        purpose: if guest.is_compensating() { CallPurpose::Compensation } else { CallPurpose::Ordinary },
        cancel: guest.history.notice.is_none().then(|| guest.cancel().clone()),
    }
}

/// Charges for the search of a request for placeholders. Returns whether the request carries a
/// secret.
fn pay_search(guest: &GuestState, request: &OutgoingRequest) -> bool {
    let carries_secret = !request.secrets.is_empty();
    if carries_secret {
        let headers: usize = request.headers.iter().map(|(_, value)| value.len()).sum();
        guest.fuel.owed.work(request.url.len() + headers + request.body.len());
    }
    carries_secret
}

/// Notes an answer for the evidence of later entries, if the deployment may use the ledger.
fn note_evidence(guest: &mut GuestState, response: &Result<RecordedResponse, Failure>) {
    if let Ok(response) = response
        && guest.grants().ledger
    {
        guest.transaction.note_answer(Sha256::digest(&response.body).into());
    }
}

/// Returns the number of bytes of an answer that were searched for the secrets of its request.
fn searched_bytes(response: &Result<RecordedResponse, Failure>) -> usize {
    response.as_ref().map_or(0, |response| {
        response.body.len() + response.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    })
}

/// Notes the hints of the last responses for the next attempt, for the retry of the step or
/// run that made it.
fn note_next_attempt<'a>(guest: &mut GuestState, all: impl IntoIterator<Item = &'a Result<RecordedResponse, Failure>>) {
    let now = guest.log.clock.now();
    let mut next = NextAttempt::default();
    for response in all {
        let at = match response {
            Ok(response) => after_answer(response.status, response.header("retry-after"), now),
            Err(failure) => refused_until(failure),
        };
        next.not_before = next.not_before.max(at);
        next.refused |= response.as_ref().is_err_and(|failure| refused_until(failure).is_some());
    }
    guest.history.frame().next_attempt = next;
}

fn send(
    guest: &GuestState,
    request: OutgoingRequest,
    context: RequestContext,
) -> impl Future<Output = Result<HttpResponse, Failure>> + Send + use<> {
    let egress = Arc::clone(&guest.services.egress);
    let sent = guest.io.spawn(async move { egress.send(request, &context).await });
    async move { joined(sent).await? }
}

/// Aborts work on the host's threads when its receiver is dropped.
pub(super) struct AbortOnDrop(pub(super) tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn joined<T>(handle: JoinHandle<T>) -> Result<T, Failure> {
    let _give_up = AbortOnDrop(handle.abort_handle());
    handle.await.map_err(|_| lost())
}

fn lost() -> Failure {
    Code::Internal.failure("the host failed while it sent a request; the host's log has the cause")
}

/// Waits for an answer, and saves earlier entries in the process. `None` if the guest was notified
/// of its cancellation instead.
///
/// If the request `acts`, its answer is awaited even so: once it is recorded, the guest knows what
/// to undo.
async fn until_cancelled<T>(
    guest: &mut GuestState,
    acts: bool,
    answered: impl Future<Output = Result<T, Failure>> + Send,
) -> wasmtime::Result<Option<Result<T, Failure>>> {
    let cancel = guest.cancel().clone();
    let may_notify = guest.history.notice.is_none() && !acts;
    tokio::pin!(answered);
    loop {
        tokio::select! {
            biased;
            answered = &mut answered => return Ok(Some(answered)),
            () = cancel.reached(Urgency::Requested), if may_notify => {
                guest.notify_cancelled();
                return Ok(None);
            }
            () = tokio::time::sleep(SAVE_AFTER) => guest.save().await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidemill_artifacts::golden::{check, hex};

    use super::*;

    /// The answers as `http.fetch` and a slot of `http.fetch-all` record them.
    #[test]
    fn recorded_answers_keep_their_bytes() {
        let response = || RecordedResponse {
            status: 201,
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: b"created".to_vec().into(),
            url: "https://example.org/orders".to_owned(),
            elapsed: 300,
        };
        let failure = || Code::EgressDenied.failure("denied").with_details("[1]");
        let fetched = |answer: &Result<RecordedResponse, Failure>| postcard::to_stdvec(answer).unwrap();
        let slot = |answer: &(usize, Result<RecordedResponse, Failure>)| postcard::to_stdvec(answer).unwrap();
        let rows = [
            ("fetched", fetched(&Ok(response()))),
            ("refused", fetched(&Err(failure()))),
            ("slot", slot(&(300, Ok(response())))),
            ("slot-refused", slot(&(1, Err(failure())))),
        ];
        let mut text = String::new();
        for (name, bytes) in &rows {
            let again = if name.starts_with("slot") {
                slot(&postcard::from_bytes(bytes).unwrap())
            } else {
                fetched(&postcard::from_bytes(bytes).unwrap())
            };
            assert_eq!(again, *bytes, "{name}");
            text += &format!("{name}: {}\n", hex(bytes));
        }
        check(env!("CARGO_MANIFEST_DIR"), "http-answers.txt", &text);
    }
}
