//! A component's bytes, as they were uploaded.

use ::bytes::BytesMut;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tidemill_core::{Code, ComponentDigest};
use tokio::io::AsyncReadExt as _;

use super::get::find;
use crate::problem::{Answer, Problem};
use crate::request::{At, RawParams};
use crate::state::ApiState;

/// Read and sent at once.
const PIECE: usize = 64 * 1024;

/// Downloads a component
#[utoipa::path(
    get, path = "/v1/components/{digest}/bytes", tag = "components",
    params(("digest" = String, Path, description = "`sha256:` and 64 hexadecimal digits")),
    responses((status = 200, body = String, content_type = "application/wasm"))
)]
pub async fn bytes(
    State(state): State<ApiState>,
    At(digest): At<ComponentDigest>,
    query: RawParams,
) -> Answer<Response> {
    query.only(&[])?;
    let component = find(&state, &digest).await?;
    let path = state.config.data.join("components").join(format!("{}.wasm", digest.hex()));
    let file = tokio::fs::File::open(&path).await.map_err(|why| {
        Problem::new(Code::StoreDamaged, "the component is known, but its bytes are not there").log(why)
    })?;
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (piece.freeze(), file)))
    });
    let mut response = (StatusCode::OK, Body::from_stream(pieces)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(component.size));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}
