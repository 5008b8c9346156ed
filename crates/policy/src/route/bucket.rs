//! A token bucket in bytes: how much may be read for the tokens so far.

use hotset_base::Bytes;

/// Fills by `rate` bytes a token up to `depth`; what is taken comes out of it. Over any `W` tokens at most
/// `depth + W * rate` bytes are taken, unless a debt was forced.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    rate: f64,
    depth: f64,
    level: f64,
    /// Token up to which it has been filled.
    tokens_routed: u64,
}

impl Bucket {
    /// Holds what `window` tokens may read.
    pub fn new(rate: Bytes, window: u64) -> Self {
        let rate = rate.0 as f64;
        let depth = rate * window.max(1) as f64;
        Self { rate, depth, level: depth, tokens_routed: 0 }
    }

    /// Lets time pass up to a token.
    pub fn fill(&mut self, tokens_routed: u64) {
        let tokens = tokens_routed.saturating_sub(self.tokens_routed) as f64;
        self.tokens_routed = self.tokens_routed.max(tokens_routed);
        self.level = (self.level + tokens * self.rate).min(self.depth);
    }

    /// The share that is left, 0 to 1.
    pub fn fullness(&self) -> f32 {
        (self.level / self.depth).clamp(0.0, 1.0) as f32
    }

    /// Whether so many bytes are left.
    pub fn holds(&self, bytes: Bytes) -> bool {
        self.level >= bytes.0 as f64
    }

    /// Takes bytes if they are there.
    pub fn take(&mut self, bytes: Bytes) -> bool {
        let enough = self.holds(bytes);
        if enough {
            self.level -= bytes.0 as f64;
        }
        enough
    }

    /// Gives back bytes that were taken and not read.
    pub fn give_back(&mut self, bytes: Bytes) {
        self.level = (self.level + bytes.0 as f64).min(self.depth);
    }

    /// Takes bytes that have to be read whatever is left: a debt that later tokens pay.
    pub fn force(&mut self, bytes: Bytes) {
        self.level -= bytes.0 as f64;
    }
}
