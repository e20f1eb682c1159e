//! Sends e-mail for the host to the mail server that its operator names. The address of the server
//! is checked by the same rules as that of a request, and the checked address is the connected one.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tidemill_core::alerts::EmailTls;
use tidemill_core::origin::{Origin, Scheme};
use tidemill_core::{Code, Failure};

use super::address::is_public;
use super::authorize::refused;
use super::policy::EgressPolicy;
use crate::secrets::SecretValue;

/// An e-mail in plain text.
#[derive(Clone)]
pub struct MailRequest {
    /// The host name or address of the mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: EmailTls,
    /// User and password, if the server requires them.
    pub login: Option<(String, SecretValue)>,
    /// The address of the sender.
    pub from: String,
    /// The addresses of the receivers.
    pub to: Vec<String>,
    /// The id of the message, the same at each try, without brackets.
    pub message_id: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// Maximum time until the server has accepted it.
    pub timeout: Duration,
}

impl fmt::Debug for MailRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailRequest({}:{} {})", self.host, self.port, self.message_id)
    }
}

/// Sends an e-mail.
pub(super) async fn send(policy: &EgressPolicy, request: MailRequest) -> Result<(), Failure> {
    let (host, port) = (request.host.clone(), request.port);
    let late = || Code::HttpTimeout.failure(format!("the mail server {host}:{port} did not answer in time"));
    tokio::time::timeout(request.timeout, send_now(policy, request)).await.unwrap_or_else(|_| Err(late()))
}

async fn send_now(policy: &EgressPolicy, request: MailRequest) -> Result<(), Failure> {
    let server = resolve(policy, &request).await?;
    let message = message(&request)?;
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.ip().to_string())
        .port(server.port())
        .timeout(Some(request.timeout))
        .tls(tls(policy, &request)?);
    if let Some((user, password)) = &request.login {
        let password = std::str::from_utf8(password.expose())
            .map_err(|_| Code::HttpBadRequest.failure("the password of the mail server is not UTF-8"))?;
        transport = transport.credentials(Credentials::new(user.clone(), password.to_owned()));
    }
    // The server's answer repeats no password.
    transport.build().send(message).await.map(drop).map_err(|error| {
        let words: String = with_causes(&error).chars().take(300).collect();
        let code = if error.is_permanent() { Code::HttpBadRequest } else { Code::HttpConnectFailed };
        code.failure(format!("the mail server {}:{}: {words}", request.host, request.port))
    })
}

/// Returns the address to connect to. A server counts as the origin `https://host:port`, or with
/// `http` if the connection is not protected.
async fn resolve(policy: &EgressPolicy, request: &MailRequest) -> Result<SocketAddr, Failure> {
    let MailRequest { host, port, tls, .. } = request;
    let scheme = if *tls == EmailTls::None { Scheme::Http } else { Scheme::Https };
    let origin = Origin::new(scheme, host, *port)
        .map_err(|_| Code::HttpBadRequest.failure(format!("`{host}` is not a host name")))?;
    if !policy.allows(&origin) {
        return Err(Code::EgressDenied.failure(format!("the operator's policy does not allow requests to {origin}")));
    }
    let unreachable = |why: String| Code::HttpConnectFailed.failure(format!("{origin} could not be reached: {why}"));
    let all: Vec<_> = match origin.address() {
        Some(address) => vec![SocketAddr::new(address, *port)],
        None => {
            let found = tokio::net::lookup_host((origin.host(), *port)).await;
            found.map_err(|error| unreachable(error.to_string()))?.collect()
        }
    };
    let private = policy.allows_private(&origin);
    match all.iter().find(|address| private || is_public(address.ip())) {
        Some(address) => Ok(*address),
        None => match all.first() {
            Some(address) => Err(refused(&origin, &format!("{} is not on the public internet", address.ip()))),
            None => Err(unreachable("its name has no address".to_owned())),
        },
    }
}

