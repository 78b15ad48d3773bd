//! The endpoint with all its connections. One per instance.
//!
//! The host runs it in turns: `receive` what came off the network, hand out the events, let the application act on
//! them, `transmit` until nothing is left, and be back at `next_deadline`.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::BytesMut;
use noq_proto::{
    ClientConfig, ConnectError, ConnectionHandle, DatagramEvent, Endpoint, FourTuple, Incoming,
    ServerConfig, TokenMemoryCache, Transmit,
};
use web_time::Instant;

use crate::address::ADDRESS_LENGTH;
use crate::config::{IncomingLimits, TransportOptions, endpoint_config, validation_tokens};
use crate::connection::Peer;
use crate::deadlines::Deadlines;
use crate::events::Events;
use crate::handle::Handle;
use crate::reader::Reader;
use crate::shard::{Owner, Shard};
use crate::strangers::Strangers;
use crate::tls::{Expected, Tls};
use crate::transmits::Transmits;

/// Datagrams of one connection that are handed out in one piece.
const MAX_SEGMENTS: NonZeroUsize = NonZeroUsize::new(16).unwrap();
/// Bytes after which a batch of datagrams to send is handed out, before the next one is made.
const MAX_BATCH: usize = 256 * 1024;
/// Initial packets below this size are not answered (RFC 9000 §14.1), not even by a list of versions (§6.1).
const MIN_INITIAL_SIZE: usize = 1_200;
/// Validation tokens remembered for peers that we dial: peers, and tokens of each.
const MAX_TOKEN_PEERS: u32 = 256;
const MAX_TOKENS_PER_PEER: usize = 2;

pub struct Core {
    endpoint: Endpoint,
    tls: Tls,
    transport: TransportOptions,
    limits: IncomingLimits,
    /// Set from the start.
    server_config: Option<Arc<ServerConfig>>,
    /// Whether there is a protocol that incoming connections may choose.
    serving: bool,
    serves_early_data: bool,
    shard: Arc<Shard>,
    tokens: Arc<TokenMemoryCache>,
    /// Of the last peer that was dialed by its key.
    last_dialing: Option<Dialing>,
    /// By slot. noq gives out the slots, and uses the lowest free one again.
    peers: Vec<Option<Box<Peer>>>,
    /// By slot: how many connections had it before.
    generations: Vec<u32>,
    /// Slots of connections that may have something to send, or another deadline.
    dirty: VecDeque<u32>,
    deadlines: Deadlines,
    events: Events,
    transmits: Transmits,
    strangers: Strangers,
    /// Reused for each datagram that noq writes.
    buffer: Vec<u8>,
    counters: Counters,
}

/// How a peer is dialed. Dialed in the same way, peers share the configuration.
struct Dialing {
    /// As the host has written them.
    options: Vec<u8>,
    config: ClientConfig,
    loopback_mtu: u16,
}

#[derive(Copy, Clone, Default)]
pub struct Counters {
    pub connections: u32,
    pub handshakes: u32,
    pub refused: u32,
    pub retried: u32,
}

/// Why there is no connection.
pub enum ConnectFailure {
    InvalidAddress,
    InvalidName,
    NobodyTrusted,
}

impl Core {
    pub fn new(arguments: &mut Reader<'_>) -> Self {
        let mut tls = Tls::new(arguments);
        if arguments.flag() {
            tls.log_keys();
        }
        let serves_early_data = arguments.flag();
        let shard = Arc::new(Shard::read(arguments));
        if serves_early_data {
            tls.remember_many();
        }
        let limits = IncomingLimits::read(arguments);
        let transport = TransportOptions::read(arguments);
        let tokens = TokenMemoryCache::new(MAX_TOKEN_PEERS, MAX_TOKENS_PER_PEER);
        let mut core = Self {
            // Whether to look for a larger MTU is said per connection.
            endpoint: Endpoint::new(Arc::new(endpoint_config(&shard)), None, true),
            tls,
            transport,
            limits,
            server_config: None,
            serving: false,
            serves_early_data,
            shard,
            tokens: Arc::new(tokens),
            last_dialing: None,
            peers: Vec::new(),
            generations: Vec::new(),
            dirty: VecDeque::new(),
            deadlines: Deadlines::default(),
            events: Events::default(),
            transmits: Transmits::default(),
            strangers: Strangers::default(),
            buffer: Vec::new(),
            counters: Counters::default(),
        };
        core.set_protocols(arguments.protocols());
        core
    }

