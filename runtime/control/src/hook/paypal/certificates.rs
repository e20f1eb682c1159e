//! PayPal's certificates: from a folder of the operator, or fetched and kept in memory.
//!
//! Everyone can send a request that names a certificate. So the host fetches few at a time, and few
//! that it does not know within a minute; a request beyond that gets 503.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidemill_core::DeploymentName;
use tidemill_core::flow::Rate;
use tidemill_engine::egress::ProviderRequest;
use tidemill_webhook::{CertificateUrl, VerificationFailure};
use tokio::sync::{OnceCell, Semaphore};

use super::answer::{ANSWER_BYTES, TIMEOUT, too_late, unavailable};
use crate::hook::provider::ProviderRequests;
use crate::hook::throttle::HookThrottle;

/// Maximum number of files in memory.
const KEPT: usize = 64;
/// Maximum number of files that are fetched at a time.
const FETCHES: usize = 4;
/// Maximum rate of fetches of files that are not in memory.
const UNKNOWN: Rate = Rate { runs: 60, per_millis: 60_000 };
/// Minimum time between two fetches of one file.
const AGAIN: Duration = Duration::from_secs(60);

/// The bytes of a file, or why there are none.
type CertificateFile = Result<Arc<[u8]>, VerificationFailure>;

/// Where certificates come from.
#[derive(Debug)]
pub(crate) enum CertificateSource {
    /// A folder of the operator. Nothing is fetched.
    Folder(PathBuf),
    /// PayPal.
    Fetched(CertificateCache),
}

impl CertificateSource {
    pub(crate) fn new(providers: Arc<dyn ProviderRequests>, folder: Option<PathBuf>) -> Self {
        match folder {
            Some(folder) => Self::Folder(folder),
            None => Self::Fetched(CertificateCache {
                providers,
                files: Mutex::default(),
                unknown: HookThrottle::default(),
                fetches: Semaphore::new(FETCHES),
            }),
        }
    }

    /// Returns the file at a URL.
    pub(crate) async fn file(&self, of: &DeploymentName, url: &CertificateUrl, now: Duration) -> CertificateFile {
        match self {
            Self::Folder(folder) => read(folder, url).await,
            Self::Fetched(cache) => cache.file(of, url, now, false).await,
        }
    }

    /// Returns the file at a URL, fetched again unless it was fetched within a minute.
    pub(crate) async fn renewed(&self, of: &DeploymentName, url: &CertificateUrl, now: Duration) -> CertificateFile {
        match self {
            Self::Folder(folder) => read(folder, url).await,
            Self::Fetched(cache) => cache.file(of, url, now, true).await,
        }
    }
}

/// The files that were fetched, by URL.
#[derive(Debug)]
pub(crate) struct CertificateCache {
    providers: Arc<dyn ProviderRequests>,
    files: Mutex<HashMap<CertificateUrl, CachedFile>>,
    unknown: HookThrottle,
    fetches: Semaphore,
}

/// A file, which the first request that needs it fetches.
#[derive(Debug, Clone)]
struct CachedFile {
    since: Duration,
    file: Arc<OnceCell<CertificateFile>>,
}

impl CachedFile {
    fn is_good(&self) -> bool {
        matches!(self.file.get(), Some(Ok(_)))
    }

    /// Whether the file has to be fetched again.
    fn is_outdated(&self, now: Duration, renew: bool) -> bool {
        let old = now.saturating_sub(self.since) >= AGAIN;
        old && self.file.initialized() && (renew || !self.is_good())
    }
}

impl CertificateCache {
    async fn file(&self, of: &DeploymentName, url: &CertificateUrl, now: Duration, renew: bool) -> CertificateFile {
        let cached = self.cached(url, now, renew)?;
        cached.file.get_or_init(|| self.fetch(of, url)).await.clone()
    }

