//! TLS 1.3 for both roles: cipher suites, remembered sessions, and who we are.

use std::sync::Arc;

use noq_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientSessionMemoryCache, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCert, ServerSessionMemoryCache};
use rustls::{ClientConfig, KeyLog, ServerConfig, version};

use crate::raw_key::{self, ClientKeyVerifier, RawKeyResolver, ServerKeyVerifier};
use crate::reader::Reader;
use crate::web;

/// Sessions remembered for resumption, in each role. As many as iroh keeps: 8 each of 32 peers.
const MAX_SESSIONS: usize = 256;

/// Kinds of credentials, as the host numbers them.
const RAW_KEY: u8 = 0;

/// The parts that the configurations of all connections share.
///
/// rustls resumes a session only under the very verifier and resolver that it was made with, so these live as long as
/// the endpoint.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    credentials: Credentials,
    client_sessions: Arc<ClientSessionMemoryCache>,
    server_sessions: Arc<ServerSessionMemoryCache>,
    key_log: Option<Arc<HostKeyLog>>,
}

struct Credentials {
    server_resolver: Arc<dyn ResolvesServerCert>,
    client_resolver: Arc<dyn ResolvesClientCert>,
    client_verifier: Arc<dyn ClientCertVerifier>,
    /// Without one there is nobody to dial.
    server_verifier: Option<Arc<dyn ServerCertVerifier>>,
    /// What can be replaced of them, for credentials of the web's kind.
    web: Option<Arc<web::Resolver>>,
}

impl Tls {
    /// u8 kind of credentials, and those.
    pub fn new(arguments: &mut Reader<'_>) -> Self {
        let provider = Arc::new(crypto_provider());
        let credentials = match arguments.u8() {
            RAW_KEY => Credentials::raw_key(arguments),
            _ => Credentials::web(arguments, &provider),
        };
        Self {
            provider,
            credentials,
            client_sessions: Arc::new(ClientSessionMemoryCache::new(MAX_SESSIONS)),
            server_sessions: ServerSessionMemoryCache::new(MAX_SESSIONS),
            key_log: None,
        }
    }

    pub fn log_keys(&mut self) {
        self.key_log = Some(Arc::new(HostKeyLog));
    }

    pub fn has_raw_key(&self) -> bool {
        self.credentials.web.is_none()
    }

    /// What the host calls the one it wants to reach, as rustls has it: a name.
    pub fn read_server_name(&self, arguments: &mut Reader<'_>) -> String {
        if self.has_raw_key() {
            raw_key::server_name(&arguments.array())
        } else {
            let length = arguments.u16();
            String::from_utf8_lossy(arguments.bytes(length.into())).into_owned()
        }
    }

    /// Shows another certificate from now on.
    pub fn replace_certificate(&mut self, arguments: &mut Reader<'_>) {
        if let Some(resolver) = &self.credentials.web {
            resolver.replace(web::read_certificate(arguments));
        }
    }

    /// `None` when nobody is trusted.
    pub fn client(&self, protocols: Vec<Vec<u8>>, early_data: bool) -> Option<QuicClientConfig> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(self.credentials.server_verifier.clone()?)
            .with_client_cert_resolver(self.credentials.client_resolver.clone());
        config.alpn_protocols = protocols;
        config.enable_sni = !self.has_raw_key();
        config.enable_early_data = early_data;
        config.resumption = Resumption::store(self.client_sessions.clone());
        if let Some(key_log) = &self.key_log {
            config.key_log = key_log.clone();
        }
        Some(config.try_into().expect("the provider has the suite of Initial packets"))
    }

    pub fn server(&self, protocols: Vec<Vec<u8>>) -> QuicServerConfig {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .with_client_cert_verifier(self.credentials.client_verifier.clone())
            .with_cert_resolver(self.credentials.server_resolver.clone());
        config.alpn_protocols = protocols;
        config.ignore_client_order = true;
        // A stateful store, not a ticketer: a ticket is good once, which is what makes early data bearable, and rustls
        // takes none with the other.
        config.session_storage = self.server_sessions.clone();
        config.max_early_data_size = u32::MAX;
        if let Some(key_log) = &self.key_log {
            config.key_log = key_log.clone();
        }
        config.try_into().expect("the provider has the suite of Initial packets")
    }
}

impl Credentials {
    /// The public key.
    fn raw_key(arguments: &mut Reader<'_>) -> Self {
        let resolver = Arc::new(RawKeyResolver::new(&arguments.array()));
        Self {
            server_resolver: resolver.clone(),
            client_resolver: resolver,
            client_verifier: Arc::new(ClientKeyVerifier),
            server_verifier: Some(Arc::new(ServerKeyVerifier)),
            web: None,
        }
    }

    /// u8 whether there is a certificate, and that; whom to believe of servers; whom of clients.
    fn web(arguments: &mut Reader<'_>, provider: &Arc<CryptoProvider>) -> Self {
        let certificate = arguments.flag().then(|| web::read_certificate(arguments));
        let resolver = Arc::new(web::Resolver::new(certificate));
        Self {
            server_resolver: resolver.clone(),
            client_resolver: resolver.clone(),
            server_verifier: web::read_server_verifier(arguments, provider),
            client_verifier: web::read_client_verifier(arguments, provider),
            web: Some(resolver),
        }
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
