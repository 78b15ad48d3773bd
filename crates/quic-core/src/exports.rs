//! The ABI. Every function is thin: it finds the connection, translates, and calls one thing.
//!
//! Functions that name a connection that is gone do nothing and return [`NOT_FOUND`] or zero: the host learns of the end
//! of a connection through events, and may call before it has read them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use noq_proto::n0_nat_traversal as nat_traversal;
use noq_proto::{
    ClosePathError, Dir, FinishError, FourTuple, PathError, PathId, PathStats, PathStatus,
    ReadError, SendDatagramError, Side, StreamId, VarInt, WriteError,
};
use web_time::Instant;

use crate::address::ADDRESS_LENGTH;
use crate::config::KeepAlive;
use crate::connection::Peer;
use crate::core::{ConnectFailure, Core};
use crate::events::{number_of, stream_of};
use crate::handle::Handle;
use crate::reader::Reader;
use crate::scratch;
use crate::shard::Owner;
use crate::writer::Writer;

/// The connection or the stream's half is gone.
const NOT_FOUND: i32 = -1;
const INVALID_ADDRESS: f64 = -2.0;
const INVALID_NAME: f64 = -5.0;
const NOBODY_TRUSTED: f64 = -6.0;
const BLOCKED: i32 = -3;
const TOO_LARGE: i32 = -4;
/// Above the numbers of shards.
const ANY_SHARD: i32 = 256;

/// What has become of the receiving half after a read. First number in the scratch memory.
const RECEIVE_OPEN: u32 = 0;
const RECEIVE_FINISHED: u32 = 1;
/// The code is the second number, at offset 8.
const RECEIVE_RESET: u32 = 2;
const RECEIVE_GONE: u32 = 3;

thread_local! {
    static CORE: RefCell<Option<Core>> = const { RefCell::new(None) };
    static INBOX: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Answers of any length.
    static ANSWER: RefCell<Writer> = RefCell::default();
}

fn with_core<T>(act: impl FnOnce(&mut Core) -> T) -> T {
    CORE.with_borrow_mut(|core| act(core.as_mut().expect("endpoint_create comes first")))
}

fn with_peer<T>(handle: f64, otherwise: T, act: impl FnOnce(&mut Peer) -> T) -> T {
    with_core(|core| match core.peer(Handle::from_number(handle)) {
        Some(peer) => act(peer),
        None => otherwise,
    })
}

fn answer(write: impl FnOnce(&mut Writer)) -> *const u8 {
    ANSWER.with_borrow_mut(|answer| {
        answer.clear();
        write(answer);
        answer.as_slice().as_ptr()
    })
}

// Memory

#[unsafe(no_mangle)]
extern "C" fn scratch_pointer() -> *mut u8 {
    scratch::pointer()
}

/// Makes room for a batch of received datagrams, keeps what is there, and says where it is now.
#[unsafe(no_mangle)]
extern "C" fn inbox_reserve(capacity: usize) -> *mut u8 {
    INBOX.with_borrow_mut(|inbox| {
        inbox.resize(capacity, 0);
        inbox.as_mut_ptr()
    })
}

// Endpoint

/// Inbox, because authorities are many: credentials, u8 whether to log keys, u8 whether to serve early data, which shard
/// this is, limits, transport options, protocols.
#[unsafe(no_mangle)]
extern "C" fn endpoint_create(length: usize) {
    std::panic::set_hook(Box::new(|info| host::report_panic(&info.to_string())));
    let core = INBOX.with_borrow(|inbox| Core::new(&mut Reader::new(&inbox[..length])));
    CORE.set(Some(core));
}

/// Scratch: a certificate, to be shown from now on.
#[unsafe(no_mangle)]
extern "C" fn endpoint_set_certificate(length: usize) {
    let mut arguments = Reader::new(unsafe { scratch::written(length) });
    with_core(|core| core.replace_certificate(&mut arguments));
}

/// Scratch: protocols.
#[unsafe(no_mangle)]
extern "C" fn endpoint_set_protocols(length: usize) {
    let mut arguments = Reader::new(unsafe { scratch::written(length) });
    with_core(|core| core.set_protocols(arguments.protocols()));
}

