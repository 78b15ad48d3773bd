//! RFC 7250 raw public keys, the way iroh peers use them: the "certificate" is the SubjectPublicKeyInfo of an Ed25519
//! key, both sides must present one, and nothing but the key counts.
//!
//! rustls asks for a server name where we have a key. So the expected key travels as a name, `<base32>.iroh.invalid`,
//! which is never sent; it also keeps the remembered sessions of different peers apart.

use std::sync::Arc;

use data_encoding::BASE32_DNSSEC;
use ed25519_dalek::{Signature, VerifyingKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, ServerName,
    SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime, alg_id,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey, public_key_to_spki};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureAlgorithm, SignatureScheme,
};

/// An Ed25519 public key.
pub type PublicKey = [u8; 32];

const NAME_SUFFIX: &str = ".iroh.invalid";

/// The name under which the owner of `key` is dialed.
pub fn server_name(key: &PublicKey) -> String {
    BASE32_DNSSEC.encode(key) + NAME_SUFFIX
}

/// The key in a certificate message, if that is what the message holds.
pub fn key_of(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let key = *certificate.last_chunk::<32>()?;
    (*spki(&key) == **certificate).then_some(key)
}

fn key_of_name(name: &str) -> Option<PublicKey> {
    let encoded = name.strip_suffix(NAME_SUFFIX)?;
    BASE32_DNSSEC.decode(encoded.as_bytes()).ok()?.try_into().ok()
}

fn spki(key: &PublicKey) -> SubjectPublicKeyInfoDer<'static> {
    public_key_to_spki(&alg_id::ED25519, key)
}

/// Presents our key, and has the host sign with it.
#[derive(Debug)]
pub struct RawKeyResolver(Arc<CertifiedKey>);

impl RawKeyResolver {
    pub fn new(key: &PublicKey) -> Self {
        let certificate = CertificateDer::from(spki(key).to_vec());
        let key = Arc::new(HostKey(*key));
        Self(Arc::new(CertifiedKey::new(vec![certificate], key)))
    }
}

impl rustls::client::ResolvesClientCert for RawKeyResolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl rustls::server::ResolvesServerCert for RawKeyResolver {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// A key pair of which only the public half is here.
#[derive(Debug, Clone)]
struct HostKey(PublicKey);

impl SigningKey for HostKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(spki(&self.0))
    }
}

impl Signer for HostKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        host::sign(SignatureScheme::ED25519.into(), message)
            .ok_or_else(|| Error::General("the private key could not sign".into()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Accepts exactly the key that was dialed.
#[derive(Debug)]
pub struct ServerKeyVerifier;

impl ServerCertVerifier for ServerKeyVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ServerName::DnsName(name) = name else {
            return Err(Error::UnsupportedNameType);
        };
        let dialed = key_of_name(name.as_ref())
            .ok_or(Error::InvalidCertificate(CertificateError::NotValidForName))?;
        if !intermediates.is_empty() || key_of(certificate) != Some(dialed) {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Demands a key of every client, and accepts any: who may do what is the application's to say.
#[derive(Debug)]
pub struct ClientKeyVerifier;

impl ClientCertVerifier for ClientKeyVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !intermediates.is_empty() || key_of(certificate).is_none() {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

const ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[&StrictEd25519],
    mapping: &[(SignatureScheme::ED25519, &[&StrictEd25519])],
};

/// Ed25519 as iroh checks it: S below the group order, neither the key nor R of small order.
#[derive(Debug)]
struct StrictEd25519;

impl SignatureVerificationAlgorithm for StrictEd25519 {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::try_from(key).map_err(|_| InvalidSignature)?;
        let signature = Signature::try_from(signature).map_err(|_| InvalidSignature)?;
        key.verify_strict(message, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}

fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let key = SubjectPublicKeyInfoDer::from(certificate.as_ref());
    verify_tls13_signature_with_raw_key(message, &key, signature, &ALGORITHMS)
}

fn no_tls12() -> Error {
    Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered)
}
