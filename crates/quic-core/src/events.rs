//! What happened, as records for the host.
//!
//! ```text
//!  0 u32 kind           one of the constants below
//!  4 u32 slot       \   the connection
//!  8 u32 generation /
//! 12 u32 length         of the payload
//! 16 f64 number         a stream id, or what the kind says
//! 24 payload, then zeros up to a multiple of 8
//! ```

use std::net::SocketAddr;

use noq_proto::{ConnectionError, Dir, StreamId, TransportErrorCode, VarInt};

use crate::address;
use crate::handle::Handle;
use crate::writer::Writer;

/// A peer dials; the handshake has begun.
const INCOMING: u32 = 1;
/// Number: what came of early data, see [`EarlyData`]. Payload: the ALPN after its length in one byte, then what the peer
/// has proven to be, as a list: u32 count, and each entry after its length in u32. A public key, or certificates.
const CONNECTED: u32 = 2;
/// Number: how it ended, see [`end_of`]. Payload: u64 code, then the reason.
const CLOSED: u32 = 3;
/// The slot is free now.
const GONE: u32 = 4;
const STREAM_OPENED: u32 = 5;
const STREAM_READABLE: u32 = 6;
const STREAM_WRITABLE: u32 = 7;
/// Payload: u64 code.
const STREAM_STOPPED: u32 = 8;
const STREAM_ACKNOWLEDGED: u32 = 9;
/// Number: 0 bidirectional, 1 unidirectional.
const STREAMS_AVAILABLE: u32 = 10;
/// Payload: the datagram.
const DATAGRAM: u32 = 11;
const DATAGRAMS_WRITABLE: u32 = 12;
const PATHS_CHANGED: u32 = 13;
/// The peer has told of an address to try, or taken one back.
const CANDIDATES_CHANGED: u32 = 14;
/// Payload: the address from which the peer sees our packets come, see `address`.
const ADDRESS_OBSERVED: u32 = 15;
/// The handshake is over, after a `CONNECTED` that came before its end.
const HANDSHAKE_DONE: u32 = 16;

#[derive(Copy, Clone)]
pub enum EarlyData {
    None = 0,
    Accepted = 1,
    Rejected = 2,
}

/// The events of one turn, in order.
#[derive(Default)]
pub struct Events {
    records: Writer,
    /// The stream of the last record, if that was a `STREAM_READABLE`: each packet of a stream brings one, and one is
    /// enough.
    last_readable: Option<(Handle, StreamId)>,
}

impl Events {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn as_slice(&self) -> &[u8] {
        self.records.as_slice()
    }

    pub fn clear(&mut self) {
        self.records.clear();
        self.last_readable = None;
    }

    pub fn incoming(&mut self, handle: Handle) {
        self.record(INCOMING, handle, 0.0, &[]);
    }

    pub fn connected(
        &mut self,
        handle: Handle,
        early: EarlyData,
        alpn: &[u8],
        identity: &[Vec<u8>],
    ) {
        let mut payload = vec![alpn.len() as u8];
        payload.extend_from_slice(alpn);
        payload.extend_from_slice(&(identity.len() as u32).to_le_bytes());
        for entry in identity {
            payload.extend_from_slice(&(entry.len() as u32).to_le_bytes());
            payload.extend_from_slice(entry);
        }
        self.record(CONNECTED, handle, f64::from(early as u8), &payload);
    }

    pub fn handshake_done(&mut self, handle: Handle) {
        self.record(HANDSHAKE_DONE, handle, 0.0, &[]);
    }

    pub fn closed(&mut self, handle: Handle, end: End<'_>) {
        let payload = [&end.code.to_le_bytes(), end.reason].concat();
        self.record(CLOSED, handle, f64::from(end.kind as u8), &payload);
    }

    pub fn gone(&mut self, handle: Handle) {
        self.record(GONE, handle, 0.0, &[]);
    }

    pub fn stream_opened(&mut self, handle: Handle, id: StreamId) {
        self.record(STREAM_OPENED, handle, number_of(id), &[]);
    }

    pub fn stream_readable(&mut self, handle: Handle, id: StreamId) {
        if self.last_readable != Some((handle, id)) {
            self.record(STREAM_READABLE, handle, number_of(id), &[]);
            self.last_readable = Some((handle, id));
        }
    }

