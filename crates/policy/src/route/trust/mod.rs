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
    rule: Rule,
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

/// The one rule, for what is chosen and for what is predicted to be.
#[derive(Clone, Copy, Debug)]
struct Rule {
    shape: RouterShape,
    options: TrustOptions,
}

/// Who is asked about a row, and told what was decided.
trait Account {
    /// Whether the row may wait for the expert.
    fn wait(&mut self, expert: ExpertId) -> bool;

    /// The expert was refused, at this damage: whether it is admitted for later rows.
    fn refuse(&mut self, expert: ExpertId, damage: f32) -> bool;

    /// Nothing was left to compute, and nothing is held: the expert is read whatever that costs.
    fn force(&mut self, expert: ExpertId);
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
        Self { before: (owed.clone(), spent.clone()), owed, spent, rule: Rule { shape, options } }
    }

    /// The price of a read now.
    fn price(&self) -> f32 {
        let fullness = self.spent.bucket.as_ref().map_or(1.0, Bucket::fullness);
        let TrustOptions { tolerance, cost, .. } = self.rule.options;
        tolerance.powi(2) * (1.0 + cost * (1.0 - fullness))
    }
}

impl Rule {
    /// Chooses for one row.
    fn choose(
        &self,
        row: &RowView<'_>,
        price: f32,
        account: &mut impl Account,
        out: &mut Decision,
    ) -> Result<(), NotFinite> {
        let shape = self.shape;
        out.choose_native(row.layer, row.logits, shape.top_k, shape.norm_topk)?;
        if row.phase == Phase::Setup || !self.options.is_lossy() {
            return Ok(());
        }
        let mut kept = self.sort_out(row, price, account, out);
        if kept.is_empty() {
            kept.push(last_resort(row, account, out));
        }
        out.choose(row.logits, shape.norm_topk, kept);
        Ok(())
    }

    /// Decides about every native expert that is not held, the lightest first. Gives the chosen ones.
    fn sort_out(
        &self,
        row: &RowView<'_>,
        price: f32,
        account: &mut impl Account,
        out: &mut Decision,
    ) -> ArrayVec<ExpertId, MAX_TOP_K> {
        let mut kept = ArrayVec::new();
        let gains = Gains::new(row.records, self.options.trust);
        let candidates = self.candidates(row, &gains, out);
        let mut substitutes = candidates.iter().peekable();
        for (rank, &choice) in out.native.iter().enumerate().rev() {
            let expert = choice.expert;
            if row.held[expert.index()] {
                kept.push(expert);
                continue;
            }
            let substitute = substitutes.peek();
            let damage = self.damage(&gains, choice, substitute.map_or(0.0, |s| s.weight));
            if (rank < self.options.sacred || damage >= price) && account.wait(expert) {
                kept.push(expert);
                continue;
            }
            if let Some(substitute) = substitute {
                kept.push(substitute.expert);
                substitutes.next();
            }
            if account.refuse(expert, damage) {
                out.admit.push(expert);
            }
        }
        kept
    }

    /// What computing a substitute of this weight in the place of `choice` would do: see [`Trust`].
    fn damage(&self, gains: &Gains<'_>, choice: Choice, substitute: f32) -> f32 {
        let gain = gains.of(choice.expert, 0.0);
        let change = (choice.weight - substitute).max(0.0) + self.options.mismatch * choice.weight;
        (gain * change).powi(2)
    }

    /// The held ones among the next ranks after the native set, best first, with the weights they would have
    /// in it, less what is in doubt.
    fn candidates(
        &self,
        row: &RowView<'_>,
        gains: &Gains<'_>,
        out: &Decision,
    ) -> ArrayVec<Choice, MAX_EXPERTS> {
        let mut candidates = ArrayVec::<Choice, MAX_EXPERTS>::new();
        let ranks = self.options.substitute_ranks.clamp(self.shape.top_k, self.shape.experts);
        top_k(row.logits, ranks, &mut candidates);
        let scale = out.native[0].weight / out.probability(candidates[0].weight);
        candidates.drain(..self.shape.top_k);
        candidates.retain(|candidate| row.held[candidate.expert.index()]);
        for candidate in &mut candidates {
            let trusted = gains.of(candidate.expert, self.options.caution).min(1.0);
            candidate.weight = scale * out.probability(candidate.weight) * trusted;
        }
        candidates
    }
}

