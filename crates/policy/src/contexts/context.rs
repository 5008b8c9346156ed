//! What is known of a context beside its experts.

/// Windows before a context's own spread is believed.
const ENOUGH: u32 = 4;
/// Windows that the spread reaches back over.
const REACH: u32 = 32;

/// A context's age and how far its windows usually are from its centroid.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Context {
    /// Tokens learnt from.
    pub tokens: u64,
    /// Tokens of all contexts when it was last learnt from.
    pub last: u64,
    /// Windows learnt from.
    pub windows: u32,
    /// Running mean of the distance from a window to the centroid before it, from 0 to 1.
    pub usual: f32,
}

impl Context {
    /// The usual distance. A context too young to know it takes every window for its own: 1.
    pub(super) fn spread(&self) -> f32 {
        if self.windows < ENOUGH { 1.0 } else { self.usual }
    }

    /// A window was added. The first has no centroid to be far from.
    pub(super) fn passed(&mut self, tokens: u32, all_tokens: u64, distance: f32) {
        if self.windows > 0 {
            self.usual += (distance - self.usual) / self.windows.min(REACH) as f32;
        }
        self.windows = self.windows.saturating_add(1);
        self.tokens = self.tokens.saturating_add(u64::from(tokens));
        self.last = all_tokens;
    }
}
