//! Files that are being made, for a program that has to end now.

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::target::Target;

static UNFINISHED: Mutex<Vec<Arc<Target>>> = Mutex::new(Vec::new());

fn all() -> MutexGuard<'static, Vec<Arc<Target>>> {
    UNFINISHED.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(crate) fn add(target: &Arc<Target>) {
    all().push(Arc::clone(target));
}

pub(crate) fn forget(target: &Arc<Target>) {
    all().retain(|other| !Arc::ptr_eq(other, target));
}

/// Removes every file that is not finished. For a program that ends without unwinding: no file that is
/// begun afterwards is removed, and none that is finished.
pub fn abandon() {
    for target in all().drain(..) {
        // Whoever has given it its name meanwhile has left nothing here.
        let _ = fs::remove_file(target.partial());
    }
}
