//! Prefetching: which predictions deserve a read, and whether prefetching pays at all.
//!
//! A prediction is the router of a layer to come applied to this layer's gate input. A wrong prefetch costs
//! the disk the time of one expert, a right one saves a token the wait for it. The governor learns how often
//! predictions come true, of experts that are not in memory (the only ones it can act on), and keeps an
//! account of time saved and time wasted; when the account is negative it stops, and tries again later.
//!
//! Layers predict each other unequally, and near ones better than far ones: shares are kept for every layer,
//! distance and rank by itself. Until one has been seen often it is thought to be like those of the same
//! distance and rank in all layers.

use hotset_base::LayerId;
use hotset_base::limits::MAX_LOOKAHEAD;

/// Ranks that are told apart; later ones share the last entry.
const RANKS: usize = 64;
/// Observations that a running mean reaches back over.
const REACH: f32 = 64.0;
/// Observations of all layers together that count beside those of one.
const DOUBT: f32 = 16.0;
/// A prediction that comes true less often than this is not read for. A wrong read delays the right ones
/// behind it by about as much as a right one saves.
const WORTH_READING: f32 = 0.4;
/// A prediction that comes true this often is read for where time must not count: a policy that refuses reads
/// to save bytes has few to spare for wrong ones.
const NEARLY_CERTAIN: f32 = 0.8;
/// The same two where much of what is wanted is not there, after a change of context.
const WORTH_READING_EAGERLY: f32 = 0.3;
const CERTAIN_ENOUGH_EAGERLY: f32 = 0.5;
/// Predictions between two looks at the account.
const PERIOD: u32 = 512;
/// Periods without prefetching after an account in the red.
const PAUSE: u32 = 4;

/// One expert that is predicted for a layer to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The layer it is predicted for.
    pub layer: LayerId,
    /// Layers from the one whose gate input says so, from 1.
    pub distance: usize,
    /// Its place in the order of the predicted scores.
    pub rank: usize,
}

/// How often predictions of one kind came true.
#[derive(Clone, Copy, Debug)]
struct Share {
    mean: f32,
    /// Observations that count, at most [`REACH`].
    seen: f32,
}

impl Share {
    fn observe(&mut self, came_true: bool) {
        self.seen = (self.seen + 1.0).min(REACH);
        self.mean += (f32::from(u8::from(came_true)) - self.mean) / self.seen;
    }
}

/// See the module's text. Times are whatever unit the caller uses throughout.
#[derive(Clone, Debug)]
pub struct Governor {
    /// `[layers, distances, ranks]`
    shares: Vec<Share>,
    /// `[distances, ranks]`, of all layers.
    pooled: [[Share; RANKS]; MAX_LOOKAHEAD],
    saved: f64,
    wasted: f64,
    seen: u32,
    /// Periods until the next try; 0 while prefetching is on.
    paused: u32,
    eager: bool,
}

impl Governor {
    /// For a model of so many layers.
    pub fn new(layers: usize) -> Self {
        let unseen = Share { mean: 0.0, seen: 0.0 };
        // Optimistic: what is not tried is not known.
        let hoped = Share { mean: 1.0, seen: REACH };
        Self {
            shares: vec![unseen; layers * MAX_LOOKAHEAD * RANKS],
            pooled: [[hoped; RANKS]; MAX_LOOKAHEAD],
            saved: 0.0,
            wasted: 0.0,
            seen: 0,
            paused: 0,
            eager: false,
        }
    }

    /// Takes poorer odds, until told otherwise.
    pub fn be_eager(&mut self, eager: bool) {
        self.eager = eager;
    }

    /// Prefetching is on.
    pub fn is_on(&self) -> bool {
        self.paused == 0
    }

    /// The prediction is nearly certain: enough where decisions must not depend on time, so that what
    /// prefetching saves and wastes cannot be weighed.
    pub fn is_certain(&self, prediction: Prediction) -> bool {
        self.comes_true(prediction) >= if self.eager { CERTAIN_ENOUGH_EAGERLY } else { NEARLY_CERTAIN }
    }

    /// The prediction deserves a read.
    pub fn allows(&self, prediction: Prediction) -> bool {
        let worth = if self.eager { WORTH_READING_EAGERLY } else { WORTH_READING };
        self.is_on() && self.comes_true(prediction) >= worth
    }

    /// The share of such predictions that comes true.
    fn comes_true(&self, prediction: Prediction) -> f32 {
        let (distance, rank) = Self::place(prediction);
        let (own, all) = (self.shares[Self::index(prediction)], self.pooled[distance][rank].mean);
        all + (own.mean - all) * own.seen / (own.seen + DOUBT)
    }