/// Scratch: address, whom to reach (see `Expected`), u8 whether to use early data, transport options, protocols.
#[unsafe(no_mangle)]
extern "C" fn endpoint_connect(now: f64, length: usize) -> f64 {
    let mut arguments = Reader::new(unsafe { scratch::written(length) });
    let connected = with_core(|core| core.connect(Instant::from_host_ms(now), &mut arguments));
    match connected {
        Ok(handle) => handle.to_number(),
        Err(ConnectFailure::InvalidAddress) => INVALID_ADDRESS,
        Err(ConnectFailure::InvalidName) => INVALID_NAME,
        Err(ConnectFailure::NobodyTrusted) => NOBODY_TRUSTED,
    }
}

/// Begins a turn with the batch of datagrams in the inbox. Returns the length of the events that came of it.
#[unsafe(no_mangle)]
extern "C" fn turn_receive(now: f64, length: usize) -> usize {
    INBOX.with_borrow(|inbox| {
        with_core(|core| {
            core.receive(Instant::from_host_ms(now), &inbox[..length]);
            core.events().as_slice().len()
        })
    })
}

/// Where the events are. They stay until `events_clear`.
#[unsafe(no_mangle)]
extern "C" fn events_pointer() -> *const u8 {
    with_core(|core| core.events().as_slice().as_ptr())
}

#[unsafe(no_mangle)]
extern "C" fn events_clear() {
    with_core(|core| core.events().clear());
}

/// Collects a batch of datagrams to send, and returns its length; 0 ends the turn.
#[unsafe(no_mangle)]
extern "C" fn turn_transmit(now: f64) -> usize {
    with_core(|core| {
        core.transmit(Instant::from_host_ms(now));
        core.transmits().len()
    })
}

/// Where the datagrams are. They stay until `transmits_clear`.
#[unsafe(no_mangle)]
extern "C" fn transmits_pointer() -> *const u8 {
    with_core(|core| core.transmits().as_slice().as_ptr())
}

#[unsafe(no_mangle)]
extern "C" fn transmits_clear() {
    with_core(|core| core.transmits().clear());
}

/// When the next turn must be, by the host's monotonic clock in milliseconds. Negative: never.
#[unsafe(no_mangle)]
extern "C" fn next_deadline() -> f64 {
    with_core(|core| core.next_deadline().unwrap_or(-1.0))
}

/// Four numbers: connections, handshakes, refused, retried.
#[unsafe(no_mangle)]
extern "C" fn endpoint_stats() -> *const u8 {
    let counters = with_core(|core| core.counters());
    answer(|answer| {
        answer.number(counters.connections.into());
        answer.number(counters.handshakes.into());
        answer.number(counters.refused.into());
        answer.number(counters.retried.into());
    })
}

/// Scratch: the first bytes of a datagram. The number of a shard, [`ANY_SHARD`] and more where each will do, or
/// [`NOT_FOUND`].
#[unsafe(no_mangle)]
extern "C" fn datagram_owner(length: usize) -> i32 {
    let datagram = unsafe { scratch::written(length) };
    match with_core(|core| core.owner_of(datagram)) {
        Owner::Shard(shard) => shard.into(),
        Owner::Any(number) => ANY_SHARD + i32::from(number),
        Owner::Nobody => NOT_FOUND,
    }
}

// Connections

/// Scratch: the reason.
#[unsafe(no_mangle)]
extern "C" fn connection_close(now: f64, handle: f64, code: u64, length: usize) {
    let reason = unsafe { scratch::written(length) };
    with_peer(handle, (), |peer| peer.close(Instant::from_host_ms(now), varint(code), reason));
}

#[unsafe(no_mangle)]
extern "C" fn connection_ping(handle: f64) {
    with_peer(handle, (), |peer| peer.quic.ping());
}

#[unsafe(no_mangle)]
extern "C" fn connection_set_keep_alive(now: f64, handle: f64, interval_ms: f64) {
    let keep_alive = KeepAlive::every(interval_ms as u64);
    with_peer(handle, (), |peer| peer.set_keep_alive(Instant::from_host_ms(now), keep_alive));
}

