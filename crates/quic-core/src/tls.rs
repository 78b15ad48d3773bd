//! TLS 1.3 for both roles: cipher suites, remembered sessions, and who we are.

use std::sync::Arc;

use noq_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::server::ServerSessionMemoryCache;
use rustls::{ClientConfig, KeyLog, ServerConfig, version};

use crate::raw_key::{ClientKeyVerifier, PublicKey, RawKeyResolver, ServerKeyVerifier};

/// Sessions remembered for resumption, in each role. As many as iroh keeps: 8 each of 32 peers.
const MAX_SESSIONS: usize = 256;

/// The parts that the configurations of all connections share.
///
/// rustls resumes a session only under the very verifier and resolver that it was made with, so these live as long as
/// the endpoint.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    resolver: Arc<RawKeyResolver>,
    server_verifier: Arc<ServerKeyVerifier>,
    client_verifier: Arc<ClientKeyVerifier>,
    client_sessions: Arc<ClientSessionMemoryCache>,
    server_sessions: Arc<ServerSessionMemoryCache>,
    key_log: Option<Arc<HostKeyLog>>,
}

impl Tls {
    pub fn new(public_key: &PublicKey, log_keys: bool) -> Self {
        Self {
            provider: Arc::new(crypto_provider()),
            resolver: Arc::new(RawKeyResolver::new(public_key)),
            server_verifier: Arc::new(ServerKeyVerifier),
            client_verifier: Arc::new(ClientKeyVerifier),
            client_sessions: Arc::new(ClientSessionMemoryCache::new(MAX_SESSIONS)),
            server_sessions: ServerSessionMemoryCache::new(MAX_SESSIONS),
            key_log: log_keys.then(|| Arc::new(HostKeyLog)),
        }
    }

    pub fn client(&self, protocols: Vec<Vec<u8>>, early_data: bool) -> QuicClientConfig {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(self.server_verifier.clone())
            .with_client_cert_resolver(self.resolver.clone());
        config.alpn_protocols = protocols;
        config.enable_sni = false;
        config.enable_early_data = early_data;
        config.resumption = Resumption::store(self.client_sessions.clone());
        if let Some(key_log) = &self.key_log {
            config.key_log = key_log.clone();
        }
        QuicClientConfig::try_from(config).expect("the provider has the suite of Initial packets")
    }

    pub fn server(&self, protocols: Vec<Vec<u8>>) -> QuicServerConfig {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .with_client_cert_verifier(self.client_verifier.clone())
            .with_cert_resolver(self.resolver.clone());
        config.alpn_protocols = protocols;
        config.ignore_client_order = true;
        // A stateful store, not a ticketer: a ticket is good once, which is what makes early data bearable, and rustls
        // takes none with the other.
        config.session_storage = self.server_sessions.clone();
        config.max_early_data_size = u32::MAX;
        if let Some(key_log) = &self.key_log {
            config.key_log = key_log.clone();
        }
        QuicServerConfig::try_from(config).expect("the provider has the suite of Initial packets")
    }
}

/// ring, with ChaCha20-Poly1305 first: in WebAssembly it is nine times as fast as AES, which has no instructions here.
fn crypto_provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            provider::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            provider::cipher_suite::TLS13_AES_128_GCM_SHA256,
            provider::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ],
        ..provider::default_provider()
    }
}

/// Lines of SSLKEYLOGFILE, for the host.
#[derive(Debug)]
struct HostKeyLog;

impl KeyLog for HostKeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = data_encoding::HEXLOWER;
        let line = format!("{label} {} {}", hex.encode(client_random), hex.encode(secret));
        host::log_key(&line);
    }
}
