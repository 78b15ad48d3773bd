//! One connection: its state machine, and what the host has to know of it.

use std::net::SocketAddr;

use noq_proto::crypto::rustls::HandshakeData;
use noq_proto::rustls::pki_types::CertificateDer;
use noq_proto::{
    Connection, Dir, Endpoint, Event, FourTuple, NetworkChangeHint, PathEvent, PathId, PathStatus,
    StreamEvent, StreamId, VarInt,
};
use web_time::Instant;

use crate::config::KeepAlive;
use crate::events::{EarlyData, End, Events};
use crate::handle::Handle;
use crate::raw_key;
use crate::strangers::Budget;

/// What a round of [`Peer::pump`] found out.
#[derive(Default)]
pub struct Pumped {
    /// The handshake is over, one way or the other.
    pub settled: bool,
    /// Nothing is left to do, and the slot can be used again.
    pub drained: bool,
}

pub struct Peer {
    pub quic: Connection,
    pub handle: Handle,
    /// Whether it stands in the queue of connections to look after at the end of the turn.
    pub dirty: bool,
    /// Until when an incoming handshake must be done. `None` when it is, and for connections that we dialed.
    pub handshake_deadline: Option<Instant>,
    /// Whether the host may serve early data before the handshake is done.
    serves_early_data: bool,
    /// Bytes of UDP payload that paths to loopback addresses carry; 0 where they are like others.
    loopback_mtu: u16,
    connected: bool,
    /// The host knows of the end, or brought it about.
    closed: bool,
    /// Paths that were opened and not given up, in the order of their numbers.
    paths: Vec<PathId>,
    /// Set by the host for this connection; overrides the configuration also for paths to come.
    keep_alive: Option<KeepAlive>,
    /// STOP_SENDING for streams of early data, which the host does not know of yet.
    stopped_early: Vec<(StreamId, VarInt)>,
    /// For packets outside of its paths.
    pub strangers: Budget,
}

impl Peer {
    /// A connection that we dial.
    pub fn dialed(quic: Connection, handle: Handle, loopback_mtu: u16) -> Self {
        Self {
            quic,
            handle,
            dirty: false,
            handshake_deadline: None,
            serves_early_data: false,
            loopback_mtu,
            connected: false,
            closed: false,
            paths: vec![PathId::ZERO],
            keep_alive: None,
            stopped_early: Vec::new(),
            strangers: Budget::default(),
        }
    }

    /// The same, dialed by the peer.
    pub fn incoming(self, handshake_deadline: Instant, serves_early_data: bool) -> Self {
        Self { handshake_deadline: Some(handshake_deadline), serves_early_data, ..self }
    }

