//! Socket addresses as they cross the boundary: 16 bytes of IPv6 address, then the port, little-endian.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Length of an encoded address.
pub const ADDRESS_LENGTH: usize = 18;

/// IPv4 stays in its IPv6 form (`::ffff:a.b.c.d`): one endpoint has one family, as iroh has it, so that a path that
/// moves between sockets of both families compares equal to itself.
pub fn decode(bytes: &[u8; ADDRESS_LENGTH]) -> SocketAddr {
    let mut ip = [0; 16];
    ip.copy_from_slice(&bytes[..16]);
    let port = u16::from_le_bytes([bytes[16], bytes[17]]);
    SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, 0))
}

pub fn encode(address: SocketAddr) -> [u8; ADDRESS_LENGTH] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; ADDRESS_LENGTH];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_le_bytes());
    bytes
}
