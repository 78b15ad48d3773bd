//! What the program that holds the WebAssembly instance provides: clocks, randomness, signatures, encryption of large packets, and a place for text.
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
        pub fn seal(
            key: *const u8,
            nonce: *const u8,
            header: *const u8,
            header_length: usize,
            text: *mut u8,
            length: usize,
            tag: *mut u8,
        ) -> i32;
        pub fn open(
            key: *const u8,
            nonce: *const u8,
            header: *const u8,
            header_length: usize,
            text: *mut u8,
            length: usize,
            tag: *const u8,
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

/// Encrypts `text` with ChaCha20-Poly1305 (RFC 8439). False when the host does not do that.
pub fn seal(
    key: &[u8; 32],
    nonce: &[u8; 12],
    header: &[u8],
    text: &mut [u8],
    tag: &mut [u8; 16],
) -> bool {
    let (key, nonce, tag) = (key.as_ptr(), nonce.as_ptr(), tag.as_mut_ptr());
    let (from, into) = (header.as_ptr(), text.as_mut_ptr());
    unsafe { imports::seal(key, nonce, from, header.len(), into, text.len(), tag) == 1 }
}

/// Decrypts `text` with ChaCha20-Poly1305 (RFC 8439), whose tag has 16 bytes. `Some(false)` when the tag does not fit, `None`
/// when the host does not do that.
pub fn open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    header: &[u8],
    text: &mut [u8],
    tag: &[u8],
) -> Option<bool> {
    let (key, nonce, tag) = (key.as_ptr(), nonce.as_ptr(), tag.as_ptr());
    let (from, into) = (header.as_ptr(), text.as_mut_ptr());
    match unsafe { imports::open(key, nonce, from, header.len(), into, text.len(), tag) } {
        1 => Some(true),
        0 => Some(false),
        _ => None,
    }
}

/// Hands over one line in the format of SSLKEYLOGFILE.
pub fn log_key(line: &str) {
    unsafe { imports::key_log(line.as_ptr(), line.len()) }
}

/// Tells why the instance is about to trap.
pub fn report_panic(message: &str) {
    unsafe { imports::panicked(message.as_ptr(), message.len()) }
}
