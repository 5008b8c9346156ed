//! Trust: waits for an expert only when its absence costs more than reading it.

mod exploration;
mod gains;
mod options;
mod owed;

use arrayvec::ArrayVec;
use hotset_base::limits::{MAX_EXPERTS, MAX_TOP_K};
use hotset_base::{Bytes, Choice, ExpertId, LayerId, Phase};

use super::bucket::Bucket;
use super::decision::top_k;
use super::{Decision, NotFinite, Route, RouterShape, RowView};
use exploration::Exploration;
use gains::Gains;
pub use options::TrustOptions;
use owed::Owed;

/// Every native expert that is not held is worth a wait, or is refused: what its absence would change is
/// weighed against the price of a read.
///
/// The damage of computing a substitute of weight `v` (0: nothing) in the place of an expert of weight `w` is
/// `((w - v) + mismatch * w)^2`, the price `tolerance^2`: independent changes of a layer's output add up in
/// squares, and so does what they do to the distribution of the next token. Refused damage adds up in the
/// account of what is owed; an expert that is owed more than the price is admitted, without being waited for.
/// Mixing weights stay the router's.
#[derive(Debug)]
pub struct Trust {
    shape: RouterShape,
    options: TrustOptions,
    owed: Owed,
    spent: Spent,
    /// The same two before the pass under way.
    before: (Owed, Spent),
}

/// What has been taken of the budgets.
#[derive(Clone, Debug)]
struct Spent {
    bucket: Option<Bucket>,
    exploration: Exploration,
    /// The pass whose reads are being counted, and microseconds that its tokens wait for so far.
    waiting: (u64, f32),
}

impl Trust {
    /// For a model's routers.
    pub fn new(shape: RouterShape, options: TrustOptions) -> Self {
        let budget = options.swap_budget;
        let owed = Owed::new(shape, options.horizon);
        let spent = Spent {
            bucket: (budget.0 > 0).then(|| Bucket::new(budget, options.swap_window)),
            exploration: Exploration::new(options.explore, options.explore_window),
            waiting: (0, 0.0),
        };
        Self { before: (owed.clone(), spent.clone()), owed, spent, shape, options }
    }

    /// What computing a substitute of this weight in the place of `choice` would do: see [`Trust`].
    fn damage(&self, gains: &Gains<'_>, choice: Choice, substitute: f32) -> f32 {
        let gain = gains.of(choice.expert, 0.0);
        let change = (choice.weight - substitute).max(0.0) + self.options.mismatch * choice.weight;
        (gain * change).powi(2)
    }

    /// The price of a read now.
    fn price(&self) -> f32 {
        let fullness = self.spent.bucket.as_ref().map_or(1.0, Bucket::fullness);
        self.options.tolerance.powi(2) * (1.0 + self.options.cost * (1.0 - fullness))
    }

    fn is_worth_a_read(&self, rank: usize, damage: f32, price: f32) -> bool {
        rank < self.options.sacred || damage >= price
    }

    /// Whether the token may wait for one more read; takes it out of its budgets.
    fn may_wait(&mut self, token: &RowView<'_>) -> bool {
        let late = self.spent.waiting.1 + token.read_us;
        let in_time = self.options.deadline_us <= 0.0 || late <= self.options.deadline_us;
        if in_time && self.spent.bucket.as_mut().is_none_or(|bucket| bucket.take(token.expert_bytes)) {
            self.spent.waiting.1 = late;
            return true;
        }
        false
    }

    /// Decides about every native expert that is not held, the lightest first. Gives the chosen ones.
    fn sort_out(&mut self, token: &RowView<'_>, out: &mut Decision) -> ArrayVec<ExpertId, MAX_TOP_K> {
        let mut kept = ArrayVec::new();
        let price = self.price();
        let gains = Gains::new(token.records, self.options.trust);
        let candidates = self.candidates(token, &gains, out);
        let mut substitutes = candidates.iter().peekable();
        for (rank, &choice) in out.native.iter().enumerate().rev() {
            let expert = choice.expert;
            if token.held[expert.index()] {
                kept.push(expert);
                continue;
            }
            let substitute = substitutes.peek();
            let damage = self.damage(&gains, choice, substitute.map_or(0.0, |s| s.weight));
            if self.is_worth_a_read(rank, damage, price) && self.may_wait(token) {
                self.owed.settle(token.layer, expert);
                kept.push(expert);
                continue;
            }
            if let Some(substitute) = substitute {
                kept.push(substitute.expert);
                substitutes.next();
            }
            let owed = self.owed.add(token.layer, expert, token.tokens_routed, damage);
            if self.options.admission > 0.0 && owed >= self.options.admission * price && self.may_admit(token)
            {
                self.owed.settle(token.layer, expert);
                out.admit.push(expert);
            }
        }
        kept
    }

