//! Reading ahead: which predictions deserve a read, and whether reading ahead pays at all.
//!
//! A prediction is the next layer's router applied to this layer's gate input; its *rank* is the place of
//! the expert in that router's order. A wrong read ahead costs the disk the time of one expert, a right
//! one spares a token the wait for it. The governor learns how often predictions of each rank come true,
//! of experts that are not in memory (the only ones it can act on), and keeps an account of time spared
//! and time wasted; when the account is negative it stops, and tries again later.

/// Ranks that are told apart; later ones share the last entry.
const RANKS: usize = 64;
/// Share of an observation in the running mean of a rank.
const LEARN: f32 = 1.0 / 64.0;
/// A prediction that comes true less often than this is not read for. A wrong read delays the right ones
/// behind it by about as much as a right one spares.
const WORTH_READING: f32 = 0.4;
/// A prediction that comes true this often is read for where time must not count: a policy that refuses reads to
/// save bytes has few to spare for wrong ones.
const NEARLY_SURE: f32 = 0.8;
/// Predictions between two looks at the account.
const PERIOD: u32 = 512;
/// Periods without reading ahead after an account in the red.
const PAUSE: u32 = 4;

/// See the module's text. Times are whatever unit the caller uses throughout.
#[derive(Clone, Debug)]
pub struct Governor {
    /// How often predictions of each rank came true.
    came_true: [f32; RANKS],
    spared: f64,
    wasted: f64,
    seen: u32,
    /// Periods until the next try; 0 while reading ahead is on.
    paused: u32,
}

impl Default for Governor {
    fn default() -> Self {
        // Optimistic: a rank must be tried to be known.
        Self { came_true: [1.0; RANKS], spared: 0.0, wasted: 0.0, seen: 0, paused: 0 }
    }
}

impl Governor {
    /// Reading ahead is on.
    pub fn is_on(&self) -> bool {
        self.paused == 0
    }

    /// A prediction of this rank is nearly sure: enough where decisions must not depend on time, so that what
    /// reading ahead spares and wastes cannot be weighed.
    pub fn is_sure(&self, rank: usize) -> bool {
        self.came_true[rank.min(RANKS - 1)] >= NEARLY_SURE
    }

    /// A prediction of this rank deserves a read.
    pub fn allows(&self, rank: usize) -> bool {
        self.is_on() && self.came_true[rank.min(RANKS - 1)] >= WORTH_READING
    }

    /// An expert that was predicted while it was not in memory was chosen, or was not.
    pub fn predicted(&mut self, rank: usize, chosen: bool) {
        let share = &mut self.came_true[rank.min(RANKS - 1)];
        *share += LEARN * (f32::from(u8::from(chosen)) - *share);
        self.seen += 1;
        if self.seen == PERIOD {
            self.close_period();
        }
    }

    /// A read ahead was chosen: a token was spared this much waiting.
    pub fn spared(&mut self, time: f64) {
        self.spared += time;
    }

    /// A read ahead was for nothing: the disk was kept this long from other reads.
    pub fn wasted(&mut self, time: f64) {
        self.wasted += time;
    }

    fn close_period(&mut self) {
        self.seen = 0;
        self.paused = match self.paused {
            0 if self.wasted > self.spared => PAUSE,
            paused => paused.saturating_sub(1),
        };
        // Old evidence fades by half.
        self.spared /= 2.0;
        self.wasted /= 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_that_keeps_being_wrong_is_no_longer_read_for() {
        let mut governor = Governor::default();
        for _ in 0..400 {
            governor.predicted(0, true);
            governor.predicted(7, false);
            governor.spared(1.0);
        }
        assert!(governor.allows(0) && !governor.allows(7));
        (0..400).for_each(|_| governor.predicted(7, true));
        assert!(governor.allows(7), "it is learned again when the text changes");
    }

    #[test]
    fn what_is_often_wrong_is_not_sure() {
        let mut governor = Governor::default();
        (0..400).for_each(|i| governor.predicted(0, i % 10 > 0));
        (0..400).for_each(|i| governor.predicted(1, i % 10 > 3));
        assert!(governor.is_sure(0) && !governor.is_sure(1) && governor.allows(1));
    }

    #[test]
    fn reading_ahead_that_costs_more_than_it_spares_stops_and_is_tried_again() {
        let mut governor = Governor::default();
        let period = |governor: &mut Governor, spared, wasted| {
            governor.spared(spared);
            governor.wasted(wasted);
            (0..PERIOD).for_each(|_| governor.predicted(0, true));
        };
        period(&mut governor, 2.0, 1.0);
        assert!(governor.is_on());
        period(&mut governor, 0.0, 5.0);
        assert!(!governor.is_on());
        for _ in 0..PAUSE {
            assert!(!governor.is_on());
            period(&mut governor, 0.0, 0.0);
        }
        assert!(governor.is_on());
    }
}
