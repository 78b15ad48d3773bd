//! Certificates of the web's kind: what we show, and whom we believe.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, RootCertStore, SignatureAlgorithm, SignatureScheme};

use crate::reader::Reader;

/// How clients are asked for a certificate.
const NOT_ASKED: u8 = 0;
const REQUIRED: u8 = 2;

/// Shows a certificate, which can be replaced, and has the host sign with its key.
#[derive(Debug)]
pub struct Resolver(Mutex<Option<Arc<CertifiedKey>>>);

impl Resolver {
    pub fn new(certificate: Option<Arc<CertifiedKey>>) -> Self {
        Self(Mutex::new(certificate))
    }

    pub fn replace(&self, certificate: Arc<CertifiedKey>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl rustls::client::ResolvesClientCert for Resolver {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current().filter(|certificate| certificate.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        self.current().is_some()
    }
}

impl rustls::server::ResolvesServerCert for Resolver {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

/// u8 count and u16 schemes that the key makes, then the chain.
pub fn read_certificate(arguments: &mut Reader<'_>) -> Arc<CertifiedKey> {
    let count = arguments.u8();
    let schemes = (0..count).map(|_| arguments.u16().into()).collect();
    let chain = certificates(arguments.list());
    Arc::new(CertifiedKey::new(chain, Arc::new(HostKey(schemes))))
}

/// Authorities, as a list. Without any, nobody is believed.
pub fn read_server_verifier(
    arguments: &mut Reader<'_>,
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<dyn ServerCertVerifier>> {
    let roots = read_authorities(arguments);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
    verifier.ok().map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
}

/// u8 how clients are asked, then authorities, as a list.
pub fn read_client_verifier(
    arguments: &mut Reader<'_>,
    provider: &Arc<CryptoProvider>,
) -> Arc<dyn ClientCertVerifier> {
    let asked = arguments.u8();
    let roots = read_authorities(arguments);
    if asked == NOT_ASKED {
        return WebPkiClientVerifier::no_client_auth();
    }
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    let builder = if asked == REQUIRED { builder } else { builder.allow_unauthenticated() };
    builder.build().expect("the host asks clients only with authorities at hand")
}

/// The host has looked at them; what webpki still cannot read vouches for nobody.
fn read_authorities(arguments: &mut Reader<'_>) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(arguments.list()));
    Arc::new(roots)
}

fn certificates(list: Vec<&[u8]>) -> Vec<CertificateDer<'static>> {
    list.into_iter().map(|bytes| CertificateDer::from(bytes.to_vec())).collect()
}

/// A private key that is not here: all that is known of it are the schemes that it makes, most wanted first.
#[derive(Debug)]
struct HostKey(Vec<SignatureScheme>);

impl SigningKey for HostKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.0.iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(HostSigner(*scheme)))
    }

    /// TLS 1.2 alone asks.
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Anonymous
    }
}

#[derive(Debug)]
struct HostSigner(SignatureScheme);

impl Signer for HostSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        host::sign(self.0.into(), message)
            .ok_or_else(|| Error::General("the private key could not sign".into()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}
