//! Sends requests: tries, redirects and concurrency limits.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, Method};
use tidemill_core::clock::Stopwatch;
use tidemill_core::{Clock, Code, Failure};
use tokio::sync::Semaphore;

use super::answer::{RawResponse, ResponseRules};
use super::breakers::{BreakerPermit, Breakers};
use super::client::{client, failure_of};
use super::echoes::EchoFilter;
use super::hop::{Hop, location};
use super::limits::{HostLimits, NamedLimits};
use super::outgoing::{HttpResponse, OutgoingRequest};
use super::placeholders::RequestSecrets;
use super::request_context::RequestContext;
use super::roots::Roots;
use super::target::Target;
use super::tries::TryCount;

/// Maximum number of concurrent requests of one deployment.
const PER_DEPLOYMENT: usize = 32;
/// Number of these to one host that never wait for another deployment's requests.
const PER_DEPLOYMENT_AND_HOST: usize = 8;
/// Maximum number of concurrent requests to one host beyond those, for all deployments together.
const PER_HOST: usize = 128;
/// Minimum size of a body that is searched and decompressed on a separate thread, in bytes.
const SEARCH_ASIDE_BYTES: usize = 64 * 1024;

/// Sends requests. There is one for each engine; its connections are shared.
pub(crate) struct Egress {
    public: OnceLock<Result<Client, String>>,
    private: OnceLock<Result<Client, String>>,
    roots: Roots,
    deployments: NamedLimits,
    hosts: HostLimits,
    breakers: Breakers,
    clock: Arc<dyn Clock>,
    /// Limits concurrent searches of large bodies to half of the processors, so that API callers do
    /// not wait for them.
    searches: Semaphore,
}

/// A request that is ready to be sent.
struct PreparedRequest {
    first: Hop,
    carries_secret: bool,
    opening: ResponseRules,
}

