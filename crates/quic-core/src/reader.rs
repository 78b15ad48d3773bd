//! Reads the arguments that the host has laid out in memory: little-endian numbers and byte strings, in a fixed order.

use std::net::SocketAddr;

use crate::address::{self, ADDRESS_LENGTH};

/// Our own TypeScript writes what is read here. So running out of bytes is a bug, and panics.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.0.split_first_chunk().expect("arguments are complete");
        self.0 = tail;
        *head
    }

    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(length);
        self.0 = tail;
        head
    }

    /// All that has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// A number of JavaScript that is known to be a whole one of at least 0.
    pub fn number(&mut self) -> u64 {
        f64::from_le_bytes(self.array()) as u64
    }

    pub fn flag(&mut self) -> bool {
        self.u8() != 0
    }

    pub fn address(&mut self) -> SocketAddr {
        address::decode(&self.array::<ADDRESS_LENGTH>())
    }

    /// A count in four bytes, then as many byte strings, each after its length in four bytes.
    pub fn list(&mut self) -> Vec<&'a [u8]> {
        let count = self.u32();
        (0..count)
            .map(|_| {
                let length = self.u32();
                self.bytes(length as usize)
            })
            .collect()
    }

    /// A count, then as many byte strings, each after its length in one byte.
    pub fn protocols(&mut self) -> Vec<Vec<u8>> {
        let count = self.u8();
        (0..count)
            .map(|_| {
                let length = self.u8();
                self.bytes(length.into()).to_vec()
            })
            .collect()
    }
}
