//! Verification by PayPal's API, which confirms that a signature is valid.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::Mutex;
use serde::Deserialize;
use tidemill_core::DeploymentName;
use tidemill_core::wire::json;
use tidemill_engine::egress::{ProviderRequest, ProviderResponse};
use tidemill_engine::secrets::SecretValue;
use tidemill_webhook::{PostbackRequest, VerificationFailure, confirmed};
use tokio::sync::Semaphore;

use super::answer::{ANSWER_BYTES, TIMEOUT, unavailable};
use crate::hook::provider::ProviderRequests;

/// Maximum number of questions at a time.
const QUESTIONS: usize = 16;
/// Maximum number of access tokens in memory.
const TOKENS: usize = 64;
/// Maximum length of an access token, in bytes.
const TOKEN_BYTES: usize = 4_096;
/// How long before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(60);

/// The client of PayPal's API.
#[derive(Debug)]
pub(crate) struct PostbackClient {
    providers: Arc<dyn ProviderRequests>,
    tokens: Mutex<HashMap<(DeploymentName, &'static str), AccessToken>>,
    questions: Semaphore,
}

/// A token of PayPal's API, and the credentials for which it was given.
#[derive(Debug, Clone)]
struct AccessToken {
    client: SecretValue,
    value: SecretValue,
    until: Duration,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

impl PostbackClient {
    pub(crate) fn new(providers: Arc<dyn ProviderRequests>) -> Self {
        Self { providers, tokens: Mutex::default(), questions: Semaphore::new(QUESTIONS) }
    }

    /// Returns whether PayPal confirms a signature. `client` is `client-id:client-secret`.
    pub(crate) async fn confirm(
        &self,
        deployment: &DeploymentName,
        question: PostbackRequest,
        client: &SecretValue,
        now: Duration,
    ) -> Result<bool, VerificationFailure> {
        let _turn = self.questions.acquire().await;
        let key = (deployment.clone(), question.origin);
        let mut answer = self.ask(deployment, &question, client, now).await?;
        if answer.status == 401 {
            // PayPal may have revoked the token.
            self.tokens.lock().remove(&key);
            answer = self.ask(deployment, &question, client, now).await?;
        }
        match answer.status {
            200 => {
                confirmed(&answer.body).ok_or_else(|| unavailable("PayPal's answer does not say SUCCESS or FAILURE"))
            }
            status => Err(unavailable(format!("PayPal's API answered with status {status}"))),
        }
    }

    async fn ask(
        &self,
        deployment: &DeploymentName,
        question: &PostbackRequest,
        client: &SecretValue,
        now: Duration,
    ) -> Result<ProviderResponse, VerificationFailure> {
        let token = self.token(deployment, question.origin, client, now).await?;
        let bearer = format!("Bearer {}", String::from_utf8_lossy(token.expose()));
        let headers = vec![("authorization", bearer), ("content-type", "application/json".to_owned())];
        self.post(deployment, question.origin, question.path, headers, question.body.clone()).await
    }

    /// Returns a token that is valid for these credentials.
    async fn token(
        &self,
        deployment: &DeploymentName,
        origin: &'static str,
        client: &SecretValue,
        now: Duration,
    ) -> Result<SecretValue, VerificationFailure> {
        let key = (deployment.clone(), origin);
        let known = self.tokens.lock().get(&key).filter(|known| known.client == *client && now < known.until).cloned();
        if let Some(known) = known {
            return Ok(known.value);
        }
        let headers = vec![
            ("authorization", format!("Basic {}", BASE64.encode(client.expose()))),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ];
        let body = b"grant_type=client_credentials".to_vec();
        let answer = self.post(deployment, origin, "/v1/oauth2/token", headers, body).await?;
        if answer.status != 200 {
            let status = answer.status;
            return Err(unavailable(format!("PayPal's API gave no access token: status {status}")));
        }
        let parsed =
            json::check(&answer.body, ANSWER_BYTES).ok().and_then(|()| serde_json::from_slice(&answer.body).ok());
        let fits = |token: &TokenAnswer| {
            let text = token.access_token.as_bytes();
            (1..=TOKEN_BYTES).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
        };
        let TokenAnswer { access_token, expires_in } =
            parsed.filter(fits).ok_or_else(|| unavailable("PayPal's API gave no access token that can be read"))?;
        let value = SecretValue::new(access_token.into_bytes());
        let until = now.saturating_add(Duration::from_secs(expires_in)).saturating_sub(MARGIN);
        let mut tokens = self.tokens.lock();
        if tokens.len() >= TOKENS {
            tokens.retain(|_, token| now < token.until);
        }
        if tokens.len() < TOKENS {
            tokens.insert(key, AccessToken { client: client.clone(), value: value.clone(), until });
        }
        Ok(value)
    }

