//! Threads of the pool that packing, synthesis, families and replays share.

use std::sync::Once;

use anyhow::{Context, Result};

/// Starts them, once. The library would do so by itself, and panic where the system refuses one.
///
/// # Errors
/// If the system refuses.
pub fn start_shared_pool() -> Result<()> {
    static STARTED: Once = Once::new();
    let mut result = Ok(());
    STARTED.call_once(|| result = rayon::ThreadPoolBuilder::new().build_global());
    result.context("cannot start threads (a limit on processes or memory?)")
}
