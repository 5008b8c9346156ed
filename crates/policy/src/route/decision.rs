//! What a policy decides for one layer-token, and the arithmetic all policies share.

use arrayvec::ArrayVec;
use hotset_base::limits::MAX_TOP_K;
use hotset_base::{Choice, ExpertId, LayerId};

use super::NotFinite;

/// The decision for one layer-token. Sets are in rank order: largest native score first, equal ones by
/// expert number.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// The model's own `k` experts with their own weights.
    pub native: ArrayVec<Choice, MAX_TOP_K>,
    /// Those to compute, at least one and at most `k`, with the weights the model would give exactly these.
    pub chosen: ArrayVec<Choice, MAX_TOP_K>,
    /// Those to bring into the arena without waiting for them.
    pub admit: ArrayVec<ExpertId, MAX_TOP_K>,
    softmax: Softmax,
}

impl Decision {
    /// Finds the native set and chooses it; admits none.
    ///
    /// Source: the Qwen3-MoE router: the softmax over all experts, its top `k`, renormalised if the
    /// checkpoint says so (`norm_topk_prob`).
    pub fn choose_native(
        &mut self,
        layer: LayerId,
        logits: &[f32],
        k: usize,
        norm_topk: bool,
    ) -> Result<(), NotFinite> {
        if !logits.iter().all(|x| x.is_finite()) {
            return Err(NotFinite(layer));
        }
        self.admit.clear();
        top_k(logits, k, &mut self.native);
        self.softmax = Softmax::of(logits, self.native[0].weight);
        self.softmax.weigh(norm_topk, &mut self.native);
        self.chosen.clear();
        self.chosen.extend(self.native.iter().copied());
        Ok(())
    }

    /// Replaces the chosen set by these experts of the same layer-token, given in any order.
    pub fn choose(&mut self, logits: &[f32], norm_topk: bool, experts: impl IntoIterator<Item = ExpertId>) {
        self.chosen.clear();
        for expert in experts {
            insert(&mut self.chosen, MAX_TOP_K, Choice { expert, weight: logits[expert.index()] });
        }
        self.softmax.weigh(norm_topk, &mut self.chosen);
    }

    /// The softmax over all experts of the layer-token, at a logit.
    pub fn probability(&self, logit: f32) -> f32 {
        self.softmax.at(logit)
    }

    /// Whether the expert is in the native set.
    pub fn is_native(&self, expert: ExpertId) -> bool {
        self.native.iter().any(|choice| choice.expert == expert)
    }
}

/// The denominator of a softmax.
#[derive(Clone, Copy, Debug, Default)]
struct Softmax {
    max: f32,
    /// `sum(exp(logit - max))`
    sum: f32,
}

impl Softmax {
    fn of(logits: &[f32], max: f32) -> Self {
        Self { max, sum: logits.iter().map(|logit| (logit - max).exp()).sum() }
    }

    fn at(self, logit: f32) -> f32 {
        (logit - self.max).exp() / self.sum
    }

    /// Replaces logits by their mixing weights.
    fn weigh(self, norm_topk: bool, chosen: &mut [Choice]) {
        chosen.iter_mut().for_each(|choice| choice.weight = self.at(choice.weight));
        if norm_topk {
            let sum: f32 = chosen.iter().map(|choice| choice.weight).sum();
            chosen.iter_mut().for_each(|choice| choice.weight /= sum);
        }
    }
}

/// The `k` largest scores in falling order, as [`Choice::weight`]; equal ones by expert number.
pub(super) fn top_k<const CAP: usize>(scores: &[f32], k: usize, out: &mut ArrayVec<Choice, CAP>) {
    out.clear();
    for (expert, &score) in scores.iter().enumerate() {
        insert(out, k, Choice { expert: ExpertId(expert as u16), weight: score });
    }
}

/// Puts a choice in its place among at most `k` in falling order, by insertion (k is small).
pub(super) fn insert<const CAP: usize>(out: &mut ArrayVec<Choice, CAP>, k: usize, choice: Choice) {
    let before =
        |a: &Choice, b: &Choice| a.weight > b.weight || (a.weight == b.weight && a.expert < b.expert);
    let mut place = out.len();
    while place > 0 && before(&choice, &out[place - 1]) {
        place -= 1;
    }
    if place == k {
        return;
    }
    if out.len() == k {
        out.pop();
    }
    out.insert(place, choice);
}
