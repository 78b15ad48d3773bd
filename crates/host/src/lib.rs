//! What the program that holds the WebAssembly instance provides: clocks, randomness, signatures, and a place for text.
//!
//! None of these functions may call back into the instance.
#![no_std]

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    fn now_ms() -> f64;
    fn unix_ms() -> f64;
    fn random_fill(bytes: *mut u8, length: usize);
    fn sign(message: *const u8, length: usize, signature: *mut u8) -> i32;
    fn key_log(line: *const u8, length: usize);
    fn panicked(message: *const u8, length: usize);
}

/// Monotonic milliseconds, with fractions.
pub fn monotonic_ms() -> f64 {
    unsafe { now_ms() }
}

/// Milliseconds since 1970.
pub fn wall_clock_ms() -> f64 {
    unsafe { unix_ms() }
}

/// Fills `bytes` with unpredictable bytes.
pub fn fill_random(bytes: &mut [u8]) {
    unsafe { random_fill(bytes.as_mut_ptr(), bytes.len()) }
}

/// Signs with the endpoint's Ed25519 key, which only the host has. `None` when the host could not.
pub fn sign_ed25519(message: &[u8]) -> Option<[u8; 64]> {
    let mut signature = [0; 64];
    let status = unsafe { sign(message.as_ptr(), message.len(), signature.as_mut_ptr()) };
    (status == 0).then_some(signature)
}

/// Hands over one line in the format of SSLKEYLOGFILE.
pub fn log_key(line: &str) {
    unsafe { key_log(line.as_ptr(), line.len()) }
}

/// Tells why the instance is about to trap.
pub fn report_panic(message: &str) {
    unsafe { panicked(message.as_ptr(), message.len()) }
}
