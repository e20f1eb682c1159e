//! `tidemill:guest/secrets`: signatures with secrets that remain outside the sandbox. A secret must
//! be granted with `use = "sign"`; a message holds at most 1 MiB.

use bytes::Bytes;
use data_encoding::HEXLOWER_PERMISSIVE;
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use tidemill_core::journal::Kind;
use tidemill_core::{Code, Failure};
use zeroize::Zeroizing;

use super::abi::{Contract, HostResult, Interface, answer};
use crate::guest::GuestState;
use crate::replay::state::hash;
use crate::secrets::SecretValue;

/// Maximum size of a message to sign, in bytes.
const MESSAGE_BYTES: usize = 1024 * 1024;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    Interface::new(contract, "secrets")?.call("sign", sign)
}

fn sign(
    guest: &mut GuestState,
    (name, algorithm, message): (String, String, Vec<u8>),
) -> wasmtime::Result<HostResult<Vec<u8>>> {
    if let Err(failure) = guest.check_cancelled().and_then(|()| guest.not_in_health_check("secrets.sign")) {
        return answer(Err(failure));
    }
    let request = hash(&[name.as_bytes(), algorithm.as_bytes(), &message]);
    if let Some(signed) = guest.replay::<Result<Bytes, Failure>>(Kind::Sign, request)? {
        return answer(signed.map(Vec::from));
    }
    let signed = sign_now(guest, &name, &algorithm, &message).map(Bytes::from);
    guest.record(Kind::Sign, request, &signed, Some(name.as_bytes()))?;
    answer(signed.map(Vec::from))
}

fn sign_now(guest: &GuestState, name: &str, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, Failure> {
    if !guest.grants().secret(name).is_some_and(|grant| grant.sign) {
        return Err(Code::SecretNotGranted.failure(format!(
            "the deployment may not sign with secret `{0}`; add to `[grants]`: secrets = [{{ name = \"{0}\", use = \"sign\" }}]",
            shown(name)
        )));
    }
    if !guest.services.operator.now().may_sign(guest.run.deployment.as_str(), name) {
        return Err(Code::PolicyDenied.failure(format!(
            "the operator's policy does not allow this deployment to sign with secret `{}`",
            shown(name)
        )));
    }
    if message.len() > MESSAGE_BYTES {
        return Err(Code::BadArgument.failure(format!("a message to sign has at most {MESSAGE_BYTES} bytes")));
    }
    let secret = guest.services.secrets.secret(name)?.ok_or_else(|| {
        let place = guest.services.secrets.place(name);
        Code::SecretMissing.failure(format!("secret `{}` does not exist; put it into {place}", shown(name)))
    })?;
    sign_with(&secret, algorithm, message)
}

fn sign_with(secret: &SecretValue, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, Failure> {
    let mac = |algorithm| hmac::sign(&hmac::Key::new(algorithm, secret.expose()), message).as_ref().to_vec();
    match algorithm {
        "hmac-sha256" => Ok(mac(hmac::HMAC_SHA256)),
        "hmac-sha512" => Ok(mac(hmac::HMAC_SHA512)),
        "ed25519" => Ok(ed25519(secret)?.sign(message).as_ref().to_vec()),
        other => Err(Code::BadArgument.failure(format!(
            "unknown signature algorithm `{}`: use `hmac-sha256`, `hmac-sha512` or `ed25519`",
            shown(other)
        ))),
    }
}

/// Parses a private key: 32 bytes, 64 hexadecimal digits, or PKCS#8 in PEM or DER.
fn ed25519(secret: &SecretValue) -> Result<Ed25519KeyPair, Failure> {
    use base64::Engine as _;
    let bytes = secret.expose();
    let text = std::str::from_utf8(bytes).unwrap_or_default().trim();
    let pair = if bytes.len() == 32 {
        Ed25519KeyPair::from_seed_unchecked(bytes)
    } else if let Ok(seed) = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map(Zeroizing::new) {
        Ed25519KeyPair::from_seed_unchecked(&seed)
    } else if text.starts_with("-----BEGIN") {
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap_or_default();
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
    } else {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)
    };
    pair.map_err(|_| {
        Code::BadArgument
            .failure("the secret is not an ed25519 key: use 32 bytes, 64 hexadecimal digits, or PKCS#8 in PEM")
    })
}

fn shown(name: &str) -> String {
    name.chars().take(64).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn hmac_matches_rfc_4231() {
        let secret = SecretValue::new(b"Jefe".to_vec());
        let signed = sign_with(&secret, "hmac-sha256", b"what do ya want for nothing?").unwrap();
        assert_eq!(HEXLOWER.encode(&signed), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn ed25519_matches_rfc_8032_for_each_key_format() {
        let digits = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        for secret in [digits.as_bytes().to_vec(), HEXLOWER.decode(digits.as_bytes()).unwrap()] {
            assert_eq!(HEXLOWER.encode(&sign_with(&SecretValue::new(secret), "ed25519", b"").unwrap()), expected);
        }
        let bad = sign_with(&SecretValue::new(b"x".to_vec()), "ed25519", b"").unwrap_err();
        assert_eq!(bad.code, "host/bad-argument");
    }
}
