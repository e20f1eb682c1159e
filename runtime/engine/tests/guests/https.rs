//! Requests over TLS, to a server whose certificate is from an unknown authority.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tidemill_core::manifest::Grants;
use tidemill_engine::{EgressPolicy, Roots};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::TestHost;

/// Serves `hello` over TLS on this machine, with a certificate for `names`. Returns its port and
/// the certificate of its authority, as PEM.
async fn server(names: &[&str]) -> (u16, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();

    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Refused by a client that does not know the authority.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, root)
}

fn near(roots: Roots) -> TestHost {
    TestHost::with(|config| config.egress = EgressPolicy { allow_private: true, roots, ..EgressPolicy::default() })
}

#[tokio::test]
async fn a_server_of_an_authority_that_the_operator_trusts_is_reached() {
    let (port, root) = server(&["127.0.0.1", "localhost"]).await;
    let host = near(Roots::from_pem(root.as_bytes()).unwrap());
    for name in ["127.0.0.1", "localhost"] {
        let origin = format!("https://{name}:{port}");
        let grants = Grants { http: vec![origin.parse().unwrap()], ..Grants::default() };
        let answer = host.hostile().await.grant(grants).output(json!({ "do": "fetch", "url": origin })).await;
        assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!("hello")));
    }
}

#[tokio::test]
async fn certificates_of_unknown_authorities_or_other_names_are_refused() {
    let (port, root) = server(&["elsewhere.example"]).await;
    let (_, other) = server(&[]).await;
    for roots in [root, other] {
        let host = near(Roots::from_pem(roots.as_bytes()).unwrap());
        let origin = format!("https://127.0.0.1:{port}");
        let grants = Grants { http: vec![origin.parse().unwrap()], ..Grants::default() };
        let (failure, _) = host.hostile().await.grant(grants).failure(json!({ "do": "fetch", "url": origin })).await;
        assert_eq!(failure.code, "host/http-connect-failed");
        assert!(failure.message.contains("certificate"), "{failure}");
    }
}
