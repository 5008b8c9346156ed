//! Signals that end the program. Nothing unfinished is left behind, and an answer that is being generated
//! ends between two tokens, so that what was learnt and traced is kept.

use std::fs;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The program's one.
static STOP: Stop = Stop {
    cancel: AtomicBool::new(false),
    signal: AtomicI32::new(0),
    gentle: AtomicBool::new(false),
    listener: Mutex::new(None),
};

/// See the module's text.
pub struct Stop {
    cancel: AtomicBool,
    /// The last signal, 0 for none.
    signal: AtomicI32,
    /// Whether the first signal is only noted.
    gentle: AtomicBool,
    /// Wakes who waits for something else.
    listener: Mutex<Option<Box<dyn Fn() + Send>>>,
}

/// From now on a signal that would end the program removes files that are not finished first. For every
/// command that writes one.
///
/// # Errors
/// If the system refuses a thread.
pub fn watch() -> Result<()> {
    static STARTED: Once = Once::new();
    let mut result = Ok(());
    STARTED.call_once(|| result = start());
    result
}

fn start() -> Result<()> {
    let ignored = ignored();
    // Who starts a program with a signal ignored (nohup) wants it to stay so.
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(wanted).context("cannot watch for signals")?;
    let watch = move || signals.forever().for_each(|signal| STOP.take(signal));
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(watch);
    thread.map(drop).context("cannot start a thread that watches for signals")
}

/// The signals that this process was started with ignored, a bit for each.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// From now on the first signal sets [`Stop::cancel`] and no more: whoever computes looks there.
pub fn gently() -> &'static Stop {
    STOP.gentle.store(true, Ordering::Relaxed);
    &STOP
}

/// What a program that a signal has ended says to its parent: 128 and the signal.
pub fn exit_code() -> Option<u8> {
    match STOP.signal.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(128 + signal as u8),
    }
}

impl Stop {
    fn take(&self, signal: i32) {
        let again = self.signal.swap(signal, Ordering::Relaxed) != 0;
        if again || !self.gentle.load(Ordering::Relaxed) {
            hotset_outputs::abandon();
            process::exit(128 + signal);
        }
        self.cancel.store(true, Ordering::Relaxed);
        if let Some(listener) = &*self.listener.lock().unwrap_or_else(PoisonError::into_inner) {
            listener();
        }
    }

    /// Set by a signal, or by whoever finds that nobody reads the answer.
    pub fn cancel(&self) -> &AtomicBool {
        &self.cancel
    }

    /// Tells somebody of every signal.
    pub fn tell(&self, listener: impl Fn() + Send + 'static) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(listener));
    }

    /// A chat goes on after Ctrl-C. Gives whether it may: other signals end it.
    pub fn go_on(&self) -> bool {
        let interrupted = self.signal.compare_exchange(SIGINT, 0, Ordering::Relaxed, Ordering::Relaxed);
        let goes_on = interrupted.is_ok() || interrupted == Err(0);
        if goes_on {
            self.cancel.store(false, Ordering::Relaxed);
        }
        goes_on
    }
}
