//! When each connection wants to be woken, as a heap: what is idle costs nothing per turn.

use web_time::Instant;

/// A binary min-heap with one entry per slot at most, that knows where each slot's entry is.
#[derive(Default)]
pub struct Deadlines {
    heap: Vec<(Instant, u32)>,
    /// Index in `heap` by slot; `ABSENT` when the slot has no deadline.
    positions: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl Deadlines {
    pub fn earliest(&self) -> Option<Instant> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Removes one slot whose deadline has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let &(at, slot) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.set(slot, None);
        Some(slot)
    }

    /// Replaces the deadline of a slot.
    pub fn set(&mut self, slot: u32, deadline: Option<Instant>) {
        let index = slot as usize;
        if index >= self.positions.len() {
            if deadline.is_none() {
                return;
            }
            self.positions.resize(index + 1, ABSENT);
        }
        match (self.positions[index], deadline) {
            (ABSENT, None) => {}
            (ABSENT, Some(at)) => {
                self.heap.push((at, slot));
                self.rise(self.heap.len() - 1);
            }
            (position, Some(at)) => {
                let position = position as usize;
                let earlier = at < self.heap[position].0;
                self.heap[position].0 = at;
                if earlier {
                    self.rise(position);
                } else {
                    self.sink(position);
                }
            }
            (position, None) => {
                let position = position as usize;
                self.positions[index] = ABSENT;
                self.heap.swap_remove(position);
                // The last entry took the place. It may belong above or below, and one of the two calls does nothing.
                if position < self.heap.len() {
                    self.note(position);
                    self.sink(position);
                    self.rise(position);
                }
            }
        }
    }

    /// Moves the entry at `position` up to where it belongs, if that is above.
    fn rise(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.heap[parent].0 <= self.heap[position].0 {
                break;
            }
            self.swap(parent, position);
            position = parent;
        }
        self.note(position);
    }

    /// Moves the entry at `position` down to where it belongs, if that is below.
    fn sink(&mut self, mut position: usize) {
        loop {
            let left = 2 * position + 1;
            let right = left + 1;
            let mut least = position;
            if left < self.heap.len() && self.heap[left].0 < self.heap[least].0 {
                least = left;
            }
            if right < self.heap.len() && self.heap[right].0 < self.heap[least].0 {
                least = right;
            }
            if least == position {
                break;
            }
            self.swap(position, least);
            position = least;
        }
        self.note(position);
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    fn note(&mut self, position: usize) {
        let slot = self.heap[position].1;
        self.positions[slot as usize] = position as u32;
    }
}
