//! The test upstream of a project: serves JSON files of its folder `upstream/` on loopback, in
//! place of a real server.
//!
//! `GET /sales` returns `upstream/sales.json`, whatever the query is. Nothing else is served.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;

use crate::printer::Printer;

/// The address on which it listens. Templates name it.
pub const ADDRESS: &str = "127.0.0.1:7078";
/// Name of the folder in a project.
const FOLDER: &str = "upstream";
/// Maximum size of a served file, in bytes.
const FILE_BYTES: u64 = 1 << 20;

/// Serves a project's folder `upstream/` until the command ends. Does nothing if the project has
/// none.
pub async fn serve(project: &Path, printer: &Printer) {
    let folder = project.join(FOLDER);
    if !folder.is_dir() {
        return;
    }
    match TcpListener::bind(ADDRESS).await {
        Ok(listener) => {
            printer.note(&format!("{} is served at http://{ADDRESS}", folder.display()));
            let router = Router::new().fallback(answer).with_state(folder);
            tokio::spawn(async move {
                if let Err(cause) = axum::serve(listener, router).await {
                    tracing::warn!(%cause, "the local upstream ended");
                }
            });
        }
        Err(cause) => printer.warn(&format!("{} is not served: {ADDRESS}: {cause}", folder.display())),
    }
}

async fn answer(State(folder): State<PathBuf>, request: Request) -> Response {
    if request.method() != Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n").into_response();
    }
    match read(&folder, request.uri().path()).await {
        Some(text) => {
            let mut response = text.into_response();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

/// Returns the file for a path of one plain word; `None` for any other path.
async fn read(folder: &Path, path: &str) -> Option<Vec<u8>> {
    let word = path.strip_prefix('/')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if word.is_empty() || word.len() > 64 || !word.bytes().all(plain) {
        return None;
    }
    let file = folder.join(format!("{word}.json"));
    let about = tokio::fs::metadata(&file).await.ok()?;
    if !about.is_file() || about.len() > FILE_BYTES {
        return None;
    }
    tokio::fs::read(file).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_file_of_the_folder_is_served() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("upstream")).unwrap();
        std::fs::write(folder.path().join("upstream/sales.json"), "[]").unwrap();
        std::fs::write(folder.path().join("secret.json"), "{}").unwrap();
        let upstream = folder.path().join("upstream");
        assert_eq!(read(&upstream, "/sales").await.as_deref(), Some(&b"[]"[..]));
        for other in ["/", "", "/nothing", "/../secret", "/..%2fsecret", "/sales.json", "/a/sales", "/ſales"] {
            assert_eq!(read(&upstream, other).await, None, "{other}");
        }
    }
}
