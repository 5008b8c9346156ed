//! Cache-prior: a bonus for experts that are held.
//!
//! Source: Mixture of Cache-Conditional Experts (2412.00099).

use arrayvec::ArrayVec;
use hotset_base::limits::MAX_EXPERTS;

use hotset_base::{Choice, Phase};

use super::decision::{insert, top_k};
use super::scale::LogitRange;
use super::{Decision, NotFinite, Route, RouterShape, RowView};

/// Parameters of [`CachePrior`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CachePriorOptions {
    /// The bonus, in running means of the layer's logit range.
    pub lambda: f32,
    /// The first ranks of the native order, which are always chosen.
    pub sacred: usize,
    /// Only these first ranks may be chosen.
    pub substitute_ranks: usize,
}

impl CachePriorOptions {
    /// Whether the chosen set may differ from the native one.
    pub fn is_lossy(&self) -> bool {
        self.lambda != 0.0
    }
}

impl Default for CachePriorOptions {
    fn default() -> Self {
        Self { lambda: 0.05, sacred: 2, substitute_ranks: 16 }
    }
}

/// The top `k` of `logit + lambda * range * held` among the native top `substitute_ranks`; the native top
/// `sacred` are in it. Mixing weights stay the router's.
#[derive(Debug)]
pub struct CachePrior {
    shape: RouterShape,
    options: CachePriorOptions,
    ranges: LogitRange,
    /// Before the pass under way.
    before: LogitRange,
}

impl CachePrior {
    /// For a model's routers.
    pub fn new(shape: RouterShape, options: CachePriorOptions) -> Self {
        let ranges = LogitRange::new(shape.layers);
        Self { before: ranges.clone(), ranges, shape, options }
    }

    /// The best by scores of which those of held experts have a bonus.
    fn choose(&self, token: &RowView<'_>, bonus: f32, out: &mut Decision) {
        let (shape, options) = (self.shape, self.options);
        if token.phase == Phase::Setup || bonus == 0.0 {
            return;
        }
        let mut candidates = ArrayVec::<Choice, MAX_EXPERTS>::new();
        top_k(token.logits, options.substitute_ranks.clamp(shape.top_k, shape.experts), &mut candidates);
        let mut best = ArrayVec::<Choice, MAX_EXPERTS>::new();
        for (rank, &Choice { expert, weight }) in candidates.iter().enumerate() {
            let score = match token.held[expert.index()] {
                _ if rank < options.sacred => f32::INFINITY,
                true => weight + bonus,
                false => weight,
            };
            insert(&mut best, shape.top_k, Choice { expert, weight: score });
        }
        out.choose(token.logits, shape.norm_topk, best.iter().map(|choice| choice.expert));
    }
}

impl Route for CachePrior {
    fn route(&mut self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        out.choose_native(token.layer, token.logits, self.shape.top_k, self.shape.norm_topk)?;
        let bonus = self.options.lambda * self.ranges.update(token.layer, token.logits);
        self.choose(token, bonus, out);
        Ok(())
    }

    fn foresee(&self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        out.choose_native(token.layer, token.logits, self.shape.top_k, self.shape.norm_topk)?;
        self.choose(token, self.options.lambda * self.ranges.of(token.layer), out);
        Ok(())
    }

    fn mark(&mut self) {
        self.before.copy_from(&self.ranges);
    }

    fn go_back(&mut self) {
        self.ranges.copy_from(&self.before);
    }

    fn is_lossy(&self) -> bool {
        self.options.is_lossy()
    }
}
