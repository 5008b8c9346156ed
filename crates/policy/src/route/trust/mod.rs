//! Trust: waits for an expert only when its absence costs more than reading it.

mod exploration;
mod ledger;
mod options;
mod regret;

use arrayvec::ArrayVec;
use hotset_base::limits::{MAX_EXPERTS, MAX_TOP_K};
use hotset_base::{ExpertId, LayerId};

use super::bucket::Bucket;
use super::decision::top_k;
use super::{Choice, Contribution, Decision, LayerToken, NotFinite, Phase, Route, RouterShape};
use exploration::Exploration;
use ledger::Ledger;
pub use options::TrustOptions;
use regret::Regret;

/// Every native expert that is not hot is worth a wait, or is refused: what leaving it out would change in the
/// layer's output is weighed against the price of a read.
///
/// The damage of a refusal is `(w * gain * effect)^2`: independent changes add up in squares, and so does
/// what they do to the output's distribution. Refused damage adds up in the regret ledger; an expert whose
/// regret passes the price is admitted, without being waited for. Mixing weights stay the router's.
#[derive(Debug)]
pub struct Trust {
    shape: RouterShape,
    options: TrustOptions,
    ledger: Ledger,
    regret: Regret,
    bucket: Option<Bucket>,
    exploration: Exploration,
    /// The token whose reads are being counted, and microseconds it waits for so far.
    waiting: (u64, f32),
}

impl Trust {
    /// For a model's routers.
    pub fn new(shape: RouterShape, options: TrustOptions) -> Self {
        let budget = options.swap_budget;
        Self {
            ledger: Ledger::new(shape),
            regret: Regret::new(shape, options.horizon),
            bucket: (budget.0 > 0).then(|| Bucket::new(budget, options.swap_window)),
            exploration: Exploration::new(options.explore, options.explore_window),
            waiting: (0, 0.0),
            shape,
            options,
        }
    }

    /// What leaving out this much weight of an expert would do: see [`Trust`].
    fn damage(&self, layer: LayerId, choice: Choice) -> f32 {
        let measured = self.ledger.gain(layer, choice.expert, 0.0) * self.ledger.effect(layer);
        let share = choice.weight * measured.powf(self.options.trust);
        share * share
    }

    /// The price of a read now.
    fn price(&self) -> f32 {
        let fullness = self.bucket.as_ref().map_or(1.0, Bucket::fullness);
        self.options.tolerance.powi(2) * (1.0 + self.options.cost * (1.0 - fullness))
    }

    /// Whether the token may wait for one more read; takes it out of its budgets.
    fn may_wait(&mut self, token: &LayerToken<'_>) -> bool {
        let late = self.waiting.1 + token.read_us;
        let in_time = self.options.deadline_us <= 0.0 || late <= self.options.deadline_us;
        if in_time && self.bucket.as_mut().is_none_or(|bucket| bucket.take(token.expert_bytes)) {
            self.waiting.1 = late;
            return true;
        }
        false
    }

    /// Decides about every native expert that is not hot, the heaviest first. Gives those that stay and
    /// the weight of each that was refused.
    fn sort_out(
        &mut self,
        token: &LayerToken<'_>,
        out: &mut Decision,
    ) -> (ArrayVec<ExpertId, MAX_TOP_K>, ArrayVec<f32, MAX_TOP_K>) {
        let (mut kept, mut refused) = (ArrayVec::new(), ArrayVec::new());
        let price = self.price();
        for (rank, &choice) in out.native.iter().enumerate() {
            let expert = choice.expert;
            if token.hot[expert.index()] {
                kept.push(expert);
                continue;
            }
            let damage = self.damage(token.layer, choice);
            if (rank < self.options.sacred || damage >= price) && self.may_wait(token) {
                self.regret.settle(token.layer, expert);
                kept.push(expert);
                continue;
            }
            refused.push(choice.weight);
            let regret = self.regret.add(token.layer, expert, token.clock, damage);
            if self.options.admission > 0.0 && regret >= self.options.admission * price && self.may_admit(token) {
                self.regret.settle(token.layer, expert);
                out.admit.push(expert);
            }
        }
        (kept, refused)
    }

    fn may_admit(&mut self, token: &LayerToken<'_>) -> bool {
        self.bucket.as_ref().is_none_or(|bucket| bucket.holds(token.expert_bytes))
            && self.exploration.take(token.phase, token.clock)
            && self.bucket.as_mut().is_none_or(|bucket| bucket.take(token.expert_bytes))
    }

    /// Puts hot experts of the next ranks in the places of refused ones that are not much heavier.
    fn substitute(
        &self,
        token: &LayerToken<'_>,
        out: &Decision,
        refused: &[f32],
        kept: &mut ArrayVec<ExpertId, MAX_TOP_K>,
    ) {
        if refused.is_empty() || self.options.substitute > 1.0 {
            return;
        }
        let mut candidates = ArrayVec::<Choice, MAX_EXPERTS>::new();
        top_k(token.logits, self.options.window.clamp(self.shape.top_k, self.shape.experts), &mut candidates);
        let scale = out.native[0].weight / out.probability(candidates[0].weight);
        let mut places = refused.iter();
        let Some(mut place) = places.next() else { return };
        for candidate in &candidates[self.shape.top_k..] {
            if !token.hot[candidate.expert.index()] {
                continue;
            }
            let weight = scale * out.probability(candidate.weight);
            // Refused ones come heaviest first, candidates too: a place too heavy stays empty.
            while weight < self.options.substitute * place {
                match places.next() {
                    Some(next) => place = next,
                    None => return,
                }
            }
            kept.push(candidate.expert);
            match places.next() {
                Some(next) => place = next,
                None => return,
            }
        }
    }
}

impl Route for Trust {
    fn name(&self) -> &'static str {
        "trust"
    }

    fn route(&mut self, token: &LayerToken<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        let shape = self.shape;
        out.choose_native(token.layer, token.logits, shape.top_k, shape.norm_topk)?;
        if token.phase == Phase::Setup || self.options.tolerance <= 0.0 {
            return Ok(());
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.fill(token.clock);
        }
        if self.waiting.0 != token.clock {
            self.waiting = (token.clock, 0.0);
        }
        let (mut kept, refused) = self.sort_out(token, out);
        if refused.is_empty() {
            return Ok(());
        }
        self.substitute(token, out, &refused, &mut kept);
        if kept.is_empty() {
            kept.push(self.last_resort(token, out));
        }
        out.choose(token.logits, shape.norm_topk, kept);
        Ok(())
    }

    fn wants_contributions(&self) -> bool {
        self.options.trust != 0.0
    }

    fn observe(&mut self, layer: LayerId, used: &[Contribution], effect: f32) {
        self.ledger.observe(layer, used, effect);
    }
}

impl Trust {
    /// One expert has to be computed: the best hot one, or, in a layer where nothing is hot, the best of all,
    /// whose bytes are owed.
    fn last_resort(&mut self, token: &LayerToken<'_>, out: &Decision) -> ExpertId {
        let hot = (0..token.logits.len()).filter(|&e| token.hot[e]);
        let best = hot.max_by(|&a, &b| token.logits[a].total_cmp(&token.logits[b]));
        best.map_or_else(
            || {
                if let Some(bucket) = &mut self.bucket {
                    bucket.force(token.expert_bytes);
                }
                out.native[0].expert
            },
            |expert| ExpertId(expert as u16),
        )
    }
}
