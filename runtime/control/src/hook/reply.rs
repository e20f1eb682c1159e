//! `reply = "wait"`: the reply of a delivery's run as the answer to its sender.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Deserialize;
use tidemill_core::RunId;
use tidemill_core::delivery::{REPLY_BYTES, REPLY_WAIT_MILLIS};

use crate::state::ControlPlane;

/// Maximum number of headers of a reply.
const HEADERS: usize = 64;
/// Headers that belong to the connection or to the host, so that a guest cannot set them.
const OF_THE_HOST: [&str; 12] = [
    "connection",
    "content-length",
    "content-security-policy",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The reply of a guest to the sender of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookReply {
    /// The status, 200 to 599.
    pub status: u16,
    /// Headers (name and value), without those of the host.
    pub headers: Vec<(String, String)>,
    /// The body, at most 64 KiB.
    pub body: Bytes,
}

/// A reply as `webhook.receive` returns it.
#[derive(Deserialize)]
struct ReplyOutput {
    status: u16,
    headers: Vec<HeaderOutput>,
    body: String,
}

#[derive(Deserialize)]
struct HeaderOutput {
    name: String,
    value: String,
}

impl HookReply {
    /// Reads a run's output.
    ///
    /// # Errors
    /// A sentence, if the output is no reply or too large.
    fn parse(output: &[u8]) -> Result<Self, String> {
        let ReplyOutput { status, headers, body } =
            serde_json::from_slice(output).map_err(|error| format!("the output is not a reply: {error}"))?;
        let body = BASE64.decode(body).map_err(|error| format!("the body is not base64: {error}"))?;
        if !(200..=599).contains(&status) {
            return Err(format!("{status} is not a status of a reply"));
        }
        if body.len() > REPLY_BYTES || headers.len() > HEADERS {
            return Err(format!("a reply has at most {REPLY_BYTES} bytes and {HEADERS} headers"));
        }
        let own = headers.into_iter().map(|header| (header.name.to_ascii_lowercase(), header.value));
        let headers = own.filter(|(name, _)| !OF_THE_HOST.contains(&name.as_str())).collect();
        Ok(Self { status, headers, body: body.into() })
    }
}

impl ControlPlane {
    /// Waits a bounded time for the reply of a run. `None` if there is none by then: the run
    /// continues, or failed.
    pub(crate) async fn reply_of(&self, run: RunId) -> Option<HookReply> {
        let waited = self.outcome(run, Duration::from_millis(REPLY_WAIT_MILLIS)).await;
        let output = match waited {
            Ok(result) => result.output?,
            Err(error) => {
                // The delivery is stored, so its sender must not send it again.
                tracing::warn!(%run, %error, "cannot wait for the reply to a delivery");
                return None;
            }
        };
        HookReply::parse(&output).inspect_err(|why| tracing::warn!(%run, why, "left out a reply to a delivery")).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(output: &serde_json::Value) -> Result<HookReply, String> {
        HookReply::parse(output.to_string().as_bytes())
    }

    #[test]
    fn headers_of_the_host_are_left_out() {
        let header = |name: &str| json!({ "name": name, "value": "x" });
        let names = ["Content-Type", "Set-Cookie", "content-length", "Transfer-Encoding", "X-Own"];
        let reply = parse(&json!({ "status": 201, "headers": names.map(header), "body": "aGk=" })).unwrap();
        let left: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((reply.status, &reply.body[..], left), (201, &b"hi"[..], vec!["content-type", "x-own"]));
    }

    #[test]
    fn a_reply_has_bounds() {
        let body = |bytes: usize| BASE64.encode(vec![b'x'; bytes]);
        let of = |status: u16, bytes: usize| parse(&json!({ "status": status, "headers": [], "body": body(bytes) }));
        assert!(of(200, REPLY_BYTES).is_ok() && of(599, 0).is_ok());
        assert!(of(200, REPLY_BYTES + 1).is_err() && of(199, 0).is_err() && of(600, 0).is_err());
    }

    proptest! {
        #[test]
        fn an_output_of_any_content_never_panics(output in "\\PC{0,200}") {
            let _ = HookReply::parse(output.as_bytes());
        }
    }
}
