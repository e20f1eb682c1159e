//! The server on a real socket: its timeouts, its maximum sizes, and its shutdown.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::world::World;

struct ServedApi {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    _host: tidemill_control::ControlPlane,
    _folder: tempfile::TempDir,
}

async fn serve(world: World) -> ServedApi {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let World { api, host, folder, .. } = world;
    let ended = tokio::spawn(async move {
        let stop = async { drop(stopped.await) };
        api.serve(listener, stop, Duration::from_secs(5)).await;
    });
    ServedApi { address, stop, ended, _host: host, _folder: folder }
}

fn client() -> reqwest::Client {
    // The first test installs it; all tests use the same.
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

/// Opens a connection from `source`, with the smallest receive buffer that the system allows.
async fn connect(served: &ServedApi, source: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(served.address).await.unwrap()
}

/// Returns what the server sends on a connection until it closes, within a bounded time.
async fn rest(socket: &mut TcpStream) -> std::io::Result<String> {
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.unwrap()?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Returns the status of the next answer on a connection that stays open.
async fn status(socket: &mut TcpStream, request: &str) -> String {
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 2048];
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..read]).chars().skip(9).take(3).collect()
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn connections_beyond_the_maximum_are_refused_and_probes_are_answered() {
    let world = World::with(|config| (config.connections, config.connections_per_peer) = (2, 2)).await;
    let served = serve(world).await;
    let mut held = [connect(&served, "127.0.0.1").await, connect(&served, "127.0.0.1").await];
    for socket in &mut held {
        assert_eq!(status(socket, HEALTH).await, "200");
    }
    let list = b"GET /v1/runs HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let refused = exchange(served.address, list).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("host/overloaded"), "{refused}");
    assert!(refused.contains("retry-after: 1") && refused.contains("connection: close"), "{refused}");
    // Idle connections do not keep a probe out.
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(connect(&served, "127.0.0.1").await);
        let probe = exchange(served.address, HEALTH.as_bytes()).await;
        assert!(probe.starts_with("HTTP/1.1 200"), "{probe}");
    }
    drop((held, idle));
    while !exchange(served.address, &[list.split_last_chunk::<2>().unwrap().0, b"connection: close\r\n\r\n"].concat())
        .await
        .starts_with("HTTP/1.1 200")
    {}
}

#[tokio::test]
async fn one_address_cannot_take_every_connection() {
    let world = World::with(|config| (config.connections, config.connections_per_peer) = (9, 1)).await;
    let served = serve(world).await;
    let list = "GET /v1/runs HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut first = connect(&served, "127.0.0.1").await;
    assert_eq!(status(&mut first, list).await, "200");
    assert_eq!(status(&mut connect(&served, "127.0.0.1").await, list).await, "503");
    assert_eq!(status(&mut connect(&served, "127.0.0.2").await, list).await, "200");
    assert_eq!(status(&mut first, list).await, "200");
}

#[tokio::test]
async fn an_answer_that_is_not_read_ends_the_connection() {
    let world = World::with(|config| {
        config.write_timeout = Duration::from_millis(50);
        config.header_timeout = Duration::from_secs(3600);
    })
    .await;
    let served = serve(world).await;
    let mut socket = connect(&served, "127.0.0.1").await;
    let page = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
    // The server stops reading if its answers are not read; then it closes the connection.
    let ended = tokio::time::timeout(Duration::from_secs(60), async { while socket.write_all(&page).await.is_ok() {} });
    ended.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_shows_no_token_ends() {
    let world = World::with(|config| {
        config.token = Some("s3cret-s3cret-s3".to_owned());
        config.stranger_timeout = Duration::from_millis(200);
        config.header_timeout = Duration::from_secs(3600);
    })
    .await;
    let served = serve(world).await;
    let list = "GET /v1/runs HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer s3cret-s3cret-s3\r\n\r\n";
    let mut known = connect(&served, "127.0.0.1").await;
    assert_eq!(status(&mut known, list).await, "200");
    let mut stranger = connect(&served, "127.0.0.1").await;
    assert_eq!(status(&mut stranger, HEALTH).await, "200");
    assert_eq!(rest(&mut stranger).await.unwrap(), "");
    let mut silent = connect(&served, "127.0.0.1").await;
    assert_eq!(rest(&mut silent).await.unwrap(), "");
    assert_eq!(status(&mut known, list).await, "200");
}

#[tokio::test]
async fn a_request_without_one_host_is_refused() {
    let served = serve(World::new().await).await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nconnection: close\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: a\r\nhost: a\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: a/b\r\n", "400"),
        ("GET http://evil.example/healthz HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\n", "200"),
        ("GET http://localhost/healthz HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\n", "200"),
        ("GET /healthz HTTP/1.0\r\n", "200"),
    ] {
        let answer = exchange(served.address, format!("{head}\r\n").as_bytes()).await;
        assert_eq!(answer.get(9..12), Some(status), "{head}{answer}");
    }
}

#[tokio::test]
async fn failed_authentications_are_throttled_and_the_right_token_passes() {
    let token = "s3cret-s3cret-s3";
    let served = serve(World::with(|config| config.token = Some(token.to_owned())).await).await;
    let client = client();
    let ask = async |token: &str| {
        let url = format!("http://{}/v1/runs", served.address);
        client.get(url).bearer_auth(token).send().await.unwrap()
    };
    for _ in 0..20 {
        assert_eq!(ask("wrong").await.status(), 401);
    }
    let throttled = ask("wrong").await;
    assert_eq!(throttled.status(), 429);
    let seconds: u64 = throttled.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(throttled.json::<serde_json::Value>().await.unwrap()["code"], "host/too-many-attempts");
    assert_eq!(ask(token).await.status(), 200);
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_all_of_its_body_first() {
    let world = World::with_hello().await;
    let served = serve(world).await;
    let body = "x".repeat(6 << 20);
    let head = |more: &str| format!("POST /v1/deployments/hello/runs HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
    let known = head(&format!("content-length: {}\r\n", body.len())) + &body;
    let chunked = head("transfer-encoding: chunked\r\n") + &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let foreign = head(&format!("origin: http://evil.example\r\ncontent-length: {}\r\n", body.len())) + &body;
    for (request, status) in [(known, "413"), (chunked, "413"), (foreign, "403")] {
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut socket).await.unwrap();
        assert_eq!(answer.get(9..12), Some(status), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.contains("\"code\":"), "{answer}");
    }
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
async fn stalled_headers_time_out() {
    let world = World::with(|config| config.header_timeout = Duration::from_millis(100)).await;
    let served = serve(world).await;
    let answer = exchange(served.address, b"GET /healthz HTTP/1.1\r\nhost: loc").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_stalled_body_times_out() {
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
async fn requests_that_are_not_http_are_refused_or_closed() {
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
        // The host may close the connection before everything is written.
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
