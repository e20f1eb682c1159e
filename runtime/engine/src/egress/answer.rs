//! Reads a response: limits and decompresses its body, and hides the secrets that its request
//! carried.

use std::io::Write as _;
use std::sync::Arc;

use flate2::write::MultiGzDecoder;
use tidemill_core::{Code, Failure};

use super::client::failure_of;
use super::echoes::EchoFilter;
use super::outgoing::{HttpResponse, latin1};
use super::request_context::RequestContext;
use super::target::Target;
use super::usage::BodyBudget;

/// A response as received.
pub(super) struct RawResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The origin that sent it.
    origin: String,
}

/// How a response is processed before the guest sees it.
#[derive(Clone)]
pub(super) struct ResponseRules {
    /// Whether a compressed body is decompressed: not if the guest itself set the accepted
    /// encodings.
    pub unpacks: bool,
    /// Finds the secrets that the request carried, if any.
    pub echoes: Option<Arc<EchoFilter>>,
    /// Size budget of the call's bodies.
    pub budget: Arc<BodyBudget>,
}

impl RawResponse {
    /// Reads the body as it arrives.
    pub async fn read(
        mut response: reqwest::Response,
        target: &Target,
        context: &RequestContext,
    ) -> Result<Self, Failure> {
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), latin1(value.as_bytes())))
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure_of(error, target))? {
            context.budget.take(chunk.len(), body.len() + chunk.len())?;
            context.usage.bytes(chunk.len(), &context.limits)?;
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, headers, body, origin: target.origin.to_string() })
    }

    /// Returns the maximum number of bytes to process before the guest sees the response.
    pub fn work_bytes(&self, opening: &ResponseRules) -> usize {
        match &opening.echoes {
            _ if opening.unpacks && self.encoding().is_some() => usize::MAX,
            Some(_) => self.body.len(),
            None => 0,
        }
    }

    /// Converts the response into the guest's view.
    pub fn open(mut self, url: String, opening: &ResponseRules) -> Result<HttpResponse, Failure> {
        match self.encoding() {
            Some(encoding) if is_gzip(encoding) && opening.unpacks && !self.body.is_empty() => {
                self.unpack(&opening.budget)?
            }
            // A secret in it would be readable by the guest and invisible to the filter.
            Some(encoding) if opening.echoes.is_some() && !self.body.is_empty() && !is_gzip(encoding) => {
                return Err(Code::HttpBadAnswer.failure(format!(
                    "{} answered a request that carries a secret in an encoding other than gzip, the only one that was accepted",
                    self.origin
                )));
            }
            _ => {}
        }
        let Self { status, headers, body, .. } = self;
        let Some(echoes) = &opening.echoes else { return Ok(HttpResponse { status, headers, body, url, elapsed: 0 }) };
        let hide = |text: String| String::from_utf8(echoes.hide(text.into_bytes())).unwrap_or_default();
        Ok(HttpResponse {
            status,
            headers: headers.into_iter().map(|(name, value)| (hide(name), hide(value))).collect(),
            body: echoes.hide(body),
            url: hide(url),
            elapsed: 0,
        })
    }

    /// Returns the encoding of the body, if there is one.
    fn encoding(&self) -> Option<&str> {
        let mut named =
            self.headers.iter().filter(|(name, _)| name == "content-encoding").map(|(_, value)| value.trim());
        match (named.next(), named.next()) {
            (Some(encoding), None) if encoding.eq_ignore_ascii_case("identity") || encoding.is_empty() => None,
            (Some(encoding), None) => Some(encoding),
            (None, _) => None,
            // Encoded twice; it is not decompressed.
            (Some(_), Some(_)) => Some("several"),
        }
    }

    fn unpack(&mut self, budget: &Arc<BodyBudget>) -> Result<(), Failure> {
        let packed = std::mem::take(&mut self.body);
        budget.give_back(packed.len());
        let mut decoder = MultiGzDecoder::new(DecodedBody { body: Vec::new(), budget, over: None });
        let written = decoder.write_all(&packed).and_then(|()| decoder.try_finish());
        if let Some(failure) = decoder.get_mut().over.take() {
            return Err(failure);
        }
        if written.is_err() {
            return Err(Code::HttpBadAnswer.failure(format!("the response body of {} is not valid gzip", self.origin)));
        }
        self.body = std::mem::take(&mut decoder.get_mut().body);
        // Both describe the compressed body.
        self.headers.retain(|(name, _)| name != "content-encoding" && name != "content-length");
        Ok(())
    }
}