    /// Which protocols incoming connections may choose from. None: they are refused, which tells a caller more than
    /// silence would.
    pub fn set_protocols(&mut self, protocols: Vec<Vec<u8>>) {
        self.serving = !protocols.is_empty();
        let crypto = Arc::new(self.tls.server(protocols));
        // What a Retry or an earlier connection has handed out stays good: the keys of tokens are in here as well.
        let mut config = match self.server_config.take() {
            Some(config) => Arc::unwrap_or_clone(config),
            None => {
                let mut config = ServerConfig::with_crypto(crypto.clone());
                config
                    .transport_config(Arc::new(self.transport.to_config()))
                    .token_key(self.shard.token_key())
                    .validation_token_config(validation_tokens());
                config
            }
        };
        config.crypto = crypto;
        let config = Arc::new(config);
        self.endpoint.set_server_config(Some(config.clone()));
        self.server_config = Some(config);
    }

    /// Whose a datagram is, by its first bytes.
    pub fn owner_of(&self, datagram: &[u8]) -> Owner {
        self.shard.owner_of(datagram)
    }

    /// Shows another certificate from now on, in handshakes to come.
    pub fn replace_certificate(&mut self, arguments: &mut Reader<'_>) {
        self.tls.replace_certificate(arguments);
    }

    pub fn connect(
        &mut self,
        now: Instant,
        arguments: &mut Reader<'_>,
    ) -> Result<Handle, ConnectFailure> {
        let remote = arguments.address();
        let expected = Expected::read(arguments);
        let options = arguments.rest();
        let dialing = match self.last_dialing.take() {
            Some(last) if last.options == options && !expected.by_certificate => last,
            _ => self.dialing(&expected, options)?,
        };
        let (slot, connection) = self
            .endpoint
            .connect(now, dialing.config.clone(), remote, &expected.server_name)
            .map_err(|error| match error {
                ConnectError::InvalidServerName(_) => ConnectFailure::InvalidName,
                _ => ConnectFailure::InvalidAddress,
            })?;
        let handle = self.handle_of(slot);
        self.insert(Peer::dialed(connection, handle, dialing.loopback_mtu));
        if !expected.by_certificate {
            self.last_dialing = Some(dialing);
        }
        Ok(handle)
    }

    /// Takes a batch of datagrams (each: address, u16 length, bytes), fires timers, and collects events.
    pub fn receive(&mut self, now: Instant, batch: &[u8]) {
        let mut reader = Reader::new(batch);
        let mut left = batch.len();
        while left > 0 {
            let from = reader.address();
            let length = usize::from(reader.u16());
            let datagram = reader.bytes(length);
            left -= ADDRESS_LENGTH + 2 + length;
            self.receive_datagram(now, FourTuple::from_remote(from), datagram);
        }
        while let Some(slot) = self.deadlines.pop_due(now) {
            if let Some(peer) = self.peers[slot as usize].as_mut() {
                if peer.wake(now, &mut self.events) {
                    self.counters.handshakes -= 1;
                }
                self.mark(slot);
            }
        }
        // Connections may only be marked, not unmarked, by what happens here.
        for index in 0..self.dirty.len() {
            let slot = self.dirty[index];
            self.pump(now, slot);
        }
    }

    /// Collects datagrams to send, at most one batch of them. Nothing collected: everything was said.
    pub fn transmit(&mut self, now: Instant) {
        while self.transmits.len() < MAX_BATCH {
            let Some(slot) = self.dirty.pop_front() else {
                break;
            };
            let Some(peer) = self.peers[slot as usize].as_mut() else {
                continue;
            };
            self.buffer.clear();
            if let Some(transmit) = peer.quic.poll_transmit(now, MAX_SEGMENTS, &mut self.buffer) {
                let Transmit { destination, size, .. } = transmit;
                if peer.has_path_to(destination)
                    || self.strangers.admit(now, &mut peer.strangers, destination, size)
                {
                    self.transmits.push(&transmit, &self.buffer);
                }
                self.dirty.push_front(slot);
                continue;
            }
            peer.dirty = false;
            // Sending can have brought about more to tell, which waits for the next turn.
            self.pump(now, slot);
            if let Some(peer) = self.peers[slot as usize].as_ref() {
                self.deadlines.set(slot, peer.deadline());
            }
        }
    }

    /// When the next turn is due: at once when there are events already, never when nothing is going on.
    pub fn next_deadline(&self) -> Option<f64> {
        if !self.events.is_empty() || !self.dirty.is_empty() {
            return Some(0.0);
        }
        self.deadlines.earliest().map(Instant::to_host_ms)
    }

