use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A moment on the host's monotonic clock.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

/// Where the host's zero lies. Protocol code subtracts durations from the present, so zero must not be near.
const EPOCH: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Instant {
    pub fn now() -> Self {
        Self::from_host_ms(host::monotonic_ms())
    }

    /// The moment that the host calls `ms`, to the nearest microsecond.
    pub fn from_host_ms(ms: f64) -> Self {
        Self(EPOCH + Duration::from_micros((ms * 1_000.0).round() as u64))
    }

    /// What the host calls this moment, never earlier: a timer that is set for it finds the deadline passed.
    pub fn to_host_ms(self) -> f64 {
        let micros = self.0.saturating_sub(EPOCH).as_nanos().div_ceil(1_000);
        micros as f64 / 1_000.0
    }

    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }

    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0)
    }

    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        self.0.checked_add(duration).map(Self)
    }

    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        self.0.checked_sub(duration).map(Self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0 - duration)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        self.0 -= duration;
    }
}
