//! Writes records for the host: little-endian, each aligned to 8 bytes so that numbers can be read in place.

use std::net::SocketAddr;

use crate::address;

/// What the host reads after a call: a sequence of records, in memory that belongs to the core.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn number(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn address(&mut self, address: SocketAddr) {
        self.bytes(&address::encode(address));
    }

    /// Fills up to the next multiple of 8.
    pub fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
    }
}