/// 1 when there is early data and the handshake is not done, else 0.
#[unsafe(no_mangle)]
extern "C" fn connection_early(handle: f64) -> i32 {
    with_peer(handle, 0, |peer| (peer.quic.has_0rtt() && peer.quic.is_handshaking()).into())
}

/// Scratch: the label, then the context. Afterwards `length` bytes of keying material are there. 0 means done,
/// `NOT_FOUND` that the handshake is not.
#[unsafe(no_mangle)]
extern "C" fn connection_export(
    handle: f64,
    length: usize,
    label_length: usize,
    context_length: usize,
) -> i32 {
    let arguments = unsafe { scratch::written(label_length + context_length) }.to_vec();
    let (label, context) = arguments.split_at(label_length);
    with_peer(handle, NOT_FOUND, |peer| {
        if peer.quic.is_handshaking() {
            return NOT_FOUND;
        }
        let output = &mut unsafe { scratch::fill() }[..length];
        let exported = peer.quic.crypto_session().export_keying_material(output, label, context);
        if exported.is_ok() { 0 } else { TOO_LARGE }
    })
}

/// The largest datagram that can be sent now, or `NOT_FOUND`.
#[unsafe(no_mangle)]
extern "C" fn datagram_max_size(handle: f64) -> i32 {
    with_peer(handle, NOT_FOUND, |peer| {
        peer.quic.datagrams().max_size().map_or(NOT_FOUND, |size| size as i32)
    })
}

/// Scratch: the datagram. 0 means taken.
#[unsafe(no_mangle)]
extern "C" fn datagram_send(handle: f64, length: usize) -> i32 {
    let bytes = unsafe { scratch::written(length) };
    with_peer(handle, NOT_FOUND, |peer| {
        match peer.quic.datagrams().send(bytes.to_vec().into(), false) {
            Ok(()) => 0,
            Err(SendDatagramError::Blocked(_)) => BLOCKED,
            Err(_) => TOO_LARGE,
        }
    })
}

/// Nine numbers: bytes and datagrams, sent and received; packets lost; of the path in use round-trip time in
/// milliseconds, congestion window, MTU; bytes of streams unacknowledged. Null when the connection is gone.
#[unsafe(no_mangle)]
extern "C" fn connection_stats(handle: f64) -> *const u8 {
    with_peer(handle, std::ptr::null(), |peer| {
        let unacknowledged = peer.quic.streams().unacknowledged();
        let stats = peer.quic.stats();
        let path = peer.quic.path_stats(peer.active_path()).unwrap_or_default();
        answer(|answer| {
            answer.number(stats.udp_tx.bytes as f64);
            answer.number(stats.udp_rx.bytes as f64);
            answer.number(stats.udp_tx.datagrams as f64);
            answer.number(stats.udp_rx.datagrams as f64);
            answer.number(stats.lost_packets as f64);
            answer.number(milliseconds(&path));
            answer.number(path.cwnd as f64);
            answer.number(path.current_mtu.into());
            answer.number(unacknowledged as f64);
        })
    })
}

