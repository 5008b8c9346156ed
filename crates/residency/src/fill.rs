//! The read into one slot: what has arrived of it.

use std::time::Instant;

use crate::PagerError;
use crate::source::HALVES;

/// See the module's text.
pub(crate) struct Fill {
    /// No token waits for it yet.
    pub prefetch: bool,
    /// It was prefetched and has not been chosen since.
    pub unused: bool,
    /// It was read because a later layer was predicted to choose it: the governor answers for that, and for no
    /// admission or preload.
    pub predicted: bool,
    /// It failed once and is being read again.
    pub repeated: bool,
    /// Halves at the engine.
    pub outstanding: usize,
    /// Halves that have arrived and, the first, been checked.
    arrived: [bool; HALVES],
    /// Checksums of the two pieces of down.
    pub down_head: u32,
    pub down_tail: u32,
    pub error: Option<PagerError>,
    /// When the decision to read was made.
    pub decided: Instant,
}

impl Default for Fill {
    fn default() -> Self {
        Self::begin(false)
    }
}

impl Fill {
    pub fn begin(prefetch: bool) -> Self {
        Self {
            prefetch,
            unused: false,
            predicted: false,
            repeated: false,
            outstanding: 0,
            arrived: [false; HALVES],
            down_head: 0,
            down_tail: 0,
            error: None,
            decided: Instant::now(),
        }
    }

    /// Starts over after a failure.
    pub fn repeat(&mut self) {
        *self = Self { repeated: true, decided: self.decided, ..Self::begin(false) };
    }

    /// A half has come back, with what is known of it.
    pub fn arrived(&mut self, half: usize, verdict: Result<(), PagerError>) {
        self.outstanding -= 1;
        match verdict {
            Ok(()) => self.arrived[half] = true,
            Err(error) => drop(self.error.get_or_insert(error)),
        }
    }

    /// Gate and up may be used.
    pub fn first_half_checked(&self) -> bool {
        self.arrived[0] && self.error.is_none()
    }

    /// Microseconds since the decision.
    pub fn age_us(&self) -> f64 {
        self.decided.elapsed().as_secs_f64() * 1e6
    }
}