    /// Returns the place of a file in memory. It may still be empty.
    fn cached(&self, url: &CertificateUrl, now: Duration, renew: bool) -> Result<CachedFile, VerificationFailure> {
        let mut files = self.files.lock();
        if let Some(known) = files.get(url).filter(|known| !known.is_outdated(now, renew)) {
            return Ok(known.clone());
        }
        let refused = |_| unavailable("requests name more unknown certificates than the host fetches in a minute");
        self.unknown.take(UNKNOWN, now).map_err(refused)?;
        if files.len() >= KEPT && !files.contains_key(url) {
            // A certificate that exists stays longest.
            let oldest = files.iter().min_by_key(|(_, file)| (file.is_good(), file.since)).map(|(url, _)| url.clone());
            oldest.and_then(|oldest| files.remove(&oldest));
        }
        let empty = CachedFile { since: now, file: Arc::default() };
        files.insert(url.clone(), empty.clone());
        Ok(empty)
    }

    async fn fetch(&self, of: &DeploymentName, url: &CertificateUrl) -> CertificateFile {
        let request = ProviderRequest {
            method: "GET",
            origin: url.origin(),
            path: url.path(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: TIMEOUT,
            answer_bytes: ANSWER_BYTES,
        };
        let answer = async {
            let _turn = self.fetches.acquire().await;
            self.providers.send(of, request).await
        };
        let answer = tokio::time::timeout(TIMEOUT, answer).await.map_err(|_| too_late())?;
        let answer = answer.map_err(|failure| unavailable(failure.message))?;
        match answer.status {
            200 => Ok(answer.body.into()),
            404 | 410 => Err(VerificationFailure::CertificateRefused("PayPal has no such certificate".to_owned())),
            status => Err(unavailable(format!("the certificate server answered with status {status}"))),
        }
    }
}

/// Reads `NAME.pem` in the folder, or `NAME`.
async fn read(folder: &Path, url: &CertificateUrl) -> CertificateFile {
    // The name has letters, digits, hyphens and underscores only.
    let paths = [folder.join(format!("{}.pem", url.name())), folder.join(url.name())];
    let read = move || -> io::Result<Option<Vec<u8>>> {
        for path in paths {
            let file = match std::fs::File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            let mut bytes = Vec::new();
            file.take(ANSWER_BYTES as u64 + 1).read_to_end(&mut bytes)?;
            return Ok(Some(bytes));
        }
        Ok(None)
    };
    let read = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    match read {
        Ok(Some(bytes)) => Ok(bytes.into()),
        Ok(None) => Err(unavailable(format!("the folder `paypal_certs` has no file `{}.pem`", url.name()))),
        Err(error) => Err(unavailable(format!("a file in the folder `paypal_certs` cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use rustls_pki_types::CertificateDer;
    use tidemill_core::hook::HookEnvironment;
    use tidemill_core::{Code, Failure};
    use tidemill_engine::egress::ProviderResponse;

    use super::*;

    /// A server that has the certificates whose names begin with `CERT`.
    #[derive(Debug, Default)]
    struct CertificateServer {
        requests: AtomicUsize,
        at_once: AtomicUsize,
        most: AtomicUsize,
    }

    #[async_trait]
    impl ProviderRequests for CertificateServer {
        async fn send(&self, _: &DeploymentName, request: ProviderRequest) -> Result<ProviderResponse, Failure> {
            let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(at_once, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
            assert_eq!((request.origin.as_str(), request.timeout), ("https://api.paypal.com", TIMEOUT));
            assert_eq!((request.answer_bytes, request.headers.len()), (64 << 10, 0));
            match request.path.rsplit('/').next().unwrap_or_default() {
                "down" => Err(Code::HttpTimeout.failure("it is down")),
                "busy" => Ok(ProviderResponse { status: 503, body: Vec::new() }),
                name if name.starts_with("CERT") => {
                    Ok(ProviderResponse { status: 200, body: number.to_string().into_bytes() })
                }
                _ => Ok(ProviderResponse { status: 404, body: Vec::new() }),
            }
        }

        fn authorities(&self) -> Vec<CertificateDer<'static>> {
            Vec::new()
        }
    }

    fn url(name: &str) -> CertificateUrl {
        let text = format!("https://api.paypal.com/v1/notifications/certs/{name}");
        CertificateUrl::parse(&text, HookEnvironment::Live).unwrap()
    }

    fn shop() -> DeploymentName {
        "shop".parse().unwrap()
    }

    fn cache() -> (Arc<CertificateServer>, CertificateSource) {
        let server = Arc::new(CertificateServer::default());
        let source = CertificateSource::new(Arc::clone(&server) as Arc<dyn ProviderRequests>, None);
        (server, source)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_certificate_is_fetched_once_and_again_only_if_it_has_expired() {
        let (server, source) = cache();
        let file = async |now| source.file(&shop(), &url("CERT-1"), now).await.unwrap();
        for now in [SECOND, 2 * SECOND, 86_400 * SECOND] {
            assert_eq!(&*file(now).await, b"1");
        }
        assert_eq!(&*source.renewed(&shop(), &url("CERT-1"), 86_400 * SECOND).await.unwrap(), b"2");
        // Within a minute it is not fetched again.
        assert_eq!(&*source.renewed(&shop(), &url("CERT-1"), 86_459 * SECOND).await.unwrap(), b"2");
        assert_eq!(server.requests.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn many_requests_at_once_fetch_a_certificate_once() {
        let (server, source) = cache();
        let (shop, url) = (shop(), url("CERT-1"));
        let files = futures_util::future::join_all((0..50).map(|_| source.file(&shop, &url, SECOND))).await;
        assert!(files.iter().all(Result::is_ok));
        assert_eq!(server.requests.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_a_minute() {
        let (server, source) = cache();
        for (start, name, is_ours) in [(0, "down", true), (100, "busy", true), (200, "none", false)] {
            let before = server.requests.load(Ordering::SeqCst);
            for now in [1, 60, 61] {
                let failure = source.file(&shop(), &url(name), (start + now) * SECOND).await.unwrap_err();
                assert_eq!(matches!(failure, VerificationFailure::Unavailable(_)), is_ours, "{name}: {failure}");
            }
            assert_eq!(server.requests.load(Ordering::SeqCst), before + 2, "{name}");
        }
    }

    #[tokio::test]
    async fn invented_names_cause_few_requests_and_evict_no_certificate() {
        let (server, source) = cache();
        assert!(source.file(&shop(), &url("CERT-1"), SECOND).await.is_ok());
        let names: Vec<_> = (0..1_000).map(|n| url(&format!("x{n}"))).collect();
        let shop = shop();
        let found = futures_util::future::join_all(names.iter().map(|url| source.file(&shop, url, SECOND))).await;
        let refused = found.iter().filter(|file| matches!(file, Err(VerificationFailure::Unavailable(_)))).count();
        assert_eq!((refused, server.requests.load(Ordering::SeqCst)), (1_000 - 59, 60));
        assert!(server.most.load(Ordering::SeqCst) <= FETCHES);
        for later in 1..5 {
            for name in &names {
                let _ = source.file(&shop, name, later * 61 * SECOND).await;
            }
        }
        let CertificateSource::Fetched(cache) = &source else { panic!() };
        assert!(cache.files.lock().len() <= KEPT);
        assert_eq!(&*source.file(&shop, &url("CERT-1"), 400 * SECOND).await.unwrap(), b"1");
    }

    #[tokio::test]
    async fn a_folder_holds_certificates_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let server = Arc::new(CertificateServer::default());
        let source = CertificateSource::new(Arc::clone(&server) as _, Some(folder.path().to_owned()));
        let failure = source.file(&shop(), &url("CERT-1"), SECOND).await.unwrap_err();
        assert!(failure.to_string().contains("CERT-1.pem"), "{failure}");
        std::fs::write(folder.path().join("CERT-1"), "plain").unwrap();
        assert_eq!(&*source.file(&shop(), &url("CERT-1"), SECOND).await.unwrap(), b"plain");
        std::fs::write(folder.path().join("CERT-1.pem"), "pem").unwrap();
        assert_eq!(&*source.file(&shop(), &url("CERT-1"), SECOND).await.unwrap(), b"pem");
        std::fs::write(folder.path().join("CERT-2.pem"), vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(source.file(&shop(), &url("CERT-2"), SECOND).await.unwrap().len(), ANSWER_BYTES + 1);
        assert_eq!(server.requests.load(Ordering::SeqCst), 0);
    }
}