/// One expert has to be computed: the best held one, or, in a layer where nothing is held, the best of all.
fn last_resort(row: &RowView<'_>, account: &mut impl Account, out: &Decision) -> ExpertId {
    let held = (0..row.logits.len()).filter(|&e| row.held[e]);
    let best = held.max_by(|&a, &b| row.logits[a].total_cmp(&row.logits[b]));
    best.map_or_else(
        || {
            account.force(out.native[0].expert);
            out.native[0].expert
        },
        |expert| ExpertId(expert as u16),
    )
}

/// A row that is being decided: what it takes is taken.
struct Deciding<'a> {
    row: &'a RowView<'a>,
    price: f32,
    options: &'a TrustOptions,
    owed: &'a mut Owed,
    spent: &'a mut Spent,
}

impl Deciding<'_> {
    fn may_admit(&mut self) -> bool {
        let Self { row, spent: Spent { bucket, exploration, .. }, .. } = self;
        bucket.as_ref().is_none_or(|bucket| bucket.holds(row.expert_bytes))
            && exploration.take(row.phase, row.tokens_routed)
            && bucket.as_mut().is_none_or(|bucket| bucket.take(row.expert_bytes))
    }
}

impl Account for Deciding<'_> {
    fn wait(&mut self, expert: ExpertId) -> bool {
        let Self { row, options, owed, spent: Spent { bucket, waiting, .. }, .. } = self;
        let late = waiting.1 + row.read_us;
        let in_time = options.deadline_us <= 0.0 || late <= options.deadline_us;
        if in_time && bucket.as_mut().is_none_or(|bucket| bucket.take(row.expert_bytes)) {
            waiting.1 = late;
            owed.settle(row.layer, expert);
            return true;
        }
        false
    }

    fn refuse(&mut self, expert: ExpertId, damage: f32) -> bool {
        let (layer, admission) = (self.row.layer, self.options.admission);
        let owed = self.owed.add(layer, expert, self.row.tokens_routed, damage);
        let admitted = admission > 0.0 && owed >= admission * self.price && self.may_admit();
        if admitted {
            self.owed.settle(layer, expert);
        }
        admitted
    }

    fn force(&mut self, _expert: ExpertId) {
        if let Some(bucket) = &mut self.spent.bucket {
            bucket.force(self.row.expert_bytes);
        }
    }
}

/// A row to come: nothing is taken, and where bytes are rationed nothing is waited for: they are for what is
/// chosen.
struct Predicting {
    rationed: bool,
}

impl Account for Predicting {
    fn wait(&mut self, _expert: ExpertId) -> bool {
        !self.rationed
    }

    fn refuse(&mut self, _expert: ExpertId, _damage: f32) -> bool {
        false
    }

    fn force(&mut self, _expert: ExpertId) {}
}

impl Route for Trust {
    fn route(&mut self, row: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        if let Some(bucket) = self.spent.bucket.as_mut().filter(|_| row.phase != Phase::Setup) {
            bucket.fill(row.tokens_routed);
        }
        if self.spent.waiting.0 != row.pass {
            self.spent.waiting = (row.pass, 0.0);
        }
        let price = self.price();
        let Self { rule, owed, spent, .. } = self;
        let mut account = Deciding { row, price, options: &rule.options, owed, spent };
        rule.choose(row, price, &mut account, out)
    }

    /// By the same rule: what will be computed as a substitute is chosen, too, and so not evicted.
    fn foresee(&self, row: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        let mut account = Predicting { rationed: self.spent.bucket.is_some() };
        self.rule.choose(row, self.price(), &mut account, out)
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
        self.rule.options.is_lossy()
    }

    fn wants_contributions(&self) -> bool {
        self.rule.options.wants_contributions()
    }
}
