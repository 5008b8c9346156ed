//! Somebody who is told of every visit of a layer, for traces; costs nothing unless there is one.

use std::time::Duration;

use hotset_base::figures::PagerTotals;
use hotset_base::{Batch, Choice, LayerId};
use hotset_residency::Pager;

use crate::scratch::Scratch;

/// Is told of passes and of every layer's visit in them, in order. Must not allocate while decoding.
pub trait Observe: Send {
    /// Rows are about to be computed together.
    fn pass(&mut self, batch: &Batch<'_>);

    /// A layer's experts have been computed.
    fn visit(&mut self, visit: &LayerVisit<'_>);
}

/// What a layer did in one pass of `n` tokens.
pub struct LayerVisit<'a> {
    /// The layer.
    pub layer: LayerId,
    /// `[experts]`: ready when the experts were chosen.
    pub hot: &'a [bool],
    /// `[n, experts]`: router scores before the softmax.
    pub scores: &'a [f32],
    /// `[n, top_k]`: the chosen sets, each in the first places of its row.
    pub choices: &'a [Choice],
    /// `[n]`: how many places of each row are taken.
    pub chosen: &'a [usize],
    /// Places of a row.
    pub top_k: usize,
    /// Experts whose reads were begun because this visit wanted them.
    pub demand: u64,
    /// Experts wanted while a prefetch of them was under way.
    pub late: u64,
    /// Experts whose reads were begun for a later layer.
    pub prefetch: u64,
    /// Time that compute waited for reads.
    pub stall: Duration,
}

/// The observer, and what must be remembered from the start of a visit to its end.
pub(crate) struct Observation {
    pub observer: Box<dyn Observe>,
    hot: Vec<bool>,
    before: PagerTotals,
}

impl Observation {
    pub fn new(observer: Box<dyn Observe>, experts: usize) -> Self {
        Self { observer, hot: vec![false; experts], before: PagerTotals::default() }
    }

    /// The experts of a visit are about to be chosen.
    pub fn before(&mut self, pager: &Pager, layer: LayerId) {
        self.hot.copy_from_slice(pager.hot(layer));
        self.before = pager.stats();
    }

    /// They have been computed.
    pub fn after(&mut self, pager: &Pager, layer: LayerId, s: &Scratch, (n, top_k): (usize, usize)) {
        let after = pager.stats();
        let absent = s.wanted.iter().filter(|expert| !self.hot[expert.index()]).count() as u64;
        let late = after.prefetch.late - self.before.prefetch.late;
        self.observer.visit(&LayerVisit {
            layer,
            hot: &self.hot,
            scores: &s.scores[..n * self.hot.len()],
            choices: &s.choices[..n * top_k],
            chosen: &s.chosen[..n],
            top_k,
            demand: absent - late,
            late,
            prefetch: after.prefetch.started - self.before.prefetch.started,
            stall: after.stall - self.before.stall,
        });
    }
}