    fn place(prediction: Prediction) -> (usize, usize) {
        (prediction.distance.clamp(1, MAX_LOOKAHEAD) - 1, prediction.rank.min(RANKS - 1))
    }

    fn index(prediction: Prediction) -> usize {
        let (distance, rank) = Self::place(prediction);
        (prediction.layer.index() * MAX_LOOKAHEAD + distance) * RANKS + rank
    }

    /// An expert that was predicted while it was not in memory was chosen, or was not.
    pub fn predicted(&mut self, prediction: Prediction, chosen: bool) {
        let (distance, rank) = Self::place(prediction);
        self.pooled[distance][rank].observe(chosen);
        self.shares[Self::index(prediction)].observe(chosen);
        self.seen += 1;
        if self.seen == PERIOD {
            self.close_period();
        }
    }

    /// A prefetch was chosen: a token was saved this much waiting.
    pub fn saved(&mut self, time: f64) {
        self.saved += time;
    }

    /// A prefetch was for nothing: the disk was kept this long from other reads.
    pub fn wasted(&mut self, time: f64) {
        self.wasted += time;
    }

    fn close_period(&mut self) {
        self.seen = 0;
        self.paused = match self.paused {
            0 if self.wasted > self.saved => PAUSE,
            paused => paused.saturating_sub(1),
        };
        // Old evidence fades by half.
        self.saved /= 2.0;
        self.wasted /= 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(layer: u16, distance: usize, rank: usize) -> Prediction {
        Prediction { layer: LayerId(layer), distance, rank }
    }

    #[test]
    fn a_rank_that_keeps_being_wrong_is_no_longer_read_for() {
        let mut governor = Governor::new(1);
        for _ in 0..400 {
            governor.predicted(prediction(0, 1, 0), true);
            governor.predicted(prediction(0, 1, 7), false);
            governor.saved(1.0);
        }
        assert!(governor.allows(prediction(0, 1, 0)) && !governor.allows(prediction(0, 1, 7)));
        (0..400).for_each(|_| governor.predicted(prediction(0, 1, 7), true));
        assert!(governor.allows(prediction(0, 1, 7)), "it is learned again when the text changes");
    }

    #[test]
    fn what_is_often_wrong_is_not_certain() {
        let mut governor = Governor::new(1);
        (0..400).for_each(|i| governor.predicted(prediction(0, 1, 0), i % 10 > 0));
        (0..400).for_each(|i| governor.predicted(prediction(0, 1, 1), i % 10 > 3));
        let [first, second] = [prediction(0, 1, 0), prediction(0, 1, 1)];
        assert!(governor.is_certain(first) && !governor.is_certain(second) && governor.allows(second));
    }

    #[test]
    fn after_a_change_poorer_odds_will_do() {
        let mut governor = Governor::new(1);
        for i in 0..400 {
            governor.predicted(prediction(0, 1, 0), i % 10 < 6);
            governor.predicted(prediction(0, 1, 1), i % 20 < 7);
            governor.predicted(prediction(0, 1, 2), i % 10 < 1);
            governor.saved(1.0);
        }
        let [often, sometimes, hardly] = [0, 1, 2].map(|rank| prediction(0, 1, rank));
        assert!(!governor.is_certain(often) && !governor.allows(sometimes));
        governor.be_eager(true);
        assert!(governor.is_certain(often) && governor.allows(sometimes));
        assert!(!governor.is_certain(sometimes) && !governor.allows(hardly));
        governor.be_eager(false);
        assert!(!governor.is_certain(often) && !governor.allows(sometimes));
    }

    #[test]
    fn layers_and_distances_are_told_apart_once_they_are_known() {
        let mut governor = Governor::new(4);
        for _ in 0..400 {
            governor.predicted(prediction(1, 1, 0), false);
            governor.predicted(prediction(2, 1, 0), true);
            governor.predicted(prediction(2, 2, 0), false);
            governor.saved(1.0);
        }
        assert!(!governor.allows(prediction(1, 1, 0)), "a layer that is predicted badly");
        assert!(governor.allows(prediction(2, 1, 0)), "a layer that is predicted well");
        assert!(!governor.allows(prediction(2, 2, 0)), "the same from farther away");
        assert!(
            governor.allows(prediction(3, 1, 0)),
            "half of all are right, and of this layer nothing is known"
        );
        assert!(!governor.allows(prediction(3, 2, 0)), "none from there are");
    }

    #[test]
    fn prefetching_that_costs_more_than_it_spares_stops_and_is_tried_again() {
        let mut governor = Governor::new(1);
        let period = |governor: &mut Governor, saved, wasted| {
            governor.saved(saved);
            governor.wasted(wasted);
            (0..PERIOD).for_each(|_| governor.predicted(prediction(0, 1, 0), true));
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