/// u32 count, u32 zero, then for each path u32 id, u32 flags (1 in use, 2 a backup, 4 a backup for the peer), and the
/// numbers round-trip time in milliseconds, MTU, bytes sent and received, packets sent and lost, packets that wait for an
/// acknowledgement and that have got it; the address, and zeros up to 24 bytes. Null when the connection is gone.
#[unsafe(no_mangle)]
extern "C" fn connection_paths(handle: f64) -> *const u8 {
    with_peer(handle, std::ptr::null(), |peer| {
        let active = peer.active_path();
        let paths: Vec<_> = peer
            .paths()
            .to_vec()
            .into_iter()
            .filter_map(|id| {
                let remote = peer.quic.network_path(id).ok()?.remote();
                let backup = peer.quic.path_status(id) == Ok(PathStatus::Backup);
                let peers_backup = peer.quic.remote_path_status(id) == Some(PathStatus::Backup);
                let flags =
                    u32::from(id == active) | u32::from(backup) << 1 | u32::from(peers_backup) << 2;
                let progress = peer.quic.path_progress(id)?;
                Some((id, flags, remote, peer.quic.path_stats(id)?, progress))
            })
            .collect();
        answer(|answer| {
            answer.u32(paths.len() as u32);
            answer.u32(0);
            for (id, flags, remote, stats, (waiting, acknowledged)) in &paths {
                answer.u32(path_number(*id));
                answer.u32(*flags);
                answer.number(milliseconds(stats));
                answer.number(stats.current_mtu.into());
                answer.number(stats.udp_tx.bytes as f64);
                answer.number(stats.udp_rx.bytes as f64);
                answer.number(stats.sent_packets as f64);
                answer.number(stats.lost_packets as f64);
                answer.number(*waiting as f64);
                answer.number(*acknowledged as f64);
                answer.address(*remote);
                answer.align();
            }
        })
    })
}

// Paths

/// Scratch: the address. The number of the path that has been opened there, or was there before; `BLOCKED` when it is
/// worth another try later, `NOT_FOUND` when there can be none.
#[unsafe(no_mangle)]
extern "C" fn path_open(now: f64, handle: f64, backup: u32) -> i32 {
    let remote = FourTuple::from_remote(scratch_address());
    with_peer(handle, NOT_FOUND, |peer| {
        match peer.quic.open_path_ensure(remote, status(backup), Instant::from_host_ms(now)) {
            Ok((id, _)) => path_number(id) as i32,
            Err(PathError::MaxPathIdReached | PathError::RemoteCidsExhausted) => BLOCKED,
            Err(_) => NOT_FOUND,
        }
    })
}

