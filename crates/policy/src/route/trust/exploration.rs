//! The exploration allowance: how many experts may be admitted without having been waited for.

use hotset_base::Phase;

/// At most `allowed` admissions in every window of `window` tokens, for each phase by itself.
#[derive(Clone, Debug)]
pub(super) struct Exploration {
    allowed: u32,
    window: u64,
    /// Of each phase: the window it is in and the admissions there.
    spent: [(u64, u32); Phase::ALL.len()],
}

impl Exploration {
    pub fn new(allowed: u32, window: u64) -> Self {
        Self { allowed, window: window.max(1), spent: [(0, 0); Phase::ALL.len()] }
    }

    /// Takes one admission out of the allowance if there is one left.
    pub fn take(&mut self, phase: Phase, tokens_routed: u64) -> bool {
        let (window, spent) = &mut self.spent[phase as usize];
        if *window != tokens_routed / self.window {
            (*window, *spent) = (tokens_routed / self.window, 0);
        }
        let left = self.allowed == 0 || *spent < self.allowed;
        *spent += u32::from(left);
        left
    }
}
