//! The host's own requests to providers of webhooks.

use std::time::Duration;

use tidemill_core::clock::Stopwatch;
use tidemill_core::origin::OriginPattern;
use tidemill_engine::EgressPolicy;
use tidemill_engine::egress::{ProviderRequest, ProviderResponse};

use crate::server::{NEVER, Server, answer, ok};
use crate::support::TestHost;

fn request(server: &Server, path: &str) -> ProviderRequest {
    ProviderRequest {
        method: "GET",
        origin: server.origin(),
        path: path.to_owned(),
        headers: vec![("authorization", "Bearer a-token".to_owned())],
        body: Vec::new(),
        timeout: Duration::from_secs(20),
        answer_bytes: 1_024,
    }
}

fn host(change: impl FnOnce(&mut EgressPolicy)) -> TestHost {
    TestHost::with(|config| {
        config.egress.allow_private = true;
        change(&mut config.egress);
    })
}

async fn send(host: &TestHost, request: ProviderRequest) -> Result<ProviderResponse, String> {
    let client = host.engine.provider_client();
    client.send(&"shop".parse().unwrap(), request).await.map_err(|failure| failure.code)
}

#[tokio::test]
async fn an_answer_is_returned_as_it_is() {
    let server = Server::start(|request, _| {
        assert_eq!(request.headers["authorization"], "Bearer a-token");
        answer("404 Not Found", "", "none")
    });
    let (server, host) = (server.await, host(|_| {}));
    let answer = send(&host, request(&server, "/certs/a")).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (404, &b"none"[..]));
    assert_eq!(server.requests()[0].line, "GET /certs/a HTTP/1.1");
}

#[tokio::test]
async fn the_rules_for_egress_apply() {
    let server = Server::start(|_, _| ok("x")).await;
    let denied = host(|egress| egress.deny = vec![server.origin().parse::<OriginPattern>().unwrap()]);
    assert_eq!(send(&denied, request(&server, "/")).await.unwrap_err(), "host/egress-denied");
    let elsewhere = host(|egress| egress.allow = vec!["https://api.paypal.com".parse().unwrap()]);
    assert_eq!(send(&elsewhere, request(&server, "/")).await.unwrap_err(), "host/egress-denied");
    let public = host(|egress| egress.allow_private = false);
    assert_eq!(send(&public, request(&server, "/")).await.unwrap_err(), "host/address-refused");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_answer_has_its_bounds() {
    let server = Server::start(|request, _| match request.line.split(' ').nth(1) {
        Some("/fits") => ok(&"x".repeat(1_024)),
        Some("/long") => ok(&"x".repeat(1_025)),
        Some("/elsewhere") => answer("302 Found", "location: /fits\r\n", ""),
        _ => NEVER,
    });
    let (server, host) = (server.await, host(|_| {}));
    assert_eq!(send(&host, request(&server, "/fits")).await.unwrap().body.len(), 1_024);
    assert_eq!(send(&host, request(&server, "/long")).await.unwrap_err(), "host/limit-http-body");
    // A redirect is not followed.
    assert_eq!(send(&host, request(&server, "/elsewhere")).await.unwrap().status, 302);
    let begun = Stopwatch::start();
    let late = ProviderRequest { timeout: Duration::from_millis(300), ..request(&server, "/never") };
    assert_eq!(send(&host, late).await.unwrap_err(), "host/http-timeout");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn authorities_are_those_of_the_operator_and_of_the_machine() {
    let own = rcgen::CertifiedIssuer::self_signed(
        {
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params
        },
        rcgen::KeyPair::generate().unwrap(),
    );
    let own = own.unwrap();
    let roots = tidemill_engine::Roots::from_pem(own.pem().as_bytes()).unwrap();
    let with = host(|egress| egress.roots = roots);
    let (with, without) = (with.engine.provider_client().authorities(), host(|_| {}).engine.provider_client());
    assert!(with.iter().any(|certificate| certificate.as_ref() == own.der().as_ref()));
    assert_eq!(with.len(), without.authorities().len() + 1);
}