/// 0 means given up, `BLOCKED` that it is the last one.
#[unsafe(no_mangle)]
extern "C" fn path_close(now: f64, handle: f64, path: u32) -> i32 {
    with_peer(handle, NOT_FOUND, |peer| {
        match peer.quic.close_path(Instant::from_host_ms(now), path.into(), 0u32.into()) {
            Ok(()) => 0,
            Err(ClosePathError::LastOpenPath) => BLOCKED,
            Err(_) => NOT_FOUND,
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn path_set_status(handle: f64, path: u32, backup: u32) {
    with_peer(handle, (), |peer| {
        let _ = peer.quic.set_path_status(path.into(), status(backup));
    });
}

/// 0 is never.
#[unsafe(no_mangle)]
extern "C" fn path_set_idle_timeout(now: f64, handle: f64, path: u32, timeout_ms: f64) {
    let timeout = (timeout_ms > 0.0).then(|| Duration::from_millis(timeout_ms as u64));
    with_peer(handle, (), |peer| {
        let _ =
            peer.quic.set_path_max_idle_timeout(Instant::from_host_ms(now), path.into(), timeout);
    });
}

/// Bytes of UDP payload.
#[unsafe(no_mangle)]
extern "C" fn path_probe_mtu(handle: f64, path: u32, mtu: u32) {
    let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
    with_peer(handle, (), |peer| peer.quic.probe_path_mtu(path.into(), mtu));
}

#[unsafe(no_mangle)]
extern "C" fn path_ping(handle: f64, path: u32) {
    with_peer(handle, (), |peer| {
        let _ = peer.quic.ping_path(path.into());
    });
}

/// Scratch: u32 numbers of the paths that cannot work any more.
#[unsafe(no_mangle)]
extern "C" fn connection_network_changed(now: f64, handle: f64, count: usize) {
    let mut arguments = Reader::new(unsafe { scratch::written(4 * count) });
    let dead = (0..count).map(|_| arguments.u32().into()).collect();
    with_peer(handle, (), |peer| peer.network_changed(Instant::from_host_ms(now), dead));
}

/// Scratch: an address of ours that the peer may try. 0 means taken, `BLOCKED` that there are too many, `NOT_FOUND` that
/// the peer does not know how.
#[unsafe(no_mangle)]
extern "C" fn candidate_add(handle: f64) -> i32 {
    let address = scratch_address();
    with_peer(handle, NOT_FOUND, |peer| outcome(peer.quic.add_nat_traversal_address(address)))
}

/// Scratch: the address, which is not ours any more.
#[unsafe(no_mangle)]
extern "C" fn candidate_remove(handle: f64) {
    let address = scratch_address();
    with_peer(handle, (), |peer| {
        let _ = peer.quic.remove_nat_traversal_address(address);
    });
}

/// What the peer has told a client of its addresses: u32 count, then each. Null when there are none to be had.
#[unsafe(no_mangle)]
extern "C" fn candidates_of_peer(handle: f64) -> *const u8 {
    with_peer(handle, std::ptr::null(), |peer| {
        peer.quic.get_remote_nat_traversal_addresses().map_or(std::ptr::null(), answer_addresses)
    })
}

/// Has both sides try each other's addresses. `BLOCKED`: there is nothing to try yet, `NOT_FOUND`: it cannot be done.
#[unsafe(no_mangle)]
extern "C" fn connection_punch(now: f64, handle: f64) -> i32 {
    let now = Instant::from_host_ms(now);
    with_peer(handle, NOT_FOUND, |peer| {
        outcome(peer.quic.initiate_nat_traversal_round(now).map(|_| ()))
    })
}

fn scratch_address() -> SocketAddr {
    Reader::new(unsafe { scratch::written(ADDRESS_LENGTH) }).address()
}

fn status(backup: u32) -> PathStatus {
    if backup != 0 { PathStatus::Backup } else { PathStatus::Available }
}

fn outcome(result: Result<(), nat_traversal::Error>) -> i32 {
    use nat_traversal::Error;
    match result {
        Ok(()) => 0,
        Err(Error::TooManyAddresses | Error::NotEnoughAddresses | Error::Multipath(_)) => BLOCKED,
        Err(_) => NOT_FOUND,
    }
}

fn answer_addresses(addresses: Vec<SocketAddr>) -> *const u8 {
    answer(|answer| {
        answer.u32(addresses.len() as u32);
        for address in addresses {
            answer.address(address);
        }
    })
}

// Streams

/// The new stream's id, or a negative number when the peer allows no more.
#[unsafe(no_mangle)]
extern "C" fn stream_open(handle: f64, unidirectional: u32) -> f64 {
    let direction = if unidirectional != 0 { Dir::Uni } else { Dir::Bi };
    with_peer(handle, NOT_FOUND.into(), |peer| {
        peer.quic.streams().open(direction).map_or(NOT_FOUND.into(), number_of)
    })
}

/// Scratch: the data. Returns how much was taken; less than all: a `writable` event will come. `NOT_FOUND` when the
/// sending half is over.
#[unsafe(no_mangle)]
extern "C" fn stream_write(handle: f64, id: f64, length: usize, finish: u32) -> i32 {
    let data = unsafe { scratch::written(length) };
    with_sender(handle, id, NOT_FOUND, |peer, id| {
        let mut stream = peer.quic.send_stream(id);
        let mut taken = 0;
        // Only a write that is refused as a whole has noq tell when there is room again.
        while taken < data.len() {
            match stream.write(&data[taken..]) {
                Ok(count) => taken += count,
                Err(WriteError::Blocked) => break,
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => return NOT_FOUND,
            }
        }
        if finish != 0 && taken == data.len() && stream.finish() == Err(FinishError::ClosedStream) {
            return NOT_FOUND;
        }
        taken as i32
    })
}

#[unsafe(no_mangle)]
extern "C" fn stream_finish(handle: f64, id: f64) {
    with_sender(handle, id, (), |peer, id| {
        let _ = peer.quic.send_stream(id).finish();
    });
}

#[unsafe(no_mangle)]
extern "C" fn stream_reset(handle: f64, id: f64, code: u64) {
    with_sender(handle, id, (), |peer, id| {
        let _ = peer.quic.send_stream(id).reset(varint(code));
    });
}

#[unsafe(no_mangle)]
extern "C" fn stream_set_priority(handle: f64, id: f64, priority: i32) {
    with_sender(handle, id, (), |peer, id| {
        let _ = peer.quic.send_stream(id).set_priority(priority);
    });
}

#[unsafe(no_mangle)]
extern "C" fn stream_stop(handle: f64, id: f64, code: u64) {
    with_receiver(handle, id, (), |peer, id| {
        let _ = peer.quic.recv_stream(id).stop(varint(code));
    });
}

/// Copies up to `max_length` bytes into the scratch memory, after a header: u32 state, u32 zero, u64 code of a reset.
/// Returns the number of bytes.
#[unsafe(no_mangle)]
extern "C" fn stream_read(handle: f64, id: f64, max_length: usize) -> usize {
    let (header, data) = unsafe { scratch::fill() }.split_at_mut(scratch::HEADER);
    let room = max_length.min(data.len());
    let gone = ReadOutcome { length: 0, state: RECEIVE_GONE, code: 0 };
    let outcome = with_receiver(handle, id, gone, |peer, id| read(peer, id, &mut data[..room]));
    header[..4].copy_from_slice(&outcome.state.to_le_bytes());
    header[8..].copy_from_slice(&outcome.code.to_le_bytes());
    outcome.length
}

/// Panics, for the tests of what happens then.
#[unsafe(no_mangle)]
extern "C" fn panic_for_test() {
    panic!("panic for a test");
}

struct ReadOutcome {
    length: usize,
    state: u32,
    code: u64,
}

fn read(peer: &mut Peer, id: StreamId, into: &mut [u8]) -> ReadOutcome {
    let mut length = 0;
    let mut stream = peer.quic.recv_stream(id);
    let Ok(mut chunks) = stream.read(true) else {
        return ReadOutcome { length, state: RECEIVE_GONE, code: 0 };
    };
    let (state, code) = loop {
        match chunks.next(into.len() - length) {
            // Room is used up, and more is there: an empty piece of it.
            Ok(Some(chunk)) if chunk.bytes.is_empty() => break (RECEIVE_OPEN, 0),
            Ok(Some(chunk)) => {
                into[length..length + chunk.bytes.len()].copy_from_slice(&chunk.bytes);
                length += chunk.bytes.len();
            }
            Ok(None) => break (RECEIVE_FINISHED, 0),
            Err(ReadError::Blocked) => break (RECEIVE_OPEN, 0),
            Err(ReadError::Reset(code)) => break (RECEIVE_RESET, code.into_inner()),
        }
    };
    // Tells the peer of the room that has become free, with the next transmit.
    let _ = chunks.finalize();
    ReadOutcome { length, state, code }
}

fn with_sender<T>(
    handle: f64,
    id: f64,
    otherwise: T,
    act: impl FnOnce(&mut Peer, StreamId) -> T,
) -> T {
    with_half(handle, id, otherwise, true, act)
}

fn with_receiver<T>(
    handle: f64,
    id: f64,
    otherwise: T,
    act: impl FnOnce(&mut Peer, StreamId) -> T,
) -> T {
    with_half(handle, id, otherwise, false, act)
}

/// noq panics when asked for a half that a stream does not have, so nobody gets to ask.
fn with_half<T>(
    handle: f64,
    id: f64,
    otherwise: T,
    sending: bool,
    act: impl FnOnce(&mut Peer, StreamId) -> T,
) -> T {
    let id = stream_of(id);
    with_core(|core| match core.peer(Handle::from_number(handle)) {
        Some(peer) if has_half(id, peer.quic.side(), sending) => act(peer, id),
        _ => otherwise,
    })
}

fn has_half(id: StreamId, side: Side, sending: bool) -> bool {
    id.dir() == Dir::Bi || (id.initiator() == side) == sending
}

fn varint(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn milliseconds(path: &PathStats) -> f64 {
    path.rtt.as_secs_f64() * 1_000.0
}

/// noq shows the number of a path in no other way.
fn path_number(id: PathId) -> u32 {
    id.to_string().parse().unwrap_or(u32::MAX)
}
