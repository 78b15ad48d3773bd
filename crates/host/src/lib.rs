//! What the program that holds the WebAssembly instance provides: clocks, randomness, signatures, and a place for text.
//!
//! None of these functions may call back into the instance.
#![no_std]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

mod imports {
    #[link(wasm_import_module = "host")]
    unsafe extern "C" {
        pub fn now_ms() -> f64;
        pub fn unix_ms() -> f64;
        pub fn random_fill(bytes: *mut u8, length: usize);
        pub fn sign(
            scheme: u32,
            message: *const u8,
            length: usize,
            signature: *mut u8,
            capacity: usize,
        ) -> i32;
        pub fn key_log(line: *const u8, length: usize);
        pub fn panicked(message: *const u8, length: usize);
    }
}

/// Monotonic milliseconds, with fractions.
pub fn monotonic_ms() -> f64 {
    unsafe { imports::now_ms() }
}

/// Milliseconds since 1970.
pub fn wall_clock_ms() -> f64 {
    unsafe { imports::unix_ms() }
}

/// Fills `bytes` with unpredictable bytes.
pub fn fill_random(bytes: &mut [u8]) {
    unsafe { imports::random_fill(bytes.as_mut_ptr(), bytes.len()) }
}

/// As long as an RSA key of 16384 bits makes them.
const MAX_SIGNATURE: usize = 2048;

/// Signs with the endpoint's private key, which only the host has, by a scheme of TLS (RFC 8446 §4.2.3). `None` when the
/// host could not.
pub fn sign(scheme: u16, message: &[u8]) -> Option<Vec<u8>> {
    let mut signature = vec![0; MAX_SIGNATURE];
    let length = unsafe {
        let into = signature.as_mut_ptr();
        imports::sign(scheme.into(), message.as_ptr(), message.len(), into, MAX_SIGNATURE)
    };
    signature.truncate(usize::try_from(length).ok()?);
    Some(signature)
}

/// Hands over one line in the format of SSLKEYLOGFILE.
pub fn log_key(line: &str) {
    unsafe { imports::key_log(line.as_ptr(), line.len()) }
}

/// Tells why the instance is about to trap.
pub fn report_panic(message: &str) {
    unsafe { imports::panicked(message.as_ptr(), message.len()) }
}
