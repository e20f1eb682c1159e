//! Chains of certificates: good ones, and ones of every bad kind.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, PublicKeyData, SignatureAlgorithm,
};
use tidemill_artifacts::paypal::{self as chain, Authority, KEY};
use tidemill_webhook::{TrustRoots, VerificationFailure};

use crate::hooks::TIME;
use crate::paypal;

/// An RSA key of 1,024 bits, and its signature of [`paypal::TEXT`].
const SHORT_KEY: &str = include_str!("keys/rsa-1024-public.pem");
const SHORT_SIGNATURE: &str = include_str!("keys/rsa-1024-signature.txt");

/// A file of certificates and the roots that are trusted.
pub struct TestChain {
    pub pem: String,
    pub roots: TrustRoots,
}

/// A root and an intermediate that it has signed.
fn authorities() -> (Authority, Authority) {
    let root = chain::root().unwrap();
    let intermediate =
        Authority::signed_by(chain::authority_params("Test CA").unwrap(), KeyPair::generate().unwrap(), &root).unwrap();
    (root, intermediate)
}

/// The certificate of PayPal for ten days around the time of the vectors.
fn leaf() -> CertificateParams {
    valid_from(TIME - 5 * 86_400, TIME + 5 * 86_400)
}

fn valid_from(start: u64, end: u64) -> CertificateParams {
    chain::leaf(Duration::from_secs(start), Duration::from_secs(end)).unwrap()
}

fn trusted(root: &Authority) -> TrustRoots {
    let mut roots = TrustRoots::default();
    roots.add(root.der()).unwrap();
    roots
}

impl TestChain {
    /// A valid chain: leaf, intermediate, and the root apart.
    pub fn new() -> Self {
        Self::with(leaf(), &chain::key().unwrap())
    }

    /// A chain with another leaf.
    fn with(leaf: CertificateParams, key: &impl PublicKeyData) -> Self {
        let (root, intermediate) = authorities();
        let leaf = leaf.signed_by(key, &intermediate).unwrap();
        Self { pem: leaf.pem() + &intermediate.pem(), roots: trusted(&root) }
    }
}

