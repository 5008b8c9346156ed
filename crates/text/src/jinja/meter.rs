//! What a rendering may spend: work, and memory for the values that are alive at one time.
//!
//! A unit of work is a byte that is looked at or written; a step (evaluating a node, visiting an
//! item) counts as [`STEP`] of them. Everything that walks a value charges while it walks, so that a
//! value that shares its parts costs what its walk costs, whatever its size in memory.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::jinja::fault::{Fault, Result};

/// Work of one step.
pub(crate) const STEP: u64 = 64;

/// Work between two looks at the flag that cancels.
const CANCEL_INTERVAL: u64 = 1 << 18;

/// Memory of a value beside its contents: allocation, counts, lengths.
const OVERHEAD: usize = 64;

pub(crate) struct Meter<'c> {
    work: Cell<u64>,
    unchecked: Cell<u64>,
    memory: Rc<Cell<usize>>,
    cancel: &'c AtomicBool,
}

/// Memory that a value takes; given back when the value is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Rc<Cell<usize>>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.set(self.memory.get() + self.bytes);
    }
}

impl Held {
    /// Takes more, for a value that grows.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<()> {
        let left = self.memory.get().checked_sub(bytes).ok_or(Fault::Memory)?;
        self.memory.set(left);
        self.bytes += bytes;
        Ok(())
    }
}

impl<'c> Meter<'c> {
    pub(crate) fn new(work: u64, memory: usize, cancel: &'c AtomicBool) -> Self {
        Self { work: Cell::new(work), unchecked: Cell::new(0), memory: Rc::new(Cell::new(memory)), cancel }
    }

    /// Charges `bytes` looked at or written.
    pub(crate) fn bytes(&self, bytes: usize) -> Result<()> {
        self.charge(bytes as u64)
    }

    /// Charges one step.
    pub(crate) fn step(&self) -> Result<()> {
        self.charge(STEP)
    }

    /// Charges `count` steps.
    pub(crate) fn steps(&self, count: usize) -> Result<()> {
        self.charge((count as u64).saturating_mul(STEP))
    }

    fn charge(&self, units: u64) -> Result<()> {
        let left = self.work.get().checked_sub(units).ok_or(Fault::Work)?;
        self.work.set(left);
        let unchecked = self.unchecked.get() + units;
        if unchecked < CANCEL_INTERVAL {
            self.unchecked.set(unchecked);
            return Ok(());
        }
        self.unchecked.set(0);
        if self.cancel.load(Ordering::Relaxed) { Err(Fault::Cancelled) } else { Ok(()) }
    }

    /// Takes memory for a value of `bytes`, before it is made.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Held> {
        let mut held = Held { memory: Rc::clone(&self.memory), bytes: 0 };
        held.grow(bytes.saturating_add(OVERHEAD))?;
        Ok(held)
    }
}
