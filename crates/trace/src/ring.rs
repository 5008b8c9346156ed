//! Buffers that go round between the thread that computes and the thread that writes.
//!
//! All are made at the start; handing one over is a lock and a swap. When the disk is too slow the
//! computing thread waits, and the wait is counted: a trace loses nothing.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// See the module's text.
pub(crate) struct Ring {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    empty: Vec<Vec<u8>>,
    full: VecDeque<Vec<u8>>,
    closed: bool,
}

impl Ring {
    /// `count` buffers of `bytes`, their memory taken now.
    pub fn new(count: usize, bytes: usize) -> Self {
        let buffer = || {
            // Written once: memory that was only reserved would be taken while decoding.
            let mut buffer = vec![1; bytes];
            buffer.clear();
            buffer
        };
        let empty = (0..count).map(|_| buffer()).collect();
        let state = State { empty, full: VecDeque::with_capacity(count), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }

    /// An empty buffer, and how long it had to be waited for.
    pub fn take_empty(&self) -> (Vec<u8>, Option<Duration>) {
        let mut state = self.lock();
        if let Some(buffer) = state.empty.pop() {
            return (buffer, None);
        }
        let start = Instant::now();
        loop {
            state = self.changed.wait(state).expect("nothing panics while it holds this lock");
            if let Some(buffer) = state.empty.pop() {
                return (buffer, Some(start.elapsed()));
            }
        }
    }

    pub fn give_full(&self, buffer: Vec<u8>) {
        self.lock().full.push_back(buffer);
        self.changed.notify_one();
    }

    /// No more full buffers will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The next full buffer; waits for it. `None` when the ring is closed and everything was taken.
    pub fn take_full(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if let Some(buffer) = state.full.pop_front() {
                return Some(buffer);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).expect("nothing panics while it holds this lock");
        }
    }

    pub fn give_empty(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.lock().empty.push(buffer);
        self.changed.notify_one();
    }
}