fn tls(policy: &EgressPolicy, request: &MailRequest) -> Result<Tls, Failure> {
    if request.tls == EmailTls::None {
        return Ok(Tls::None);
    }
    let failed = |error: lettre::transport::smtp::Error| {
        Code::HttpBadRequest.failure(format!("this host cannot use TLS: {}", with_causes(&error)))
    };
    let mut parameters = TlsParameters::builder(request.host.clone());
    for der in policy.roots.ders() {
        parameters = parameters.add_root_certificate(Certificate::from_der(der.to_vec()).map_err(failed)?);
    }
    let parameters = parameters.build_rustls().map_err(failed)?;
    Ok(if request.tls == EmailTls::Implicit { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
}

fn message(request: &MailRequest) -> Result<Message, Failure> {
    let mailbox = |text: &str| -> Result<Mailbox, Failure> {
        let address: Result<Address, _> = text.parse();
        address
            .map(|address| Mailbox::new(None, address))
            .map_err(|error| Code::HttpBadRequest.failure(format!("`{text}` is not an address: {error}")))
    };
    let mut message = Message::builder()
        .from(mailbox(&request.from)?)
        .subject(request.subject.clone())
        .message_id(Some(format!("<{}>", request.message_id)))
        .header(ContentType::TEXT_PLAIN);
    for to in &request.to {
        message = message.to(mailbox(to)?);
    }
    message.body(request.text.clone()).map_err(|error| Code::HttpBadRequest.failure(error.to_string()))
}

/// Returns the text of an error with those of its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    fn request(port: u16) -> MailRequest {
        MailRequest {
            host: "127.0.0.1".to_owned(),
            port,
            tls: EmailTls::None,
            login: None,
            from: "tidemill@example.com".to_owned(),
            to: vec!["ops@example.com".to_owned(), "cto@example.com".to_owned()],
            message_id: "01kd@example.com".to_owned(),
            subject: "[page] firing: unhealthy on shop – é".to_owned(),
            text: "no answer\n.\nalert: 01kd".to_owned(),
            timeout: Duration::from_secs(10),
        }
    }

    fn private() -> EgressPolicy {
        EgressPolicy { allow_private: true, ..EgressPolicy::default() }
    }

    /// Plays a mail server for one connection, and returns the lines that it received.
    async fn serve(listener: TcpListener, refuses: bool) -> Vec<String> {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let (mut lines, mut got, mut in_data) = (BufReader::new(read).lines(), Vec::new(), false);
        write.write_all(b"220 mail.example.com\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer: &[u8] = match (in_data, line.as_str()) {
                (true, ".") => {
                    in_data = false;
                    b"250 accepted\r\n"
                }
                (true, _) => b"",
                (false, "DATA") => {
                    in_data = true;
                    b"354 go ahead\r\n"
                }
                (false, text) if text.starts_with("EHLO") => b"250 mail.example.com\r\n",
                (false, text) if refuses && text.starts_with("RCPT") => b"550 no such user\r\n",
                (false, "QUIT") => b"221 bye\r\n",
                _ => b"250 ok\r\n",
            };
            got.push(line);
            write.write_all(answer).await.unwrap();
        }
        got
    }

    #[tokio::test]
    async fn a_message_reaches_all_receivers_with_its_id() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(serve(listener, false));
        send(&private(), request(port)).await.unwrap();
        let got = server.await.unwrap();
        let has = |line: &str| got.iter().any(|got| got == line);
        assert!(has("RCPT TO:<ops@example.com>") && has("RCPT TO:<cto@example.com>"), "{got:?}");
        assert!(has("Message-ID: <01kd@example.com>"), "{got:?}");
        assert!(has("..") || has("=2E"), "a line with a dot does not end the message: {got:?}");
    }

    #[tokio::test]
    async fn a_server_that_refuses_or_may_not_be_reached_is_reported() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(serve(listener, true));
        let failure = send(&private(), request(port)).await.unwrap_err();
        assert!(failure.message.contains("no such user"), "{failure:?}");
        drop(server.await);
        let failure = send(&private(), request(port)).await.unwrap_err();
        assert_eq!(failure.code, Code::HttpConnectFailed.as_str());
        let failure = send(&EgressPolicy::default(), request(port)).await.unwrap_err();
        assert_eq!(failure.code, Code::AddressRefused.as_str());
        let denied = EgressPolicy { deny: vec!["http://127.0.0.1:*".parse().unwrap()], ..private() };
        assert_eq!(send(&denied, request(port)).await.unwrap_err().code, Code::EgressDenied.as_str());
    }

    #[test]
    fn a_message_cannot_be_given_other_headers() {
        let mut request = request(25);
        request.subject = "x\r\nBcc: other@example.com".to_owned();
        let text = String::from_utf8(message(&request).unwrap().formatted()).unwrap();
        assert!(!text.contains("\r\nBcc:"), "{text}");
        request.to = vec!["not an address".to_owned()];
        assert!(message(&request).is_err());
    }
}
