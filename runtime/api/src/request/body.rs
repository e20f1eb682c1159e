//! Reads a request's body into memory, with a maximum size and a timeout.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tidemill_core::Code;

use crate::problem::{ApiResult, Problem};

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// [`Code::BodyTooLarge`], at once if `content-length` exceeds the maximum;
/// [`Code::RequestTimeout`] if the body is not complete within `timeout`; [`Code::BadHeader`] if it
/// is cut off.
pub async fn read(body: Body, headers: &HeaderMap, most: usize, timeout: Duration) -> ApiResult<Bytes> {
    check_declared_length(headers, most as u64)?;
    tokio::time::timeout(timeout, collect(body, most)).await.map_err(|_| too_slow(timeout))?
}

/// Refuses a body whose announced length is above `most`, before any of it is read.
///
/// # Errors
/// [`Code::BodyTooLarge`].
pub fn check_declared_length(headers: &HeaderMap, most: u64) -> ApiResult<()> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most) { Err(too_large(most)) } else { Ok(()) }
}

/// Refuses a body larger than `most` bytes.
#[must_use]
pub fn too_large(most: u64) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body is larger than {most} bytes"))
}

/// Refuses a body that did not arrive in time.
#[must_use]
pub fn too_slow(timeout: Duration) -> Problem {
    Problem::new(Code::RequestTimeout, format!("the body did not arrive within {} s", timeout.as_secs()))
}

/// Refuses a body that was cut off. The peer is usually gone and does not read this answer.
pub fn broken(cause: impl std::fmt::Display) -> Problem {
    Problem::new(Code::BadHeader, "the body was cut off, or its chunks are not valid HTTP").log(cause)
}

async fn collect(body: Body, most: usize) -> ApiResult<Bytes> {
    let mut pieces = body.into_data_stream();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(broken)?;
        if first.len() + rest.len() + piece.len() > most {
            return Err(too_large(most as u64));
        }
        // A body in one piece, the usual case, is not copied.
        if first.is_empty() && rest.is_empty() {
            first = piece;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&piece);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    fn pieces(of: Vec<Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(of.into_iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)))))
    }

    proptest! {
        #[test]
        fn a_body_is_complete_or_refused(of in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..6), most in 0usize..200) {
            let whole = of.concat();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let read = runtime.block_on(read(pieces(of), &HeaderMap::new(), most, Duration::from_secs(5)));
            match read {
                Ok(bytes) => prop_assert_eq!(&bytes[..], &whole[..]),
                Err(problem) => {
                    prop_assert!(whole.len() > most);
                    prop_assert_eq!(problem.code(), "host/body-too-large");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_stalled_body_times_out() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let problem = read(never, &HeaderMap::new(), 10, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(problem.code(), "host/request-timeout");
    }
}