    pub fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    pub fn transmits(&mut self) -> &mut Transmits {
        &mut self.transmits
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The connection of a handle, if it is still there. Whatever is done with it is looked after at the end of the
    /// turn.
    pub fn peer(&mut self, handle: Handle) -> Option<&mut Peer> {
        let slot = handle.slot;
        let peer = self.peers.get_mut(slot as usize)?.as_mut()?;
        if peer.handle != handle {
            return None;
        }
        if !peer.dirty {
            peer.dirty = true;
            self.dirty.push_back(slot);
        }
        Some(peer)
    }

    /// From u8 whether to use early data, transport options, protocols.
    fn dialing(&self, expected: &Expected, options: &[u8]) -> Result<Dialing, ConnectFailure> {
        let mut arguments = Reader::new(options);
        let early_data = arguments.flag();
        let transport = TransportOptions::read(&mut arguments);
        let tls = self
            .tls
            .client(expected, arguments.protocols(), early_data)
            .ok_or(ConnectFailure::NobodyTrusted)?;
        let mut config = ClientConfig::new(Arc::new(tls));
        config.transport_config(Arc::new(transport.to_config())).token_store(self.tokens.clone());
        Ok(Dialing { options: options.to_vec(), config, loopback_mtu: transport.loopback_mtu })
    }

    fn receive_datagram(&mut self, now: Instant, path: FourTuple, datagram: &[u8]) {
        if datagram.len() < MIN_INITIAL_SIZE && wants_other_version(datagram) {
            return;
        }
        self.buffer.clear();
        let bytes = BytesMut::from(datagram);
        match self.endpoint.handle(now, path, None, bytes, &mut self.buffer) {
            Some(DatagramEvent::ConnectionEvent(slot, event)) => {
                let slot = slot.0 as u32;
                if let Some(peer) = self.peers[slot as usize].as_mut() {
                    peer.quic.handle_event(event);
                    self.mark(slot);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.admit(now, incoming),
            Some(DatagramEvent::Response(response)) => {
                self.transmits.push(&response, &self.buffer);
            }
            None => {}
        }
    }

    /// Decides on a peer that dials: refuse it, have it prove its address first, or go on.
    fn admit(&mut self, now: Instant, incoming: Incoming) {
        let Counters { connections, handshakes, .. } = self.counters;
        self.buffer.clear();
        if !self.serving
            || u64::from(connections) >= self.limits.max_connections
            || u64::from(handshakes) >= self.limits.max_handshakes
        {
            self.counters.refused += 1;
            let response = self.endpoint.refuse(incoming, &mut self.buffer);
            self.transmits.push(&response, &self.buffer);
            return;
        }
        if u64::from(handshakes) >= self.limits.retry_above
            && !incoming.remote_address_validated()
            && incoming.may_retry()
        {
            self.counters.retried += 1;
            if let Ok(response) = self.endpoint.retry(incoming, &mut self.buffer) {
                self.transmits.push(&response, &self.buffer);
            }
            return;
        }
        match self.endpoint.accept(incoming, now, &mut self.buffer, None) {
            Ok((slot, connection)) => {
                let handle = self.handle_of(slot);
                let deadline = now + self.limits.handshake_timeout;
                self.counters.handshakes += 1;
                self.events.incoming(handle);
                let peer = Peer::dialed(connection, handle, self.transport.loopback_mtu);
                self.insert(peer.incoming(deadline, self.serves_early_data));
            }
            Err(error) => {
                if let Some(response) = error.response {
                    self.transmits.push(&response, &self.buffer);
                }
            }
        }
    }

    fn pump(&mut self, now: Instant, slot: u32) {
        let Some(peer) = self.peers[slot as usize].as_mut() else {
            return;
        };
        let was_handshake = peer.handshake_deadline.is_some();
        let pumped = peer.pump(now, &mut self.endpoint, &mut self.events);
        if pumped.settled && was_handshake {
            peer.handshake_deadline = None;
            self.counters.handshakes -= 1;
        }
        if pumped.drained {
            self.events.gone(peer.handle);
            self.remove(slot);
        }
    }

    fn handle_of(&mut self, slot: ConnectionHandle) -> Handle {
        if self.peers.len() <= slot.0 {
            self.peers.resize_with(slot.0 + 1, || None);
            self.generations.resize(slot.0 + 1, 0);
        }
        Handle { slot: slot.0 as u32, generation: self.generations[slot.0] }
    }

    fn insert(&mut self, peer: Peer) {
        let slot = peer.handle.slot;
        self.peers[slot as usize] = Some(Box::new(peer));
        self.counters.connections += 1;
        self.mark(slot);
    }

    fn remove(&mut self, slot: u32) {
        self.peers[slot as usize] = None;
        self.generations[slot as usize] += 1;
        self.deadlines.set(slot, None);
        self.counters.connections -= 1;
    }

    fn mark(&mut self, slot: u32) {
        if let Some(peer) = self.peers[slot as usize].as_mut()
            && !peer.dirty
        {
            peer.dirty = true;
            self.dirty.push_back(slot);
        }
    }
}

/// True for a packet with a long header of a version that is not ours. (Version 0 is the answer to such a packet.)
fn wants_other_version(datagram: &[u8]) -> bool {
    match datagram {
        [first, a, b, c, d, ..] if first & 0x80 != 0 => {
            let version = u32::from_be_bytes([*a, *b, *c, *d]);
            version != 0 && version != 1
        }
        _ => false,
    }
}