    /// When this connection wants to be woken.
    pub fn deadline(&self) -> Option<Instant> {
        match (self.quic.poll_timeout(), self.handshake_deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Acts on deadlines that have passed. True when that was the end of a handshake.
    pub fn wake(&mut self, now: Instant, events: &mut Events) -> bool {
        self.quic.handle_timeout(now);
        if self.handshake_deadline.is_none_or(|deadline| deadline > now) {
            return false;
        }
        self.handshake_deadline = None;
        if !self.closed {
            self.closed = true;
            self.quic.close(now, 0u32.into(), "handshake timed out".into());
            events.closed(self.handle, End::HANDSHAKE_TIMEOUT);
        }
        true
    }

    pub fn close(&mut self, now: Instant, code: VarInt, reason: &[u8]) {
        self.closed = true;
        self.quic.close(now, code, reason.to_vec().into());
    }

    /// Carries events between the connection and its endpoint, and to the host.
    pub fn pump(&mut self, now: Instant, endpoint: &mut Endpoint, events: &mut Events) -> Pumped {
        let mut pumped = Pumped::default();
        while let Some(event) = self.quic.poll_endpoint_events() {
            pumped.drained |= event.is_drained();
            if let Some(answer) = endpoint.handle_event(self.handle.noq(), event) {
                self.quic.handle_event(answer);
            }
        }
        let mut paths_changed = false;
        let mut candidates_changed = false;
        while let Some(event) = self.quic.poll() {
            match event {
                Event::HandshakeDataReady if self.serves_early_data && self.quic.has_0rtt() => {
                    self.on_connected(events);
                }
                Event::Connected => {
                    pumped.settled = true;
                    self.handshake_deadline = None;
                    self.use_loopback(now, PathId::ZERO);
                    if self.connected {
                        events.handshake_done(self.handle);
                    } else {
                        self.on_connected(events);
                    }
                }
                Event::ConnectionLost { reason } => {
                    pumped.settled = true;
                    if !self.closed {
                        self.closed = true;
                        events.closed(self.handle, End::of(&reason, !self.connected));
                    }
                }
                Event::Stream(event) => self.on_stream(event, events),
                Event::DatagramReceived => self.deliver_datagrams(events),
                Event::DatagramsUnblocked => events.datagrams_writable(self.handle),
                Event::Path(event) => {
                    paths_changed = true;
                    self.on_path(now, event, events);
                }
                Event::NatTraversal(_) => candidates_changed = true,
                Event::HandshakeDataReady | Event::HandshakeConfirmed => {}
            }
        }
        if paths_changed && self.connected && !self.closed {
            events.paths_changed(self.handle);
        }
        if candidates_changed && self.connected && !self.closed {
            events.candidates_changed(self.handle);
        }
        pumped.settled |= pumped.drained;
        pumped
    }

    pub fn set_keep_alive(&mut self, now: Instant, keep_alive: KeepAlive) {
        self.keep_alive = Some(keep_alive);
        for path in self.paths.clone() {
            self.keep_path_alive(now, path, keep_alive);
        }
        if keep_alive.interval.is_some() && self.connected {
            // The timer is set when a packet arrives: have one come.
            self.quic.ping();
        }
    }

    /// The path that data takes: the first that is not a backup, or the first at all.
    pub fn active_path(&self) -> PathId {
        let available = |path: &&PathId| self.quic.path_status(**path) == Ok(PathStatus::Available);
        let first = self.paths.first();
        self.paths.iter().find(available).or(first).copied().unwrap_or(PathId::ZERO)
    }

    pub fn paths(&self) -> &[PathId] {
        &self.paths
    }

    /// Whether packets to `remote` are those of a path, be it one that has yet to be validated.
    pub fn has_path_to(&self, remote: SocketAddr) -> bool {
        let leads_there = |path: PathId| {
            self.quic.network_path(path).is_ok_and(|network_path| network_path.remote() == remote)
        };
        self.paths.iter().copied().any(leads_there)
            || self.quic.paths().into_iter().any(leads_there)
    }

    /// Has all paths show whether they still live. Those in `dead` are given up, where another can take their place.
    pub fn network_changed(&mut self, now: Instant, dead: Vec<PathId>) {
        self.quic.handle_network_change(Some(&DeadPaths(dead)), now);
    }

    fn on_connected(&mut self, events: &mut Events) {
        let session = self.quic.crypto_session();
        // rustls lets no handshake through without what the verifiers demand, nor without an ALPN when there are some. A
        // session that early data belongs to remembers whom it was made with.
        let identity = session.peer_identity().and_then(identity_of).unwrap_or_default();
        let protocol = session
            .handshake_data()
            .and_then(|data| data.downcast::<HandshakeData>().ok())
            .and_then(|data| data.protocol)
            .unwrap_or_default();
        // A server that could read early data has accepted it; noq counts only for clients.
        let accepted = self.quic.side().is_server() || self.quic.accepted_0rtt();
        let early_data = match (self.quic.has_0rtt(), accepted) {
            (false, _) => EarlyData::None,
            (true, true) => EarlyData::Accepted,
            (true, false) => EarlyData::Rejected,
        };
        self.connected = true;
        events.connected(self.handle, early_data, &protocol, &identity);
        // What came as early data had to wait until we know whose it is.
        self.accept_streams(Dir::Bi, events);
        self.accept_streams(Dir::Uni, events);
        for (id, code) in std::mem::take(&mut self.stopped_early) {
            events.stream_stopped(self.handle, id, code);
        }
        self.deliver_datagrams(events);
    }

    fn on_stream(&mut self, event: StreamEvent, events: &mut Events) {
        match event {
            StreamEvent::Opened { dir } => self.accept_streams(dir, events),
            StreamEvent::Readable { id } => events.stream_readable(self.handle, id),
            StreamEvent::Writable { id } => events.stream_writable(self.handle, id),
            StreamEvent::Finished { id } => events.stream_acknowledged(self.handle, id),
            StreamEvent::Stopped { id, error_code } => {
                // RFC 9000 §3.5: answer with RESET_STREAM. It also gives the stream's memory and credit back.
                let _ = self.quic.send_stream(id).reset(error_code);
                if self.connected {
                    events.stream_stopped(self.handle, id, error_code);
                } else {
                    self.stopped_early.push((id, error_code));
                }
            }
            StreamEvent::Available { dir } => events.streams_available(self.handle, dir),
        }
    }

    fn accept_streams(&mut self, direction: Dir, events: &mut Events) {
        if !self.connected {
            return;
        }
        while let Some(id) = self.quic.streams().accept(direction) {
            events.stream_opened(self.handle, id);
        }
    }

    fn deliver_datagrams(&mut self, events: &mut Events) {
        if !self.connected {
            return;
        }
        while let Some(datagram) = self.quic.datagrams().recv() {
            events.datagram(self.handle, &datagram);
        }
    }

    fn on_path(&mut self, now: Instant, event: PathEvent, events: &mut Events) {
        match event {
            PathEvent::Established { id, .. } => {
                if let Err(position) = self.paths.binary_search(&id) {
                    self.paths.insert(position, id);
                }
                self.use_loopback(now, id);
                if let Some(keep_alive) = self.keep_alive {
                    self.keep_path_alive(now, id, keep_alive);
                }
            }
            PathEvent::Abandoned { id, .. } => self.paths.retain(|path| *path != id),
            PathEvent::ObservedAddr { addr, .. } => events.address_observed(self.handle, addr),
            _ => {}
        }
    }

    /// Makes use of it where a path is one within this machine.
    fn use_loopback(&mut self, now: Instant, path: PathId) {
        let remote = self.quic.network_path(path).map(|ends| ends.remote().ip().to_canonical());
        if remote.is_ok_and(|ip| ip.is_loopback()) {
            self.quic.raise_path_mtu(now, path, self.loopback_mtu);
        }
    }

    fn keep_path_alive(&mut self, now: Instant, path: PathId, keep_alive: KeepAlive) {
        // A path that is gone by now needs neither.
        let _ = self.quic.set_path_keep_alive_interval(path, keep_alive.interval);
        let _ = self.quic.set_path_max_idle_timeout(now, path, keep_alive.path_idle_timeout);
    }
}

/// Those that cannot work any more after the network has changed.
#[derive(Debug)]
struct DeadPaths(Vec<PathId>);

impl NetworkChangeHint for DeadPaths {
    fn is_path_recoverable(&self, path: PathId, _: FourTuple) -> bool {
        !self.0.contains(&path)
    }
}

/// The key of a peer, or the certificates of others.
fn identity_of(identity: Box<dyn std::any::Any>) -> Option<Vec<Vec<u8>>> {
    let certificates = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    Some(match raw_key::key_of(certificates.first()?) {
        Some(key) => vec![key.to_vec()],
        None => certificates.iter().map(|certificate| certificate.to_vec()).collect(),
    })
}
