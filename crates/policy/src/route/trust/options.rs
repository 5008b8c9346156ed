//! Parameters of the trust policy.

use hotset_base::Bytes;

/// With `tolerance` 0 nothing is ever refused and the policy is the native one, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrustOptions {
    /// The change of a layer's output (as a share of it) that one read is worth.
    pub tolerance: f32,
    /// How much of the measured gains and effects goes into a damage: 0 takes every expert of every layer for
    /// equal, 1 believes the measurements.
    pub trust: f32,
    /// Standard deviations that a substitute's gain is taken below its mean.
    pub caution: f32,
    /// Tokens after which evidence and regret count half (the Markov relevancy horizon).
    pub horizon: f32,
    /// The first ranks of the native order, which are never refused.
    pub sacred: usize,
    /// Substitutes come from these first ranks.
    pub window: usize,
    /// A substitute is taken if its weight is at least this share of the refused one's; above 1, never.
    pub substitute: f32,
    /// Regret at which a refused expert is admitted, in prices of a read; 0 admits none.
    pub admission: f32,
    /// How much dearer a read is when the swap budget is spent, as a multiple.
    pub cost: f32,
    /// Bytes that may be read per token; 0 for no limit.
    pub swap_budget: Bytes,
    /// Tokens whose budget may be saved up.
    pub swap_window: u64,
    /// Microseconds of reads that one token may wait for; 0 for no limit.
    pub deadline_us: f32,
    /// Admissions allowed per window and phase; 0 for no limit.
    pub explore: u32,
    /// Tokens of that window.
    pub explore_window: u64,
}

impl Default for TrustOptions {
    fn default() -> Self {
        Self {
            tolerance: 0.08,
            trust: 0.0,
            caution: 0.0,
            horizon: 256.0,
            sacred: 1,
            window: 16,
            substitute: 2.0,
            admission: 1.0,
            cost: 0.0,
            swap_budget: Bytes(0),
            swap_window: 64,
            deadline_us: 0.0,
            explore: 0,
            explore_window: 64,
        }
    }
}