impl Egress {
    /// Returns a client. It opens nothing before the first request.
    pub fn new(clock: Arc<dyn Clock>, roots: Roots) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            public: OnceLock::new(),
            private: OnceLock::new(),
            roots,
            deployments: NamedLimits::new(PER_DEPLOYMENT),
            hosts: HostLimits::new(PER_DEPLOYMENT_AND_HOST, PER_HOST),
            breakers: Breakers::new(Arc::clone(&clock)),
            clock,
            searches: Semaphore::new((processors / 2).max(1)),
        }
    }

    /// Sends a request, retries it by its policy, and returns the result of the last try.
    pub async fn send(&self, mut request: OutgoingRequest, context: &RequestContext) -> Result<HttpResponse, Failure> {
        let prepared = self.prepare(&mut request, context).await?;
        let mut tries = TryCount::default();
        loop {
            let result = {
                let _deployment = self.deployments.pass(&context.authorization.deployment).await;
                if context.is_ending() {
                    return Err(not_sent());
                }
                self.try_once(&request, &prepared, context).await
            };
            let nth = tries.made.wrapping_add(tries.refused);
            let random = context.salt.rotate_left(nth.wrapping_add(2)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let Some(wait) = tries.after(&result, &request.retry, self.clock.now(), random) else { return result };
            tokio::select! {
                biased;
                () = context.ending() => return result,
                () = tokio::time::sleep(Duration::from_millis(wait)) => {}
            }
            if let Ok(answer) = &result {
                context.budget.give_back(answer.body.len());
            }
        }
    }

    /// Checks the target of the request, and fills in its secrets.
    async fn prepare(
        &self,
        request: &mut OutgoingRequest,
        context: &RequestContext,
    ) -> Result<PreparedRequest, Failure> {
        let target = Target::parse(&request.url)?;
        // A denial is immediate: a retry cannot change it.
        context.authorization.authorize(&target)?;
        let mut carried = context.authorization.secrets(&request.secrets, &target)?;
        let body = std::mem::take(&mut request.body);
        let unpacks = !carried.is_empty() || !request.headers.iter().any(|(name, _)| name == "accept-encoding");
        let budget = Arc::clone(&context.budget);
        if carried.is_empty() {
            let first = Hop::first(request, body, target, &mut carried)?;
            return Ok(PreparedRequest {
                first,
                carries_secret: false,
                opening: ResponseRules { unpacks, echoes: None, budget },
            });
        }
        let (bytes, request) = (body.len(), request.clone());
        let fill = move || {
            let first = Hop::first(&request, body, target, &mut carried)?;
            echoes(&carried).map(|echoes| (first, echoes))
        };
        let (first, echoes) = self.spawn(bytes, fill).await??;
        Ok(PreparedRequest {
            first,
            carries_secret: true,
            opening: ResponseRules { unpacks, echoes: Some(echoes), budget },
        })
    }

    /// Runs work on a separate thread if it has many bytes to process, limited in number, so that
    /// no API caller waits for it.
    async fn spawn<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        if bytes < SEARCH_ASIDE_BYTES {
            return Ok(work());
        }
        let _turn = self.searches.acquire().await;
        let failed =
            |_| Code::Internal.failure("the host failed while it searched a body; the host's log has the cause");
        tokio::task::spawn_blocking(work).await.map_err(failed)
    }

    /// Makes one try with its redirects, within its timeout.
    async fn try_once(
        &self,
        request: &OutgoingRequest,
        prepared: &PreparedRequest,
        context: &RequestContext,
    ) -> Result<HttpResponse, Failure> {
        let mut permit = None;
        match tokio::time::timeout(request.timeout, self.follow(request, prepared, context, &mut permit)).await {
            Ok(result) => {
                if let Some(permit) = permit {
                    report(permit, &result);
                }
                result
            }
            Err(_) => {
                if let Some(permit) = permit {
                    permit.ended(true);
                }
                Err(Code::HttpTimeout.failure(format!(
                    "{} did not answer within {} ms",
                    prepared.first.target.origin,
                    request.timeout.as_millis()
                )))
            }
        }
    }

    /// Follows redirects to a response. `permit` is that of the server that has not responded yet,
    /// or whose response is the result.
    async fn follow(
        &self,
        request: &OutgoingRequest,
        prepared: &PreparedRequest,
        context: &RequestContext,
        permit: &mut Option<BreakerPermit>,
    ) -> Result<HttpResponse, Failure> {
        let watch = Stopwatch::start();
        let mut hop = prepared.first.clone();
        let mut url = request.url.clone();
        let mut followed = 0;
        loop {
            let private = context.authorization.authorize(&hop.target)?;
            let admitted = self.breakers.admit(
                &context.authorization.deployment,
                &hop.target.origin.to_string(),
                context.purpose,
            )?;
            let _host = self.hosts.pass(&context.authorization.deployment, hop.target.origin.host()).await;
            if followed == 0 {
                context.usage.call(&context.limits)?;
            }
            context.usage.bytes(hop.body.len(), &context.limits)?;
            *permit = Some(admitted.sent());
            let response = self.send_hop(&request.method, &hop, private).await?;
            match location(request, &response) {
                Some(to) if request.redirects > 0 => {
                    if let Some(permit) = permit.take() {
                        permit.ended(false);
                    }
                    if followed == request.redirects {
                        return Err(Code::HttpTooManyRedirects
                            .failure(format!("{} redirects again after {followed} redirects", hop.target.origin)));
                    }
                    followed += 1;
                    hop = hop.redirect(&to, prepared.carries_secret)?;
                    url = hop.target.url.to_string();
                }
                _ => {
                    let received = RawResponse::read(response, &hop.target, context).await?;
                    let elapsed = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
                    let opening = prepared.opening.clone();
                    let opened =
                        self.spawn(received.work_bytes(&opening), move || received.open(url, &opening)).await??;
                    return Ok(HttpResponse { elapsed, ..opened });
                }
            }
        }
    }

    async fn send_hop(&self, method: &Method, hop: &Hop, private: bool) -> Result<reqwest::Response, Failure> {
        let cell = if private { &self.private } else { &self.public };
        let client =
            cell.get_or_init(|| client(private, &self.roots)).as_ref().map_err(|why| Code::Internal.failure(why))?;
        let mut request = client.request(method.clone(), hop.target.url.clone()).headers(hop.headers.clone());
        if !hop.body.is_empty() || !matches!(*method, Method::GET | Method::HEAD) {
            request = request.body(hop.body.clone());
        }
        request.send().await.map_err(|error| failure_of(error, &hop.target))
    }
}

fn not_sent() -> Failure {
    Code::Cancelled.failure("the request was not sent: the run is being cancelled")
}

fn echoes(carried: &RequestSecrets) -> Result<Arc<EchoFilter>, Failure> {
    let failed = |error| Code::Internal.failure(format!("the request's secrets cannot be searched for: {error}"));
    EchoFilter::new(carried).map(Arc::new).map_err(failed)
}

/// Reports the result to the breaker of the last server.
fn report(permit: BreakerPermit, result: &Result<HttpResponse, Failure>) {
    let is = |failure: &Failure, codes: &[Code]| codes.iter().any(|code| failure.code == code.as_str());
    match result {
        Ok(answer) => permit.ended(answer.status >= 500),
        Err(failure) if is(failure, &[Code::HttpConnectFailed, Code::HttpTimeout, Code::HttpBadAnswer]) => {
            permit.ended(true);
        }
        // The server responded, with more than the run may read.
        Err(failure) if is(failure, &[Code::LimitHttpBody, Code::LimitHttp]) => permit.ended(false),
        // Nothing was sent.
        Err(_) => drop(permit),
    }
}