    async fn post(
        &self,
        deployment: &DeploymentName,
        origin: &str,
        path: &str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Result<ProviderResponse, VerificationFailure> {
        let request = ProviderRequest {
            method: "POST",
            origin: origin.to_owned(),
            path: path.to_owned(),
            headers,
            body,
            timeout: TIMEOUT,
            answer_bytes: ANSWER_BYTES,
        };
        self.providers.send(deployment, request).await.map_err(|failure| unavailable(failure.message))
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use rustls_pki_types::CertificateDer;
    use tidemill_core::Failure;

    use super::*;

    /// An API that gives numbered tokens and accepts the last one.
    #[derive(Debug, Default)]
    struct TestApi(Mutex<ApiState>);

    #[derive(Debug, Default)]
    struct ApiState {
        tokens: u32,
        questions: u32,
        /// Whether the tokens so far are revoked.
        revoked: bool,
        /// The answer to a question, in place of `SUCCESS`.
        answer: Option<(u16, &'static str)>,
    }

    impl TestApi {
        /// Numbers of tokens and of questions so far.
        fn counts(&self) -> (u32, u32) {
            let state = self.0.lock();
            (state.tokens, state.questions)
        }
    }

    #[async_trait]
    impl ProviderRequests for TestApi {
        async fn send(&self, _: &DeploymentName, request: ProviderRequest) -> Result<ProviderResponse, Failure> {
            let mut state = self.0.lock();
            let authorization = &request.headers[0].1;
            let answer = |status, body: String| Ok(ProviderResponse { status, body: body.into_bytes() });
            if request.path == "/v1/oauth2/token" {
                assert_eq!(request.body, b"grant_type=client_credentials");
                assert!(authorization.starts_with("Basic "));
                state.tokens += 1;
                state.revoked = false;
                return answer(200, format!(r#"{{"access_token":"A{}","expires_in":3600}}"#, state.tokens));
            }
            state.questions += 1;
            if state.revoked || *authorization != format!("Bearer A{}", state.tokens) {
                return answer(401, String::new());
            }
            let (status, body) = state.answer.unwrap_or((200, r#"{"verification_status":"SUCCESS"}"#));
            answer(status, body.to_owned())
        }

        fn authorities(&self) -> Vec<CertificateDer<'static>> {
            Vec::new()
        }
    }

    async fn confirm(client: &PostbackClient, pair: &str, seconds: u64) -> Result<bool, VerificationFailure> {
        let question = PostbackRequest {
            origin: "https://api-m.paypal.com",
            path: "/v1/notifications/verify-webhook-signature",
            body: b"{}".to_vec(),
        };
        let pair = SecretValue::new(pair.as_bytes().to_vec());
        client.confirm(&"shop".parse().unwrap(), question, &pair, Duration::from_secs(seconds)).await
    }

    fn client() -> (Arc<TestApi>, PostbackClient) {
        let api = Arc::new(TestApi::default());
        (Arc::clone(&api), PostbackClient::new(api))
    }

    #[tokio::test]
    async fn a_token_is_used_until_it_ends_or_the_credentials_change() {
        let (api, client) = client();
        for (pair, seconds, tokens) in
            [("a:b", 1, 1), ("a:b", 3_540, 1), ("a:b", 3_541, 2), ("a:c", 3_542, 3), ("a:c", 3_543, 3)]
        {
            assert_eq!(confirm(&client, pair, seconds).await, Ok(true));
            assert_eq!(api.0.lock().tokens, tokens, "{pair} {seconds}");
        }
    }

    #[tokio::test]
    async fn a_revoked_token_is_replaced_once() {
        let (api, client) = client();
        assert_eq!(confirm(&client, "a:b", 1).await, Ok(true));
        api.0.lock().revoked = true;
        assert_eq!(confirm(&client, "a:b", 2).await, Ok(true));
        assert_eq!(api.counts(), (2, 3));
        api.0.lock().answer = Some((401, ""));
        assert!(matches!(confirm(&client, "a:b", 3).await, Err(VerificationFailure::Unavailable(_))));
        assert_eq!(api.counts(), (3, 5));
    }

    #[tokio::test]
    async fn only_an_answer_with_the_word_success_confirms() {
        let (api, client) = client();
        for (status, body, result) in [
            (200, r#"{"verification_status":"FAILURE"}"#, Some(false)),
            (200, "{}", None),
            (200, "", None),
            (201, r#"{"verification_status":"SUCCESS"}"#, None),
            (302, r#"{"verification_status":"SUCCESS"}"#, None),
            (500, "", None),
        ] {
            api.0.lock().answer = Some((status, body));
            let found = confirm(&client, "a:b", 1).await;
            assert_eq!(found.as_ref().ok().copied(), result, "{status} {body}");
            assert!(found.is_ok() || matches!(found, Err(VerificationFailure::Unavailable(_))), "{found:?}");
        }
    }
}
