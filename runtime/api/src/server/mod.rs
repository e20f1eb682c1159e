//! The server: accepts connections, speaks HTTP/1.1 on them with bounds in time and size, and ends them in order.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::config::{ApiConfig, HEADER_BYTES, URL_BYTES};
use crate::stream;

/// What a connection holds of a request before its body: more than what is allowed, so that what is beyond is refused
/// with a problem, and not by closing the connection.
const BUFFER: usize = 2 * (HEADER_BYTES + URL_BYTES);
/// After an error of `accept` that is not the caller's fault, such as too many open files.
const BREATH: Duration = Duration::from_millis(50);

/// Serves `router` until `stop` is done; then takes no more connections, lets requests finish for at most `within`,
/// and closes what is left.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &ApiConfig,
    closing: &watch::Sender<bool>,
    stop: impl Future<Output = ()>,
    within: Duration,
) {
    let server = Arc::new(server(config));
    let places = Arc::new(Semaphore::new(config.connections));
    let mut open = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
        };
        match accepted {
            Ok((socket, place)) => {
                open.spawn(connection(Arc::clone(&server), socket, router.clone(), closing.subscribe(), place));
            }
            Err(why) => {
                tracing::warn!(cause = %why, "a connection was not accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    closing.send_replace(true);
    let rest = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(within, rest).await.is_err() {
        tracing::warn!(connections = open.len(), "connections are closed with requests still in hand");
    }
    open.shutdown().await;
}

fn server(config: &ApiConfig) -> http1::Builder {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(config.header_timeout).max_buf_size(BUFFER);
    server
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (socket, _) = listener.accept().await?;
    // An answer is one write; it must not wait for the next.
    socket.set_nodelay(true)?;
    Ok((socket, place))
}

async fn connection(
    server: Arc<http1::Builder>,
    socket: TcpStream,
    router: Router,
    mut closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    let service = TowerToHyperService::new(router);
    let served = server.serve_connection(TokioIo::new(socket), service);
    tokio::pin!(served);
    let ended: Result<(), hyper::Error> = tokio::select! {
        ended = served.as_mut() => ended,
        () = stream::closed(&mut closing) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(cause = %why, "a connection ended early");
    }
}
