//! Chains of certificates: good ones, and ones of every bad kind.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PublicKeyData, SignatureAlgorithm,
};
use tidemill_webhook::{TrustRoots, VerificationFailure};

use crate::hooks::TIME;
use crate::paypal;

/// The RSA key of the test certificate.
pub const KEY: &str = include_str!("keys/rsa-2048.pem");
/// An RSA key of 1,024 bits, and its signature of [`paypal::TEXT`].
const SHORT_KEY: &str = include_str!("keys/rsa-1024-public.pem");
const SHORT_SIGNATURE: &str = include_str!("keys/rsa-1024-signature.txt");
const NAME: &str = "messageverificationcerts.paypal.com";

/// A file of certificates and the roots that are trusted.
pub struct TestChain {
    pub pem: String,
    pub roots: TrustRoots,
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn rsa() -> KeyPair {
    KeyPair::from_pem_and_sign_algo(KEY, &rcgen::PKCS_RSA_SHA256).unwrap()
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A root and an intermediate that it has signed.
fn authorities() -> (Issuer, Issuer) {
    let root = CertifiedIssuer::self_signed(ca("Test Root"), KeyPair::generate().unwrap()).unwrap();
    let intermediate = CertifiedIssuer::signed_by(ca("Test CA"), KeyPair::generate().unwrap(), &root).unwrap();
    (root, intermediate)
}

/// The certificate of PayPal for ten days around the time of the vectors.
fn leaf() -> CertificateParams {
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    valid_from(&mut params, TIME - 5 * 86_400, TIME + 5 * 86_400);
    params
}

fn valid_from(params: &mut CertificateParams, start: u64, end: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(start);
    params.not_after = epoch + Duration::from_secs(end);
}

fn trusted(root: &Issuer) -> TrustRoots {
    let mut roots = TrustRoots::default();
    roots.add(root.der()).unwrap();
    roots
}

impl TestChain {
    /// A valid chain: leaf, intermediate, and the root apart.
    pub fn new() -> Self {
        Self::with(leaf(), &rsa())
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
    let leaf_pem = leaf().signed_by(&rsa(), &intermediate).unwrap().pem();
    let (first, second) = (intermediate.pem(), root.pem());
    // The order of the intermediates does not matter, and a copy of the root changes nothing.
    for pem in
        [format!("{leaf_pem}{first}"), format!("{leaf_pem}{second}{first}"), format!("\n# text\n{leaf_pem}\n{first}")]
    {
        let chain = TestChain { pem, roots: trusted(&root) };
        assert!(paypal::verify(&paypal::sent(), &chain).is_ok());
    }
    let direct = TestChain { pem: leaf().signed_by(&rsa(), &root).unwrap().pem(), roots: trusted(&root) };
    assert!(paypal::verify(&paypal::sent(), &direct).is_ok());
}

#[test]
fn a_chain_with_its_own_root_is_refused() {
    let (root, intermediate) = authorities();
    let (other, _) = authorities();
    let leaf_pem = leaf().signed_by(&rsa(), &intermediate).unwrap().pem();
    let pem = format!("{leaf_pem}{}{}", intermediate.pem(), root.pem());
    // Another root of the same name.
    let why = refusal(&TestChain { pem: pem.clone(), roots: trusted(&other) });
    assert!(why.contains("InvalidSignature"), "{why}");
    assert!(refusal(&TestChain { pem, roots: TrustRoots::default() }).contains("UnknownIssuer"));
    let own = leaf().self_signed(&rsa()).unwrap().pem();
    assert!(refusal(&TestChain { pem: own, roots: trusted(&root) }).contains("UnknownIssuer"));
}

#[test]
fn a_chain_without_its_intermediate_is_refused() {
    let (root, intermediate) = authorities();
    let pem = leaf().signed_by(&rsa(), &intermediate).unwrap().pem();
    assert!(refusal(&TestChain { pem, roots: trusted(&root) }).contains("UnknownIssuer"));
}

#[test]
fn a_certificate_is_judged_at_the_time_of_receipt() {
    let mut expired = leaf();
    valid_from(&mut expired, TIME - 10, TIME - 1);
    let result = paypal::verify(&paypal::sent(), &TestChain::with(expired, &rsa()));
    assert_eq!(result, Err(VerificationFailure::CertificateExpired));
    let mut early = leaf();
    valid_from(&mut early, TIME + 1, TIME + 10);
    assert!(refusal(&TestChain::with(early, &rsa())).contains("CertNotValidYet"));
    let mut now = leaf();
    valid_from(&mut now, TIME, TIME);
    assert!(paypal::verify(&paypal::sent(), &TestChain::with(now, &rsa())).is_ok());
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
        valid_from(&mut other, TIME - 10, TIME + 10);
        assert!(refusal(&TestChain::with(other, &rsa())).contains("NotValidForName"), "{name}");
    }
}

#[test]
fn a_certificate_with_its_name_as_common_name_only_is_refused() {
    let mut params = leaf();
    params.subject_alt_names.clear();
    assert!(refusal(&TestChain::with(params, &rsa())).contains("NotValidForName"));
}

#[test]
fn a_certificate_for_another_use_is_refused() {
    let mut params = leaf();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let why = refusal(&TestChain::with(params, &rsa()));
    assert!(why.contains("RequiredEkuNotFound"), "{why}");
}

#[test]
fn an_authority_is_not_a_leaf() {
    let mut params = leaf();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert!(refusal(&TestChain::with(params, &rsa())).contains("CaUsedAsEndEntity"));
}

#[test]
fn a_leaf_is_not_an_authority() {
    let (root, intermediate) = authorities();
    let middle = CertifiedIssuer::signed_by(leaf(), KeyPair::generate().unwrap(), &intermediate).unwrap();
    let pem = leaf().signed_by(&rsa(), &middle).unwrap().pem() + &middle.pem() + &intermediate.pem();
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
