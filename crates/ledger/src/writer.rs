//! Saves a ledger from a thread of its own: who computes copies it into a buffer and goes on.

use std::sync::{Arc, Barrier, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use hotset_base::Bytes;
use hotset_outputs::{OutputError, Target};
use hotset_policy::contexts::{Contexts, ContextsOptions, ContextsShape};

use crate::LedgerError;
use crate::file::replace;
use crate::snapshot::{file_bytes, write_ledger};

/// See the module's text. Dropped, it finishes the save under way.
pub struct LedgerWriter {
    desk: Arc<Desk>,
    identity: [u8; 32],
    thread: Option<JoinHandle<()>>,
}

struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

/// One buffer, which is at the desk unless it is being filled or written.
struct State {
    idle: Option<Vec<u8>>,
    full: Option<Vec<u8>>,
    closed: bool,
    /// Why the last save that was tried failed, if it did.
    failure: Option<OutputError>,
}

impl LedgerWriter {
    /// Starts the thread. The buffer's memory is taken now: [`LedgerWriter::planned_bytes`].
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(
        target: Arc<Target>,
        identity: [u8; 32],
        shape: ContextsShape,
        options: ContextsOptions,
    ) -> std::io::Result<Self> {
        // Written once: memory that was only reserved would be taken while decoding.
        let buffer = vec![1; file_bytes(shape, options.contexts)];
        let state = State { idle: Some(buffer), full: None, closed: false, failure: None };
        let desk = Arc::new(Desk { state: Mutex::new(state), changed: Condvar::new() });
        let there = Arc::clone(&desk);
        let running = Arc::new(Barrier::new(2));
        let begun = Arc::clone(&running);
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            begun.wait();
            there.serve(&target);
        })?;
        // What a thread allocates as it begins must not fall into decoding.
        running.wait();
        Ok(Self { desk, identity, thread: Some(thread) })
    }

    /// What its buffer occupies.
    pub fn planned_bytes(shape: ContextsShape, options: ContextsOptions) -> Bytes {
        Bytes(file_bytes(shape, options.contexts) as u64)
    }

    /// Saves the ledger as it is now, unless the save before is still under way. Waits for no disk and
    /// allocates nothing.
    pub fn save(&self, contexts: &Contexts) {
        let Some(mut buffer) = self.desk.lock().idle.take() else { return };
        write_ledger(contexts, self.identity, &mut buffer);
        self.desk.lock().full = Some(buffer);
        self.desk.changed.notify_all();
    }

    /// Saves the ledger and waits until it is on the disk.
    ///
    /// # Errors
    /// If it could not be written; what was saved before is then as it was.
    pub fn finish(&self, contexts: &Contexts) -> Result<(), LedgerError> {
        drop(self.wait());
        self.save(contexts);
        let failure = self.wait().failure.take();
        failure.map_or(Ok(()), |failure| Err(LedgerError::Save(failure)))
    }

    /// Waits until the buffer is back.
    fn wait(&self) -> MutexGuard<'_, State> {
        let state = self.desk.lock();
        self.desk.changed.wait_while(state, |state| state.idle.is_none()).expect(UNPOISONED)
    }
}

impl Drop for LedgerWriter {
    fn drop(&mut self) {
        self.desk.lock().closed = true;
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It has no panic to tell of: every failure is a value.
            let _ = thread.join();
        }
    }
}

const UNPOISONED: &str = "nothing panics while it holds this lock";

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }

    /// Writes what it is given until the desk is closed.
    fn serve(&self, target: &Arc<Target>) {
        let mut state = self.lock();
        loop {
            state = self
                .changed
                .wait_while(state, |state| state.full.is_none() && !state.closed)
                .expect(UNPOISONED);
            let Some(buffer) = state.full.take() else { return };
            drop(state);
            let failure = replace(target, &buffer).err();
            state = self.lock();
            (state.idle, state.failure) = (Some(buffer), failure);
            self.changed.notify_all();
        }
    }
}