/// The reason for which a chain is refused.
fn refusal(chain: &TestChain) -> String {
    match paypal::verify(&paypal::sent(), chain) {
        Err(VerificationFailure::CertificateRefused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chain_to_a_trusted_root_is_accepted() {
    let (root, intermediate) = authorities();
    let leaf_pem = leaf().signed_by(&chain::key().unwrap(), &intermediate).unwrap().pem();
    let (first, second) = (intermediate.pem(), root.pem());
    // The order of the intermediates does not matter, and a copy of the root changes nothing.
    for pem in
        [format!("{leaf_pem}{first}"), format!("{leaf_pem}{second}{first}"), format!("\n# text\n{leaf_pem}\n{first}")]
    {
        let chain = TestChain { pem, roots: trusted(&root) };
        assert!(paypal::verify(&paypal::sent(), &chain).is_ok());
    }
    let direct =
        TestChain { pem: leaf().signed_by(&chain::key().unwrap(), &root).unwrap().pem(), roots: trusted(&root) };
    assert!(paypal::verify(&paypal::sent(), &direct).is_ok());
}

#[test]
fn a_chain_with_its_own_root_is_refused() {
    let (root, intermediate) = authorities();
    let (other, _) = authorities();
    let leaf_pem = leaf().signed_by(&chain::key().unwrap(), &intermediate).unwrap().pem();
    let pem = format!("{leaf_pem}{}{}", intermediate.pem(), root.pem());
    // Another root of the same name.
    let why = refusal(&TestChain { pem: pem.clone(), roots: trusted(&other) });
    assert!(why.contains("InvalidSignature"), "{why}");
    assert!(refusal(&TestChain { pem, roots: TrustRoots::default() }).contains("UnknownIssuer"));
    let own = leaf().self_signed(&chain::key().unwrap()).unwrap().pem();
    assert!(refusal(&TestChain { pem: own, roots: trusted(&root) }).contains("UnknownIssuer"));
}

#[test]
fn a_chain_without_its_intermediate_is_refused() {
    let (root, intermediate) = authorities();
    let pem = leaf().signed_by(&chain::key().unwrap(), &intermediate).unwrap().pem();
    assert!(refusal(&TestChain { pem, roots: trusted(&root) }).contains("UnknownIssuer"));
}

#[test]
fn a_certificate_is_judged_at_the_time_of_receipt() {
    let expired = valid_from(TIME - 10, TIME - 1);
    let result = paypal::verify(&paypal::sent(), &TestChain::with(expired, &chain::key().unwrap()));
    assert_eq!(result, Err(VerificationFailure::CertificateExpired));
    let early = valid_from(TIME + 1, TIME + 10);
    assert!(refusal(&TestChain::with(early, &chain::key().unwrap())).contains("CertNotValidYet"));
    let now = valid_from(TIME, TIME);
    assert!(paypal::verify(&paypal::sent(), &TestChain::with(now, &chain::key().unwrap())).is_ok());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    for name in [
        "api.paypal.com",
        "messageverificationcerts.sandbox.paypal.com",
        "messageverificationcerts.paypal.com.example.org",
        "xmessageverificationcerts.paypal.com",
        "*.com",
    ] {
        let mut other = CertificateParams::new(vec![name.to_owned()]).unwrap();
        other.distinguished_name = leaf().distinguished_name;
        other.extended_key_usages = leaf().extended_key_usages;
        (other.not_before, other.not_after) = (leaf().not_before, leaf().not_after);
        assert!(refusal(&TestChain::with(other, &chain::key().unwrap())).contains("NotValidForName"), "{name}");
    }
}

#[test]
fn a_certificate_with_its_name_as_common_name_only_is_refused() {
    let mut params = leaf();
    params.subject_alt_names.clear();
    assert!(refusal(&TestChain::with(params, &chain::key().unwrap())).contains("NotValidForName"));
}

#[test]
fn a_certificate_for_another_use_is_refused() {
    let mut params = leaf();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let why = refusal(&TestChain::with(params, &chain::key().unwrap()));
    assert!(why.contains("RequiredEkuNotFound"), "{why}");
}

#[test]
fn an_authority_is_not_a_leaf() {
    let mut params = leaf();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert!(refusal(&TestChain::with(params, &chain::key().unwrap())).contains("CaUsedAsEndEntity"));
}

#[test]
fn a_leaf_is_not_an_authority() {
    let (root, intermediate) = authorities();
    let middle = Authority::signed_by(leaf(), KeyPair::generate().unwrap(), &intermediate).unwrap();
    let pem = leaf().signed_by(&chain::key().unwrap(), &middle).unwrap().pem() + &middle.pem() + &intermediate.pem();
    let why = refusal(&TestChain { pem, roots: trusted(&root) });
    assert!(why.contains("EndEntityUsedAsCa") || why.contains("UnknownIssuer"), "{why}");
}

/// A public key without its private one.
struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

#[test]
fn a_key_of_1024_bits_is_refused() {
    let base64: String = SHORT_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).unwrap();
    let sent = paypal::signed(paypal::hook(), SHORT_SIGNATURE.trim());
    let result = paypal::verify(&sent, &TestChain::with(leaf(), &PublicKey(der)));
    assert_eq!(result, Err(VerificationFailure::WrongSignature));
}

#[test]
fn an_elliptic_curve_key_is_refused() {
    let chain = TestChain::with(leaf(), &KeyPair::generate().unwrap());
    assert!(refusal(&chain).contains("UnsupportedSignatureAlgorithm"), "{}", refusal(&chain));
}

#[test]
fn files_that_are_not_a_chain_are_refused() {
    let good = TestChain::new();
    let nine = good.pem.repeat(5);
    let large = format!("{}{}", good.pem, "#".repeat(64 * 1024));
    let damaged = good.pem.replacen("MII", "MIJ", 1);
    let half = good.pem[..200].to_owned();
    for pem in [String::new(), "text".to_owned(), KEY.to_owned(), nine, large, damaged, half] {
        let why = refusal(&TestChain { pem: pem.clone(), roots: good.roots.clone() });
        assert!(!why.is_empty(), "{pem}");
    }
}