fn is_gzip(encoding: &str) -> bool {
    encoding.eq_ignore_ascii_case("gzip") || encoding.eq_ignore_ascii_case("x-gzip")
}

/// A body that is being decompressed, within its size limits.
struct DecodedBody<'a> {
    body: Vec<u8>,
    budget: &'a BodyBudget,
    over: Option<Failure>,
}

impl std::io::Write for DecodedBody<'_> {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        if let Err(failure) = self.budget.take(more.len(), self.body.len() + more.len()) {
            self.over = Some(failure);
            return Err(std::io::Error::other("the body is too large"));
        }
        self.body.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn received(encoding: &str, body: Vec<u8>) -> RawResponse {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        RawResponse {
            status: 200,
            headers: vec![header("content-encoding", encoding), header("content-length", "9"), header("etag", "1")],
            body,
            origin: "https://x".to_owned(),
        }
    }

    fn packed(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn opening(bytes: usize) -> ResponseRules {
        ResponseRules { unpacks: true, echoes: None, budget: Arc::new(BodyBudget::new(bytes)) }
    }

    fn open(encoding: &str, body: &[u8], opening: &ResponseRules) -> Result<HttpResponse, Failure> {
        let received = received(encoding, body.to_vec());
        opening.budget.take(body.len(), body.len()).unwrap();
        received.open(String::new(), opening)
    }

    #[test]
    fn gzip_is_decompressed_and_its_headers_are_removed() {
        for encoding in ["gzip", "GZIP", "x-gzip"] {
            let answer = open(encoding, &packed(b"hello"), &opening(1_000)).unwrap();
            assert_eq!((answer.body.as_slice(), answer.headers.len()), (&b"hello"[..], 1), "{encoding}");
        }
        let two = [packed(b"a"), packed(b"b")].concat();
        assert_eq!(open("gzip", &two, &opening(1_000)).unwrap().body, b"ab");
    }

    #[test]
    fn other_encodings_are_unchanged() {
        for encoding in ["br", "identity", "", "gzip, br"] {
            assert_eq!(open(encoding, b"hello", &opening(1_000)).unwrap().body, b"hello", "{encoding}");
        }
        let own = ResponseRules { unpacks: false, ..opening(1_000) };
        assert_eq!(open("gzip", b"hello", &own).unwrap().body, b"hello");
        assert_eq!(open("gzip", b"", &opening(1_000)).unwrap().body, b"");
    }

    #[test]
    fn a_body_that_decompresses_beyond_its_limit_is_refused() {
        let bomb = packed(&vec![0; 8 << 20]);
        assert!(bomb.len() < 10_000);
        let all = opening(6 << 20);
        assert_eq!(open("gzip", &bomb, &all).unwrap_err().code, "host/limit-http-body");
        assert_eq!(open("gzip", &packed(&[0; 2_000]), &opening(1_000)).unwrap_err().code, "host/limit-http-body");
    }

    #[test]
    fn truncated_gzip_is_refused() {
        let whole = packed(b"hello, hello, hello");
        for body in [&whole[..whole.len() - 4], b"hello"] {
            assert_eq!(open("gzip", body, &opening(1_000)).unwrap_err().code, "host/http-bad-answer");
        }
    }
}
