//! Files that are being made, for a program that has to end now.

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::target::Target;

static UNFINISHED: Mutex<Unfinished> = Mutex::new(Unfinished { targets: Vec::new(), ending: false });

/// Whoever begins a file holds the lock from before it is there until it is listed.
pub(crate) struct Unfinished {
    targets: Vec<Arc<Target>>,
    ending: bool,
}

pub(crate) fn lock() -> MutexGuard<'static, Unfinished> {
    UNFINISHED.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Unfinished {
    /// Whether the program ends: nothing may be begun any more.
    pub fn ending(&self) -> bool {
        self.ending
    }

    pub fn add(&mut self, target: &Arc<Target>) {
        self.targets.push(Arc::clone(target));
    }

    pub fn forget(&mut self, target: &Arc<Target>) {
        self.targets.retain(|other| !Arc::ptr_eq(other, target));
    }
}

/// Removes every file that is not finished, and lets none be begun any more. For a program that ends without
/// unwinding.
pub fn abandon() {
    let mut unfinished = lock();
    unfinished.ending = true;
    for target in unfinished.targets.drain(..) {
        // Whoever has given it its name meanwhile has left nothing here.
        let _ = fs::remove_file(target.partial());
    }
}
