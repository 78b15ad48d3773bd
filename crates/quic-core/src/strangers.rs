//! What may be sent to addresses where nobody has shown yet that it is wanted.
//!
//! NAT traversal has us send probes to addresses that a peer names, and a peer can name anybody's, as often as it likes;
//! an answer to a packet whose source address is forged goes to whoever that is. noq limits how many addresses there are
//! at a time, but not how often. So every connection has a budget for packets outside of its paths, and so has every
//! host that they go to, whichever connections they are of. What is above is lost, as it may be on any network.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use web_time::Instant;

/// Bytes at once and per second, those of IP and UDP headers included. A round of punching with all addresses that can
/// be named is 23 KB in 4 s.
const BURST: u32 = 32 * 1024;
const PER_SECOND: u32 = 8 * 1024;
/// IPv4 and UDP headers.
const HEADERS: u32 = 28;
/// Hosts share budgets when there are more: that takes no more memory, and no host ever gets more than its own.
const HOSTS: usize = 1_024;

/// Bytes that may be sent now.
#[derive(Copy, Clone)]
pub struct Budget {
    bytes: u32,
    /// When that was so; `None` before the first packet.
    at: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: BURST, at: None }
    }
}

impl Budget {
    fn refill(&mut self, now: Instant) {
        let passed = self.at.map_or(0, |at| now.duration_since(at).as_millis());
        // So much time fills it, however empty it was.
        let earned = passed.min(10_000) as u32 * PER_SECOND / 1_000;
        if earned > 0 || self.at.is_none() {
            self.bytes = (self.bytes + earned).min(BURST);
            self.at = Some(now);
        }
    }
}

/// The budgets of hosts.
pub struct Strangers(Box<[Budget]>);

impl Default for Strangers {
    fn default() -> Self {
        Self(vec![Budget::default(); HOSTS].into_boxed_slice())
    }
}

impl Strangers {
    /// Whether a packet may go to `to`, which is none of the connection's paths.
    pub fn admit(
        &mut self,
        now: Instant,
        connection: &mut Budget,
        to: SocketAddr,
        length: usize,
    ) -> bool {
        let cost = length as u32 + HEADERS;
        let host = &mut self.0[bucket(to.ip())];
        connection.refill(now);
        host.refill(now);
        let admitted = connection.bytes >= cost && host.bytes >= cost;
        if admitted {
            connection.bytes -= cost;
            host.bytes -= cost;
        }
        admitted
    }
}

/// By IPv4 address or IPv6 network of 64 bits, of which one host can have all addresses.
fn bucket(ip: IpAddr) -> usize {
    let mut hasher = DefaultHasher::new();
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets().hash(&mut hasher),
        IpAddr::V6(ip) => ip.octets()[..8].hash(&mut hasher),
    }
    hasher.finish() as usize % HOSTS
}
