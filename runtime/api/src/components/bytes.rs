//! Downloading a component's bytes as they were uploaded.

use std::io;

use ::bytes::{Bytes, BytesMut};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, stream};
use sha2::{Digest as _, Sha256};
use tidemill_core::{Code, ComponentDigest};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::get::find;
use crate::problem::{ApiResult, Problem};
use crate::request::{PathParams, RawQuery};
use crate::state::ApiState;

/// Size of the pieces in which a file is read and sent, in bytes.
const PIECE: usize = 64 * 1024;

/// Streams a file in pieces. Sends the last piece only if the whole file has the digest, so that a
/// damaged file never arrives complete.
fn verified(file: File, digest: ComponentDigest) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((file, Sha256::new(), None), move |(mut file, mut hash, mut before)| async move {
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            if file.read_buf(&mut piece).await? == 0 {
                let found = ComponentDigest::from_bytes(hash.clone().finalize().into());
                if found != digest {
                    tracing::error!(component = %digest, %found, code = %Code::StoreDamaged, "a component is damaged");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the component is damaged"));
                }
                return Ok(before.map(|last| (last, (file, hash, None))));
            }
            hash.update(&piece);
            if let Some(ready) = before.replace(piece.freeze()) {
                return Ok(Some((ready, (file, hash, before))));
            }
        }
    })
}

/// Downloads a component
#[utoipa::path(
    get, path = "/v1/components/{digest}/bytes", tag = "components",
    params(("digest" = String, Path, description = "`sha256:` and 64 hexadecimal digits")),
    responses((status = 200, body = String, content_type = "application/wasm"))
)]
pub async fn bytes(
    State(state): State<ApiState>,
    PathParams(digest): PathParams<ComponentDigest>,
    query: RawQuery,
) -> ApiResult<Response> {
    query.only(&[])?;
    let component = find(&state, &digest).await?;
    let path = state.config.data.join("components").join(format!("{}.wasm", digest.hex()));
    let file = File::open(&path).await.map_err(|why| {
        Problem::new(Code::StoreDamaged, "the component's record exists, but its file is missing").log(why)
    })?;
    if file.metadata().await.is_ok_and(|metadata| metadata.len() != component.size) {
        return Err(Problem::new(Code::StoreDamaged, "the component's bytes are damaged: they have another length"));
    }
    let mut response = (StatusCode::OK, Body::from_stream(verified(file, digest))).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(component.size));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}