    pub fn stream_writable(&mut self, handle: Handle, id: StreamId) {
        self.record(STREAM_WRITABLE, handle, number_of(id), &[]);
    }

    pub fn stream_stopped(&mut self, handle: Handle, id: StreamId, code: VarInt) {
        let payload = code.into_inner().to_le_bytes();
        self.record(STREAM_STOPPED, handle, number_of(id), &payload);
    }

    pub fn stream_acknowledged(&mut self, handle: Handle, id: StreamId) {
        self.record(STREAM_ACKNOWLEDGED, handle, number_of(id), &[]);
    }

    pub fn streams_available(&mut self, handle: Handle, direction: Dir) {
        self.record(STREAMS_AVAILABLE, handle, f64::from(direction as u8), &[]);
    }

    pub fn datagram(&mut self, handle: Handle, bytes: &[u8]) {
        self.record(DATAGRAM, handle, 0.0, bytes);
    }

    pub fn datagrams_writable(&mut self, handle: Handle) {
        self.record(DATAGRAMS_WRITABLE, handle, 0.0, &[]);
    }

    pub fn paths_changed(&mut self, handle: Handle) {
        self.record(PATHS_CHANGED, handle, 0.0, &[]);
    }

    pub fn candidates_changed(&mut self, handle: Handle) {
        self.record(CANDIDATES_CHANGED, handle, 0.0, &[]);
    }

    pub fn address_observed(&mut self, handle: Handle, address: SocketAddr) {
        self.record(ADDRESS_OBSERVED, handle, 0.0, &address::encode(address));
    }

    fn record(&mut self, kind: u32, handle: Handle, number: f64, payload: &[u8]) {
        self.last_readable = None;
        self.records.u32(kind);
        self.records.u32(handle.slot);
        self.records.u32(handle.generation);
        self.records.u32(payload.len() as u32);
        self.records.number(number);
        self.records.bytes(payload);
        self.records.align();
    }
}

/// How a connection ended.
pub struct End<'a> {
    kind: EndKind,
    code: u64,
    reason: &'a [u8],
}

#[derive(Copy, Clone)]
enum EndKind {
    ApplicationByPeer = 0,
    TransportByUs = 1,
    TransportByPeer = 2,
    Timeout = 3,
    HandshakeTimeout = 4,
    Reset = 5,
    VersionMismatch = 6,
}

impl End<'static> {
    pub const HANDSHAKE_TIMEOUT: Self =
        Self { kind: EndKind::HandshakeTimeout, code: 0, reason: b"" };
}

impl<'a> End<'a> {
    pub fn of(error: &'a ConnectionError, handshaking: bool) -> Self {
        let plain = |kind| Self { kind, code: 0, reason: b"" };
        match error {
            ConnectionError::ApplicationClosed(close) => Self {
                kind: EndKind::ApplicationByPeer,
                code: close.error_code.into_inner(),
                reason: &close.reason,
            },
            ConnectionError::ConnectionClosed(close) => Self {
                kind: EndKind::TransportByPeer,
                code: close.error_code.into(),
                reason: &close.reason,
            },
            ConnectionError::TransportError(error) => Self {
                kind: EndKind::TransportByUs,
                code: error.code.into(),
                reason: error.reason.as_bytes(),
            },
            ConnectionError::TimedOut if handshaking => plain(EndKind::HandshakeTimeout),
            ConnectionError::TimedOut => plain(EndKind::Timeout),
            ConnectionError::Reset => plain(EndKind::Reset),
            ConnectionError::VersionMismatch => plain(EndKind::VersionMismatch),
            // Neither reaches an event: the first is for handles that outlive a connection, the second for dialing.
            ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => Self {
                kind: EndKind::TransportByUs,
                code: TransportErrorCode::INTERNAL_ERROR.into(),
                reason: b"",
            },
        }
    }
}

/// Stream ids fit into a double: nobody opens 2^51 streams.
pub fn number_of(id: StreamId) -> f64 {
    VarInt::from(id).into_inner() as f64
}

pub fn stream_of(number: f64) -> StreamId {
    StreamId::from(VarInt::from_u64(number as u64).expect("the host passes stream ids on"))
}
