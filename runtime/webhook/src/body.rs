//! The encodings of bodies. A signature covers the body as it was sent; values are read from the
//! decoded one.

use std::io::Read as _;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::failure::VerificationFailure;

/// The encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEncoding {
    /// None.
    Identity,
    /// `gzip`.
    Gzip,
    /// `deflate`, with the zlib header that RFC 9110 requires.
    Deflate,
}

/// An encoding that is not known, or more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the `Content-Encoding` is neither `gzip` nor `deflate`")]
pub struct UnsupportedEncoding;

impl BodyEncoding {
    /// The encoding of a request with these headers.
    ///
    /// # Errors
    /// If it is not known, or there is more than one.
    pub fn of(headers: &HeaderMap) -> Result<Self, UnsupportedEncoding> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(Self::Identity) };
        let name = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
        match (name.as_str(), values.next()) {
            ("identity", None) => Ok(Self::Identity),
            ("gzip" | "x-gzip", None) => Ok(Self::Gzip),
            ("deflate", None) => Ok(Self::Deflate),
            _ => Err(UnsupportedEncoding),
        }
    }

    /// Decodes a body to at most `limit` bytes. `None` if it has no encoding.
    pub(crate) fn decode(self, body: &[u8], limit: u64) -> Result<Option<Vec<u8>>, VerificationFailure> {
        let mut decoded = Vec::new();
        // One byte more than allowed shows that the body is too large.
        let read = match self {
            Self::Identity => return Ok(None),
            Self::Gzip => {
                flate2::read::MultiGzDecoder::new(body).take(limit.saturating_add(1)).read_to_end(&mut decoded)
            }
            Self::Deflate => {
                flate2::read::ZlibDecoder::new(body).take(limit.saturating_add(1)).read_to_end(&mut decoded)
            }
        };
        match read {
            Ok(bytes) if bytes as u64 <= limit => Ok(Some(decoded)),
            _ => Err(VerificationFailure::BodyNotDecodable),
        }
    }
}
