//! Memory at a fixed place for what goes along with single calls.

use std::cell::UnsafeCell;

/// Bytes of stream data per call.
pub const MAX_CHUNK: usize = 64 * 1024;
/// What may stand before the data.
pub const HEADER: usize = 16;
pub const CAPACITY: usize = HEADER + MAX_CHUNK;

struct Scratch(UnsafeCell<[u8; CAPACITY]>);

// There is one thread.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch(UnsafeCell::new([0; CAPACITY]));

pub fn pointer() -> *mut u8 {
    SCRATCH.0.get().cast()
}

/// The first `length` bytes, which the host has written.
///
/// # Safety
/// The slice must not outlive the exported function that asks for it, and that function may ask once.
pub unsafe fn written(length: usize) -> &'static [u8] {
    assert!(length <= CAPACITY);
    unsafe { std::slice::from_raw_parts(pointer(), length) }
}

/// The whole of it, to be filled for the host.
///
/// # Safety
/// As for [`written`].
pub unsafe fn fill() -> &'static mut [u8; CAPACITY] {
    unsafe { &mut *SCRATCH.0.get() }
}
