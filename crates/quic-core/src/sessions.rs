//! Sessions that a client remembers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

/// Those of connections with the same protocols on offer: early data is of the protocol that a session was made with, and
/// servers refuse it with another (RFC 8446 §4.2.10).
#[derive(Debug)]
pub struct Sessions {
    protocols: u64,
    all: Arc<ClientSessionMemoryCache>,
}

impl Sessions {
    pub fn of(protocols: &[Vec<u8>], all: &Arc<ClientSessionMemoryCache>) -> Self {
        let mut hasher = DefaultHasher::new();
        protocols.hash(&mut hasher);
        Self { protocols: hasher.finish(), all: all.clone() }
    }

    /// The name under which they are kept. An address of a web server, before which nothing can stand, is one itself.
    fn name(&self, server: &ServerName<'_>) -> ServerName<'static> {
        let name = format!("{:016x}.{}", self.protocols, server.to_str());
        name.try_into().unwrap_or_else(|_| server.to_owned())
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.all.set_kx_hint(self.name(&server), group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.all.kx_hint(&self.name(server))
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.all.insert_tls13_ticket(self.name(&server), ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.all.take_tls13_ticket(&self.name(server))
    }

    // QUIC has TLS 1.3 alone.
    fn set_tls12_session(&self, _server: ServerName<'static>, _session: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}
}
