//! The server on a real socket: its bounds in time and size, and its end.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::world::World;

struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    _host: tidemill_control::Host,
    _folder: tempfile::TempDir,
}

async fn serve(world: World) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let World { api, host, folder, .. } = world;
    let ended = tokio::spawn(async move {
        let stop = async { drop(stopped.await) };
        api.serve(listener, stop, Duration::from_secs(5)).await;
    });
    Served { address, stop, ended, _host: host, _folder: folder }
}

fn client() -> reqwest::Client {
    // Whoever comes first installs it; all want the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_are_answered_over_a_socket() {
    let served = serve(World::with_hello().await).await;
    let client = client();
    let url = format!("http://{}/v1/deployments/hello/runs", served.address);
    let run = client.post(url).header("prefer", "wait=20").json(&json!({"n": 1})).send().await.unwrap();
    assert_eq!(run.status(), 200);
    assert_eq!(run.json::<serde_json::Value>().await.unwrap()["output"], json!({"n": 1}));
}

#[tokio::test]
async fn headers_that_do_not_come_are_given_up() {
    let world = World::with(|config| config.header_timeout = Duration::from_millis(100)).await;
    let served = serve(world).await;
    let answer = exchange(served.address, b"GET /healthz HTTP/1.1\r\nhost: loc").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let world = World::with(|config| config.body_timeout = Duration::from_millis(100)).await;
    let served = serve(world).await;
    for path in ["/v1/deployments/a/runs", "/v1/runs/00000000000000000000000000/cancel"] {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\nconnection: close\r\n\r\n{{");
        let answer = exchange(served.address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("host/request-timeout"), "{answer}");
    }
    let head = "PUT /v1/modules/a/versions/1.0.0 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\nconnection: close\r\n\r\nx";
    assert!(exchange(served.address, head.as_bytes()).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn what_is_no_http_is_answered_or_closed() {
    let served = serve(World::new().await).await;
    let mut noise: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET  HTTP/1.1\r\n\r\n".to_vec(),
        b"POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        b"POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n".to_vec(),
    ];
    noise.push(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000)).into_bytes());
    noise.push(format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(200_000)).into_bytes());
    noise.push(format!("GET / HTTP/1.1\r\n{}\r\n", "x: 1\r\n".repeat(1_000)).into_bytes());
    for bytes in noise {
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        // The host may close before all is written.
        let _ = socket.write_all(&bytes).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(
        exchange(served.address, b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .contains("200 OK")
    );
}

#[tokio::test]
async fn the_end_lets_requests_finish_and_feeds_end() {
    let served = serve(World::with_hello().await).await;
    let client = client();
    let base = format!("http://{}", served.address);
    let feed = client.get(format!("{base}/v1/events")).send().await.unwrap();
    let slow = client.post(format!("{base}/v1/deployments/hello/runs")).header("prefer", "wait=20");
    let slow = tokio::spawn(slow.json(&json!({"sleep": 400})).send());
    tokio::time::sleep(Duration::from_millis(150)).await;
    served.stop.send(()).unwrap();
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
    let text = tokio::time::timeout(Duration::from_secs(10), feed.text()).await.unwrap().unwrap();
    assert!(text.contains("event: run"), "{text}");
    tokio::time::timeout(Duration::from_secs(10), served.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}
