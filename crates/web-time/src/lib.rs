//! `std::time` over the clocks of the host, with the names of the web-time crate.

mod instant;
mod system_time;

pub use std::time::Duration;

pub use instant::Instant;
pub use system_time::{SystemTime, SystemTimeError, UNIX_EPOCH};