    /// The held ones among the next ranks after the native set, best first, with the weights they would have
    /// in it, less what is in doubt.
    fn candidates(
        &self,
        token: &RowView<'_>,
        gains: &Gains<'_>,
        out: &Decision,
    ) -> ArrayVec<Choice, MAX_EXPERTS> {
        let mut candidates = ArrayVec::<Choice, MAX_EXPERTS>::new();
        top_k(
            token.logits,
            self.options.substitute_ranks.clamp(self.shape.top_k, self.shape.experts),
            &mut candidates,
        );
        let scale = out.native[0].weight / out.probability(candidates[0].weight);
        candidates.drain(..self.shape.top_k);
        candidates.retain(|candidate| token.held[candidate.expert.index()]);
        for candidate in &mut candidates {
            let trusted = gains.of(candidate.expert, self.options.caution).min(1.0);
            candidate.weight = scale * out.probability(candidate.weight) * trusted;
        }
        candidates
    }

    fn may_admit(&mut self, token: &RowView<'_>) -> bool {
        self.spent.bucket.as_ref().is_none_or(|bucket| bucket.holds(token.expert_bytes))
            && self.spent.exploration.take(token.phase, token.tokens_routed)
            && self.spent.bucket.as_mut().is_none_or(|bucket| bucket.take(token.expert_bytes))
    }
}

impl Route for Trust {
    fn route(&mut self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        let shape = self.shape;
        out.choose_native(token.layer, token.logits, shape.top_k, shape.norm_topk)?;
        if token.phase == Phase::Setup || !self.options.is_lossy() {
            return Ok(());
        }
        if let Some(bucket) = &mut self.spent.bucket {
            bucket.fill(token.tokens_routed);
        }
        if self.spent.waiting.0 != token.pass {
            self.spent.waiting = (token.pass, 0.0);
        }
        let mut kept = self.sort_out(token, out);
        if kept.is_empty() {
            kept.push(self.last_resort(token, out));
        }
        out.choose(token.logits, shape.norm_topk, kept);
        Ok(())
    }

    /// What is refused is not prefetched, and nothing is where bytes are rationed: these are for what is
    /// chosen.
    fn foresee(&self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        let shape = self.shape;
        out.choose_native(token.layer, token.logits, shape.top_k, shape.norm_topk)?;
        if token.phase == Phase::Setup || !self.options.is_lossy() {
            return Ok(());
        }
        let (price, gains) = (self.price(), Gains::new(token.records, self.options.trust));
        let candidates = self.candidates(token, &gains, out);
        let mut substitutes = candidates.iter().peekable();
        let mut kept = ArrayVec::<ExpertId, MAX_TOP_K>::new();
        for (rank, &choice) in out.native.iter().enumerate().rev() {
            let damage = self.damage(&gains, choice, substitutes.peek().map_or(0.0, |s| s.weight));
            let deserves = self.spent.bucket.is_none() && self.is_worth_a_read(rank, damage, price);
            if token.held[choice.expert.index()] || deserves {
                kept.push(choice.expert);
            } else {
                substitutes.next();
            }
        }
        out.choose(token.logits, shape.norm_topk, kept);
        Ok(())
    }

    fn mark(&mut self) {
        self.before.0.copy_from(&self.owed);
        self.before.1 = self.spent.clone();
    }

    fn go_back(&mut self) {
        self.owed.copy_from(&self.before.0);
        self.spent = self.before.1.clone();
    }

    fn refused(&mut self, layer: LayerId, expert: ExpertId, bytes: Bytes) {
        self.owed.owe_again(layer, expert);
        if let Some(bucket) = &mut self.spent.bucket {
            bucket.give_back(bytes);
        }
    }

    fn is_lossy(&self) -> bool {
        self.options.is_lossy()
    }

    fn wants_contributions(&self) -> bool {
        self.options.wants_contributions()
    }
}

impl Trust {
    /// One expert has to be computed: the best held one, or, in a layer where nothing is held, the best of
    /// all, whose bytes are owed.
    fn last_resort(&mut self, token: &RowView<'_>, out: &Decision) -> ExpertId {
        let held = (0..token.logits.len()).filter(|&e| token.held[e]);
        let best = held.max_by(|&a, &b| token.logits[a].total_cmp(&token.logits[b]));
        best.map_or_else(
            || {
                if let Some(bucket) = &mut self.spent.bucket {
                    bucket.force(token.expert_bytes);
                }
                out.native[0].expert
            },
            |expert| ExpertId(expert as u16),
        )
    }
}
