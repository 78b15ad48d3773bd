//! Names of connections that stay wrong once the connection is gone.

use noq_proto::ConnectionHandle;

/// A slot, and how often it was used before. A handle from before never finds the connection that has the slot now.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    pub slot: u32,
    pub generation: u32,
}

/// Slots take the lower bits of a handle that is passed as one number, generations what is left of 53.
const SLOT_BITS: u32 = 24;

impl Handle {
    pub fn from_number(number: f64) -> Self {
        let bits = number as u64;
        Self {
            slot: (bits & ((1 << SLOT_BITS) - 1)) as u32,
            generation: (bits >> SLOT_BITS) as u32,
        }
    }

    pub fn to_number(self) -> f64 {
        ((u64::from(self.generation) << SLOT_BITS) | u64::from(self.slot)) as f64
    }

    pub fn noq(self) -> ConnectionHandle {
        ConnectionHandle(self.slot as usize)
    }
}
