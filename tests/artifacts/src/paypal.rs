//! PayPal in tests: its key, and certificates of the chain by which its signatures are verified.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, Error, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_RSA_SHA256,
};

/// The RSA key of the certificate: PKCS #8 in PEM, 2,048 bits.
pub const KEY: &str = include_str!("../keys/rsa-2048.pem");
/// The name in the certificate.
pub const NAME: &str = "messageverificationcerts.paypal.com";

/// A certificate that signs others, with its key.
pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// Returns the key of the certificate.
///
/// # Errors
/// The key cannot be read.
pub fn key() -> Result<KeyPair, Error> {
    KeyPair::from_pem_and_sign_algo(KEY, &PKCS_RSA_SHA256)
}

/// Returns the terms of an authority.
///
/// # Errors
/// They cannot be made.
pub fn authority_params(name: &str) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Makes a root.
///
/// # Errors
/// It cannot be signed.
pub fn root() -> Result<Authority, Error> {
    Authority::self_signed(authority_params("Test Root")?, KeyPair::generate()?)
}

/// Returns the terms of the certificate that is valid between two times since 1970.
///
/// # Errors
/// They cannot be made.
pub fn leaf(start: Duration, end: Duration) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(vec![NAME.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    (params.not_before, params.not_after) = (epoch + start, epoch + end);
    Ok(params)
}
