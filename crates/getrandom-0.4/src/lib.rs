//! Random bytes from the host, with the names of getrandom 0.4 (used by rand).
#![no_std]

use core::fmt;

pub use rand_core;
use rand_core::{TryCryptoRng, TryRng};

/// Never happens: the host either fills the bytes or does not return.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Error(());

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no random bytes")
    }
}

impl core::error::Error for Error {}

pub fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    host::fill_random(bytes);
    Ok(())
}

/// The host's random source as a generator.
#[derive(Copy, Clone, Debug, Default)]
pub struct SysRng;

impl TryRng for SysRng {
    type Error = Error;

    fn try_next_u32(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        fill(bytes)
    }
}

impl TryCryptoRng for SysRng {}
