//! TLS 1.3 for both roles: cipher suites, remembered sessions, and who we are.

use std::sync::Arc;

use noq_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientSessionMemoryCache, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCert, ServerSessionMemoryCache};
use rustls::{ClientConfig, KeyLog, ServerConfig, version};

use crate::large_packets;
use crate::raw_key::{self, ClientKeyVerifier, RawKeyResolver, ServerKeyVerifier};
use crate::reader::Reader;
use crate::sessions::Sessions;
use crate::web;

/// Sessions remembered for resumption, in each role. As many as iroh keeps: for clients 8 each of 32 peers, those of peers
/// that were met first go first. They are good for a day, which is what our servers say.
const MAX_SESSIONS: usize = 256;
/// The same for servers of early data, to which many clients are to come back: two for each handshake.
const MANY_SESSIONS: usize = 4_096;

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
    /// Of peers that we dial.
    key_verifier: Option<Arc<dyn ServerCertVerifier>>,
    /// Of servers with certificates that we dial. Without either there is nobody to dial.
    web_verifier: Option<Arc<dyn ServerCertVerifier>>,
    /// What can be replaced of them, for credentials of the web's kind.
    web: Option<Arc<web::Resolver>>,
}

/// Whom a client means to reach.
pub struct Expected {
    /// As rustls has it.
    pub server_name: String,
    /// Whether a certificate is to prove it, and not a key.
    pub by_certificate: bool,
}

impl Expected {
    /// u8 kind, and 32 bytes of public key, or u16 length and a name.
    pub fn read(arguments: &mut Reader<'_>) -> Self {
        let by_certificate = arguments.u8() != RAW_KEY;
        let server_name = if by_certificate {
            let length = arguments.u16();
            String::from_utf8_lossy(arguments.bytes(length.into())).into_owned()
        } else {
            raw_key::server_name(&arguments.array())
        };
        Self { server_name, by_certificate }
    }
}

impl Tls {
    /// u8 kind of credentials, and those.
    pub fn new(arguments: &mut Reader<'_>) -> Self {
        let provider = Arc::new(crypto_provider());
        let credentials = match arguments.u8() {
            RAW_KEY => Credentials::raw_key(arguments, &provider),
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

    pub fn remember_many(&mut self) {
        self.server_sessions = ServerSessionMemoryCache::new(MANY_SESSIONS);
    }

    pub fn log_keys(&mut self) {
        self.key_log = Some(Arc::new(HostKeyLog));
    }

    /// Shows another certificate from now on.
    pub fn replace_certificate(&mut self, arguments: &mut Reader<'_>) {
        if let Some(resolver) = &self.credentials.web {
            resolver.replace(web::read_certificate(arguments));
        }
    }

    /// `None` when nobody is trusted.
    pub fn client(
        &self,
        expected: &Expected,
        protocols: Vec<Vec<u8>>,
        early_data: bool,
    ) -> Option<QuicClientConfig> {
        let Credentials { key_verifier, web_verifier, client_resolver, web, .. } =
            &self.credentials;
        let verifier = if expected.by_certificate { web_verifier } else { key_verifier };
        // A key means nothing to who has a certificate.
        let resolver = if expected.by_certificate && web.is_none() {
            Arc::new(web::Resolver::new(None)) as Arc<dyn ResolvesClientCert>
        } else {
            client_resolver.clone()
        };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone()?)
            .with_client_cert_resolver(resolver);
        config.alpn_protocols = protocols;
        config.enable_sni = expected.by_certificate;
        config.enable_early_data = early_data;
        let sessions = Sessions::of(&config.alpn_protocols, &self.client_sessions);
        config.resumption = Resumption::store(Arc::new(sessions));
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
    /// The public key, and whom to believe of servers with certificates.
    fn raw_key(arguments: &mut Reader<'_>, provider: &Arc<CryptoProvider>) -> Self {
        let resolver = Arc::new(RawKeyResolver::new(&arguments.array()));
        Self {
            server_resolver: resolver.clone(),
            client_resolver: resolver,
            client_verifier: Arc::new(ClientKeyVerifier),
            key_verifier: Some(Arc::new(ServerKeyVerifier)),
            web_verifier: web::read_server_verifier(arguments, provider),
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
            key_verifier: None,
            web_verifier: web::read_server_verifier(arguments, provider),
            client_verifier: web::read_client_verifier(arguments, provider),
            web: Some(resolver),
        }
    }
}

/// ring, with ChaCha20-Poly1305 first: in WebAssembly it is nine times as fast as AES, which has no instructions here.
fn crypto_provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            large_packets::suite(),
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
