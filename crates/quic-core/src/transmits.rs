//! Datagrams to send, as records for the host.
//!
//! ```text
//!  0 address             18 bytes, see `address`
//! 18 u16 zero
//! 20 u32 segment size    several datagrams of this size, the last one possibly shorter
//! 24 u32 length
//! 28 u32 zero
//! 32 payload, then zeros up to a multiple of 8
//! ```

use noq_proto::Transmit;

use crate::writer::Writer;

#[derive(Default)]
pub struct Transmits(Writer);

impl Transmits {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// `bytes` is what noq has written for `transmit`.
    pub fn push(&mut self, transmit: &Transmit, bytes: &[u8]) {
        let payload = &bytes[..transmit.size];
        self.0.address(transmit.destination);
        self.0.bytes(&[0; 2]);
        self.0.u32(transmit.segment_size.unwrap_or(payload.len()) as u32);
        self.0.u32(payload.len() as u32);
        self.0.u32(0);
        self.0.bytes(payload);
        self.0.align();
    }
}
