//! Options of the host as configurations of noq.

use std::sync::Arc;
use std::time::Duration;

use noq_proto::congestion::{
    Bbr3Config, Controller, ControllerFactory, CubicConfig, NewRenoConfig,
};
use noq_proto::{
    EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, ValidationTokenConfig, VarInt,
};
use web_time::Instant;

use crate::reader::Reader;
use crate::shard::Shard;

/// QUIC version 1, and no draft of it.
const VERSIONS: [u32; 1] = [1];
/// The largest payload that a UDP datagram can have.
const MAX_UDP_PAYLOAD: u16 = 65_527;
/// Paths at once per connection, as iroh negotiates it.
const MAX_PATHS: u32 = 8;
/// Addresses that a peer may tell us to try, as iroh negotiates it.
const MAX_NAT_TRAVERSAL_ADDRESSES: u8 = 32;
/// A path on which nothing arrives for this long is given up, if it is kept alive at all. As iroh has it.
const PATH_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Packets in flight before the first acknowledgement (RFC 9002 §7.2).
const INITIAL_WINDOW_PACKETS: u64 = 10;

/// `TransportOptions` of the engine, in the order in which the host writes them.
pub struct TransportOptions {
    idle_timeout_ms: u64,
    keep_alive_interval_ms: u64,
    max_bidirectional_streams: u64,
    max_unidirectional_streams: u64,
    stream_receive_window: u64,
    receive_window: u64,
    send_window: u64,
    datagram_receive_buffer: u64,
    datagram_send_buffer: u64,
    initial_mtu: u64,
    max_mtu: u64,
    /// For paths to a loopback address, see [`crate::connection::Peer`].
    pub loopback_mtu: u16,
    congestion_control: u64,
    multipath: bool,
    observe_address: bool,
    tell_address: bool,
}

impl TransportOptions {
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            idle_timeout_ms: reader.number(),
            keep_alive_interval_ms: reader.number(),
            max_bidirectional_streams: reader.number(),
            max_unidirectional_streams: reader.number(),
            stream_receive_window: reader.number(),
            receive_window: reader.number(),
            send_window: reader.number(),
            datagram_receive_buffer: reader.number(),
            datagram_send_buffer: reader.number(),
            initial_mtu: reader.number(),
            max_mtu: reader.number(),
            loopback_mtu: mtu(reader.number()),
            congestion_control: reader.number(),
            multipath: reader.number() != 0,
            observe_address: reader.number() != 0,
            tell_address: reader.number() != 0,
        }
    }

    pub fn to_config(&self) -> TransportConfig {
        let initial_mtu = mtu(self.initial_mtu);
        let keep_alive = KeepAlive::every(self.keep_alive_interval_ms);
        let mut config = TransportConfig::default();
        config
            .max_idle_timeout(idle_timeout(self.idle_timeout_ms))
            .default_path_keep_alive_interval(keep_alive.interval)
            .default_path_max_idle_timeout(keep_alive.path_idle_timeout)
            .max_concurrent_bidi_streams(varint(self.max_bidirectional_streams))
            .max_concurrent_uni_streams(varint(self.max_unidirectional_streams))
            .stream_receive_window(varint(self.stream_receive_window))
            .receive_window(varint(self.receive_window))
            .send_window(self.send_window)
            .datagram_receive_buffer_size(size_or_none(self.datagram_receive_buffer))
            .datagram_send_buffer_size(self.datagram_send_buffer as usize)
            .initial_mtu(initial_mtu)
            .mtu_discovery_config(self.mtu_discovery(initial_mtu))
            .congestion_controller_factory(Arc::new(CongestionControl(self.congestion_control)))
            // Who dials several addresses at once learns from the answer which of them it is.
            .server_handshake_migration(true)
            .receive_observed_address_reports(self.observe_address)
            .send_observed_address_reports(self.tell_address);
        if self.multipath {
            config
                .max_concurrent_multipath_paths(MAX_PATHS)
                .max_remote_nat_traversal_addresses(MAX_NAT_TRAVERSAL_ADDRESSES);
        }
        config
    }

    fn mtu_discovery(&self, initial_mtu: u16) -> Option<MtuDiscoveryConfig> {
        let upper_bound = mtu(self.max_mtu);
        (self.max_mtu != 0 && upper_bound > initial_mtu).then(|| {
            let mut config = MtuDiscoveryConfig::default();
            config.upper_bound(upper_bound);
            config
        })
    }
}

/// One of them, as the host numbers them.
struct CongestionControl(u64);

impl ControllerFactory for CongestionControl {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        // The controllers' own default is counted in bytes, and fewer than two large packets of it stall the sender.
        let window = INITIAL_WINDOW_PACKETS * u64::from(mtu);
        match self.0 {
            0 => {
                let mut config = CubicConfig::default();
                config.initial_window(window);
                Arc::new(config).build(now, mtu)
            }
            1 => {
                let mut config = Bbr3Config::default();
                config.initial_window(window);
                Arc::new(config).build(now, mtu)
            }
            _ => {
                let mut config = NewRenoConfig::default();
                config.initial_window(window);
                Arc::new(config).build(now, mtu)
            }
        }
    }
}

/// How a path is kept alive, and when it is given up.
#[derive(Copy, Clone)]
pub struct KeepAlive {
    pub interval: Option<Duration>,
    /// A path that nobody keeps alive is silent without being dead: then only the connection's own timeout counts.
    pub path_idle_timeout: Option<Duration>,
}

impl KeepAlive {
    /// 0 is never.
    pub fn every(interval_ms: u64) -> Self {
        let interval = (interval_ms > 0).then(|| Duration::from_millis(interval_ms));
        Self {
            interval,
            path_idle_timeout: interval.map(|interval| PATH_IDLE_TIMEOUT.max(interval * 3)),
        }
    }
}

/// What protects a listening endpoint, in the order in which the host writes it.
pub struct IncomingLimits {
    pub max_handshakes: u64,
    pub retry_above: u64,
    pub max_connections: u64,
    pub handshake_timeout: Duration,
}

impl IncomingLimits {
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            max_handshakes: reader.number(),
            retry_above: reader.number(),
            max_connections: reader.number(),
            handshake_timeout: Duration::from_millis(reader.number()),
        }
    }
}

pub fn endpoint_config(shard: &Arc<Shard>) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(shard.reset_key()));
    let shard = shard.clone();
    config
        .cid_generator(Arc::new(move || Box::new(shard.ids())))
        .supported_versions(VERSIONS.to_vec())
        .max_udp_payload_size(MAX_UDP_PAYLOAD)
        .expect("the limit is in range");
    config
}

/// NEW_TOKEN (RFC 9000 §8.1.3): a peer that comes back needs no Retry.
pub fn validation_tokens() -> ValidationTokenConfig {
    let mut config = ValidationTokenConfig::default();
    config.sent(2);
    config
}

fn varint(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}

fn mtu(value: u64) -> u16 {
    value.min(MAX_UDP_PAYLOAD.into()) as u16
}

fn idle_timeout(ms: u64) -> Option<IdleTimeout> {
    (ms != 0).then(|| IdleTimeout::from(varint(ms)))
}

fn size_or_none(value: u64) -> Option<usize> {
    (value != 0).then_some(value as usize)
}
