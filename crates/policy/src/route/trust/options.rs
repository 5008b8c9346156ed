//! Parameters of the trust policy.

use hotset_base::Bytes;

/// With `tolerance` 0 nothing is ever refused and the policy is the native one, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrustOptions {
    /// Mixing weight that one read is worth: below it, an expert that is not held is refused.
    pub tolerance: f32,
    /// What a substitute of the same weight still changes, as a share of that weight: 0 takes experts for
    /// interchangeable, 1 for strangers.
    pub mismatch: f32,
    /// How much the gains in the trust ledger count, as an exponent: 0 takes all experts for equal, 1
    /// believes the ledger. Without a ledger all are equal.
    pub trust: f32,
    /// Standard deviations that a substitute's gain is taken below its mean.
    pub caution: f32,
    /// Tokens after which what is owed counts half (the Markov relevancy horizon).
    pub horizon: f32,
    /// The first ranks of the native order, which are refused only when a budget is spent.
    pub sacred: usize,
    /// Substitutes come from these first ranks.
    pub substitute_ranks: usize,
    /// What a refused expert is owed when it is admitted, in prices of a read; 0 admits none.
    pub admission: f32,
    /// How much dearer a read becomes as the swap budget is spent, as a multiple.
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

impl TrustOptions {
    /// Whether anything is ever refused.
    pub fn is_lossy(&self) -> bool {
        self.tolerance > 0.0
    }

    /// Whether what experts were measured to do changes anything.
    pub fn wants_contributions(&self) -> bool {
        self.trust != 0.0
    }
}

impl Default for TrustOptions {
    fn default() -> Self {
        Self {
            tolerance: 0.028,
            mismatch: 0.15,
            trust: 0.0,
            caution: 1.0,
            horizon: 256.0,
            sacred: 2,
            substitute_ranks: 32,
            admission: 0.0,
            cost: 0.0,
            swap_budget: Bytes(0),
            swap_window: 64,
            deadline_us: 0.0,
            explore: 0,
            explore_window: 64,
        }
    }
}
