//! Limits of the resources that other users and peers can take from a host: connections, and access
//! to its files.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::program::TestHost;

/// Returns the host's answer to a request from `source`.
async fn answer(source: &str, address: SocketAddr, request: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream
        .write_all(format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn idle_connections_keep_neither_probes_nor_other_addresses_nor_the_store_from_working() {
    let folder = tempfile::tempdir().unwrap();
    let host = TestHost::with_open_files(&folder.path().join("data"), 400);
    let address: SocketAddr = host.url.trim_start_matches("http://").parse().unwrap();
    let mut idle = Vec::new();
    for _ in 0..600 {
        // The host closes connections beyond the reserve.
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(answer("127.0.0.1", address, "GET /readyz").await.starts_with("HTTP/1.1 200"));
    assert!(answer("127.0.0.1", address, "GET /v1/runs").await.starts_with("HTTP/1.1 503"));
    for _ in 0..50 {
        let published = answer("127.0.0.2", address, "POST /v1/topics/a/events").await;
        assert!(published.starts_with("HTTP/1.1 202"), "{published}");
    }
    let health = answer("127.0.0.2", address, "GET /v1/health").await;
    assert!(health.contains("\"status\":\"good\""), "{health}");
    drop(idle);
    while !answer("127.0.0.1", address, "GET /v1/runs").await.starts_with("HTTP/1.1 200") {}
    assert_eq!(host.terminate(), 0);
}

#[test]
fn a_hosts_files_are_readable_by_its_own_user_only() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let host = TestHost::start(&data, &[], None);
    assert_eq!(host.call(&["publish", "a", "--payload", "1"]).code, 0);
    fn look(path: &Path) {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has {mode:o}", path.display());
        if path.is_dir() {
            std::fs::read_dir(path).unwrap().for_each(|entry| look(&entry.unwrap().path()));
        }
    }
    look(&data);
    assert_eq!(host.terminate(), 0);
    look(&data);
}
