//! Contexts: what each expert does, by the context it does it in.
//!
//! A context is a stretch of text that a model routes alike: found online as a centroid over the native
//! router mass of windows of tokens, told apart by Hellinger distance, and left when a drift test says so.

mod context;
mod distance;

use arrayvec::ArrayVec;
use hotset_base::limits::{MAX_EXPERTS, MAX_LEDGER_CONTEXTS};
use hotset_base::{Bytes, Choice, Contribution, ExpertId, ExpertKey, Families, LayerId, SequenceId};

use crate::Record;
use crate::families::FamilyPrior;
pub use context::Context;
use distance::hellinger;

/// One of the contexts, counted from 0 in the order of their places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ContextId(pub u16);

impl ContextId {
    /// The context as an index into per-context tables.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Layers and experts that contexts are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextsShape {
    /// Layers.
    pub layers: usize,
    /// Experts of a layer.
    pub experts: usize,
}

impl ContextsShape {
    /// Experts of all layers.
    pub fn all(self) -> usize {
        self.layers * self.experts
    }
}

/// How contexts are told apart and how long evidence counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContextsOptions {
    /// Tokens of a window: distances are taken once per window.
    pub context_window: u32,
    /// Tokens after which evidence counts half (the Markov relevancy horizon).
    pub horizon: f32,
    /// A window this much farther from a context than its windows usually are is strange to it. In
    /// Hellinger distance, from 0 to 1.
    pub drift: f32,
    /// Strange windows in a row that end a context.
    pub patience: u32,
    /// Contexts kept, from 1 to [`MAX_LEDGER_CONTEXTS`].
    pub contexts: usize,
    /// The share of a context's picks that a hot set counts with: what the text itself does must soon
    /// outweigh what texts like it did.
    pub belief: f32,
    /// What a family does counts for its members as evidence of so many tokens of the context would.
    pub family_tokens: f32,
}

impl Default for ContextsOptions {
    fn default() -> Self {
        Self {
            context_window: 8,
            horizon: 256.0,
            drift: 0.08,
            patience: 1,
            contexts: 16,
            belief: 0.1,
            family_tokens: 0.0,
        }
    }
}

/// What the end of a window brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The window is not full, or the context is the same.
    Same,
    /// A known context: the text has turned to it, or a new text's first window is in it.
    Known(ContextId),
    /// A context not seen before; it may have taken the place of the least used one.
    Founded(ContextId),
}

/// Contexts and, for every expert in each, its [`Record`]. All tables have their size from the start:
/// nothing here allocates after [`Contexts::new`].
#[derive(Clone, Debug)]
pub struct Contexts {
    shape: ContextsShape,
    options: ContextsOptions,
    contexts: ArrayVec<Context, MAX_LEDGER_CONTEXTS>,
    /// `[options.contexts, layers * experts]`
    records: Vec<Record>,
    /// Tokens of all windows ever.
    tokens: u64,
    /// The context that a text turned to last; of all texts.
    present: Option<ContextId>,
    /// One for each sequence that is followed.
    texts: Vec<Text>,
    /// What a failed pass goes back to: the texts, and the records of the context that each is in.
    before: Vec<(Text, Vec<Record>)>,
    families: Option<FamilyPrior>,
}

/// Where one text stands.
#[derive(Clone, Debug)]
struct Text {
    /// `[layers * experts]`: native mass and uses of the window under way.
    window: Vec<Evidence>,
    /// The same of tokens before it that were computed together with it: learnt, not compared.
    bulk: Vec<Evidence>,
    /// Tokens of either.
    in_window: u32,
    in_bulk: u32,
    /// Tokens at the start of the pass under way that are not of its window.
    before_window: u32,
    present: Option<ContextId>,
    /// Windows in a row that were strange to the present context.
    strange: u32,
    /// The next window decides by itself: a new text has begun.
    fresh: bool,
}

/// What a window has of one expert.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    mass: f32,
    uses: f32,
}

impl Evidence {
    fn add(&mut self, other: Self) {
        self.mass += other.mass;
        self.uses += other.uses;
    }
}

impl Text {
    /// Of so many experts; it goes on in `present`.
    fn new(all: usize, present: Option<ContextId>) -> Self {
        Self {
            window: vec![Evidence::default(); all],
            bulk: vec![Evidence::default(); all],
            in_window: 0,
            in_bulk: 0,
            before_window: 0,
            present,
            strange: 0,
            fresh: true,
        }
    }

    /// Takes what another has, in memory of its own.
    fn copy_from(&mut self, other: &Self) {
        let Self { window, bulk, in_window, in_bulk, before_window, present, strange, fresh } = other;
        self.window.copy_from_slice(window);
        self.bulk.copy_from_slice(bulk);
        (self.in_window, self.in_bulk, self.before_window) = (*in_window, *in_bulk, *before_window);
        (self.present, self.strange, self.fresh) = (*present, *strange, *fresh);
    }

    fn forget_window(&mut self) {
        self.window.fill(Evidence::default());
        self.bulk.fill(Evidence::default());
        (self.in_window, self.in_bulk, self.before_window) = (0, 0, 0);
    }

    fn turn_to(&mut self, context: ContextId) {
        (self.present, self.strange, self.fresh) = (Some(context), 0, false);
    }
}

impl Contexts {
    /// No context is known yet.
    pub fn new(shape: ContextsShape, options: ContextsOptions) -> Self {
        let options = ContextsOptions {
            context_window: options.context_window.max(1),
            contexts: options.contexts.clamp(1, MAX_LEDGER_CONTEXTS),
            ..options
        };
        Self {
            contexts: ArrayVec::new(),
            records: vec![Record::default(); options.contexts * shape.all()],
            tokens: 0,
            present: None,
            texts: Vec::new(),
            before: Vec::new(),
            families: None,
            shape,
            options,
        }
        .following(1)
    }

    /// The same, following so many texts at once, all in the present context.
    pub fn following(mut self, texts: usize) -> Self {
        let all = self.shape.all();
        self.texts = vec![Text::new(all, self.present); texts];
        self.before = vec![(Text::new(all, None), vec![Record::default(); all]); texts];
        self
    }

    /// What they occupy that follow so many texts at once.
    pub fn planned_bytes(shape: ContextsShape, options: ContextsOptions, texts: usize) -> Bytes {
        let records = options.contexts * shape.all() * size_of::<Record>();
        let families = FamilyPrior::planned_bytes(shape.all());
        let text = shape.all() * (4 * size_of::<Evidence>() + size_of::<Record>());
        Bytes((records + families + texts * text) as u64)
    }

    /// The contexts of an earlier run: the least used are left out if there are more than the
    /// options keep. `records` is `[contexts, layers * experts]`.
    ///
    /// # Panics
    /// If the tables do not have these sizes; what comes from a file is checked before.
    pub fn restore(
        shape: ContextsShape,
        options: ContextsOptions,
        tokens: u64,
        present: Option<ContextId>,
        contexts: &[Context],
        records: &[Record],
    ) -> Self {
        assert_eq!(records.len(), contexts.len() * shape.all(), "records of every context");
        let mut restored = Self::new(shape, options);
        restored.tokens = tokens;
        let mut order: Vec<usize> = (0..contexts.len()).collect();
        // The present one first, then by use; ties to the earlier place.
        let is_present = |i: usize| present.is_some_and(|p| p.index() == i);
        order.sort_by_key(|&i| (!is_present(i), std::cmp::Reverse(contexts[i].tokens)));
        order.truncate(restored.options.contexts);
        order.sort_unstable();
        for (place, &from) in order.iter().enumerate() {
            restored.contexts.push(contexts[from]);
            let all = shape.all();
            restored.records[place * all..][..all].copy_from_slice(&records[from * all..][..all]);
            if is_present(from) {
                restored.present = Some(ContextId(place as u16));
                restored.texts[0].present = restored.present;
            }
        }
        restored
    }

    /// Families to go by where a context is young; one partition for every layer, or nothing.
    pub fn set_families(&mut self, families: &[Families]) {
        self.families = FamilyPrior::new(families).filter(|_| self.options.family_tokens > 0.0);
    }

    /// Layers and experts.
    pub fn shape(&self) -> ContextsShape {
        self.shape
    }

    /// Contexts known.
    pub fn known(&self) -> &[Context] {
        &self.contexts
    }

    /// The context that a text turned to last, once a window has passed; from a snapshot, the one saved as
    /// last.
    pub fn present(&self) -> Option<ContextId> {
        self.present
    }

    /// Tokens seen, in whole windows.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// `[layers * experts]`: the records of a context.
    pub fn records(&self, context: ContextId) -> &[Record] {
        &self.records[context.index() * self.shape.all()..][..self.shape.all()]
    }

    /// `[experts]`: those of one layer in the present context of a text; empty before there is one.
    pub fn present_records(&self, text: SequenceId, layer: LayerId) -> &[Record] {
        let experts = self.shape.experts;
        let of = |present| &self.records(present)[layer.index() * experts..][..experts];
        self.texts[text.index()].present.map_or(&[], of)
    }

    /// Notes where a text stands, for [`Contexts::go_back`].
    pub fn mark(&mut self, text: SequenceId) {
        let (before, records) = &mut self.before[text.index()];
        before.copy_from(&self.texts[text.index()]);
        if let Some(present) = before.present {
            let all = self.shape.all();
            records.copy_from_slice(&self.records[present.index() * all..][..all]);
        }
    }

    /// What was observed of a text since it was marked did not happen.
    pub fn go_back(&mut self, text: SequenceId) {
        let (before, records) = &self.before[text.index()];
        self.texts[text.index()].copy_from(before);
        if let Some(present) = before.present {
            let all = self.shape.all();
            self.records[present.index() * all..][..all].copy_from_slice(records);
        }
    }

    /// A text begins: its first window decides about the context by itself, without patience.
    pub fn begin(&mut self, text: SequenceId) {
        let present = self.present;
        let text = &mut self.texts[text.index()];
        text.forget_window();
        (text.present, text.strange, text.fresh) = (present, 0, true);
    }

    /// This many tokens are about to go through all layers together. The last ones of many are the window:
    /// what comes next is like them, and all windows are of one size, as distances must be.
    pub fn enter_pass(&mut self, text: SequenceId, tokens: u32) {
        let text = &mut self.texts[text.index()];
        if text.in_window + tokens > self.options.context_window {
            for (bulk, evidence) in text.bulk.iter_mut().zip(&mut text.window) {
                bulk.add(std::mem::take(evidence));
            }
            text.in_bulk += std::mem::take(&mut text.in_window);
        }
        text.before_window = tokens.saturating_sub(self.options.context_window);
    }

    /// The native set of one layer-token; `token` is its place among those of its text in the pass.
    pub fn observe(&mut self, text: SequenceId, layer: LayerId, token: u32, native: &[Choice]) {
        let text = &mut self.texts[text.index()];
        let table = if token < text.before_window { &mut text.bulk } else { &mut text.window };
        let row = &mut table[layer.index() * self.shape.experts..][..self.shape.experts];
        for choice in native {
            let evidence = &mut row[choice.expert.index()];
            evidence.add(Evidence { mass: choice.weight, uses: 1.0 });
        }
    }

    /// What the computed experts of one layer-token did; counts for the present context of its text.
    pub fn contribute(&mut self, text: SequenceId, layer: LayerId, used: &[Contribution]) {
        let Some(present) = self.texts[text.index()].present else { return };
        let first = present.index() * self.shape.all() + layer.index() * self.shape.experts;
        for contribution in used {
            let gain = contribution.share / contribution.weight;
            if gain.is_finite() {
                self.records[first + contribution.expert.index()].contributed(gain);
            }
        }
    }

    /// The pass of this many tokens has ended. Compares at the end of a window, and only there.
    pub fn advance(&mut self, text: SequenceId, tokens: u32) -> Turn {
        let state = &mut self.texts[text.index()];
        let before_window = std::mem::take(&mut state.before_window);
        state.in_bulk += before_window;
        state.in_window += tokens - before_window;
        if state.in_window < self.options.context_window {
            return Turn::Same;
        }
        let turn = self.decide(text);
        self.learn(text);
        turn
    }

    /// The context of the window that is full.
    fn decide(&mut self, text: SequenceId) -> Turn {
        let state = &self.texts[text.index()];
        let strange = state.present.is_none_or(|present| self.is_strange(text, present));
        let decides_alone = state.fresh || state.present.is_none();
        let strange = if strange { state.strange + 1 } else { 0 };
        self.texts[text.index()].strange = strange;
        if !decides_alone && strange < self.options.patience.max(1) {
            return Turn::Same;
        }
        let (context, turn) = match self.nearest(text) {
            None => self.found(),
            Some(context) => (context, Turn::Known(context)),
        };
        self.present = Some(context);
        self.texts[text.index()].turn_to(context);
        turn
    }

    /// A new context, in a free place or in that of the least used one.
    fn found(&mut self) -> (ContextId, Turn) {
        let place = if self.contexts.len() < self.options.contexts {
            self.contexts.push(Context::default());
            self.contexts.len() - 1
        } else {
            let least = self.contexts.iter().enumerate().min_by_key(|(_, c)| (c.tokens, c.last));
            least.expect("at least one is kept").0
        };
        self.contexts[place] = Context::default();
        let all = self.shape.all();
        self.records[place * all..][..all].fill(Record::default());
        let context = ContextId(place as u16);
        // Another text that was in the context whose place this is has to look for one again.
        self.texts
            .iter_mut()
            .filter(|text| text.present == Some(context))
            .for_each(|text| text.present = None);
        (context, Turn::Founded(context))
    }

    /// The nearest context that the window is not strange to.
    fn nearest(&self, text: SequenceId) -> Option<ContextId> {
        let all = (0..self.contexts.len()).map(|i| ContextId(i as u16));
        let near = all.filter(|&context| !self.is_strange(text, context));
        near.min_by(|&a, &b| self.distance(text, a).total_cmp(&self.distance(text, b)))
    }

    fn is_strange(&self, text: SequenceId, context: ContextId) -> bool {
        self.distance(text, context) > self.contexts[context.index()].spread() + self.options.drift
    }

    /// From the window under way to a context's centroid.
    fn distance(&self, text: SequenceId, context: ContextId) -> f32 {
        let rows = self.texts[text.index()].window.chunks_exact(self.shape.experts);
        let centroid = self.records(context).chunks_exact(self.shape.experts);
        let rows = rows.zip(centroid).map(|(window, centroid)| {
            window.iter().map(|evidence| evidence.mass).zip(centroid.iter().map(|record| record.mass))
        });
        hellinger(rows)
    }

    /// Adds the window to the present context, unless it is strange to it, and empties it.
    fn learn(&mut self, text: SequenceId) {
        let state = &self.texts[text.index()];
        let tokens = state.in_window + state.in_bulk;
        self.tokens = self.tokens.saturating_add(u64::from(tokens));
        if let Some(present) = state.present.filter(|_| state.strange == 0) {
            let distance = self.distance(text, present);
            let keep = (-(tokens as f32) / self.options.horizon.max(1.0)).exp2();
            let all = self.shape.all();
            let records = &mut self.records[present.index() * all..][..all];
            for (record, (window, bulk)) in records.iter_mut().zip(state.window.iter().zip(&state.bulk)) {
                record.fade(keep);
                record.mass += window.mass + bulk.mass;
                record.uses += window.uses + bulk.uses;
            }
            self.contexts[present.index()].passed(tokens, self.tokens, distance);
        }
        self.texts[text.index()].forget_window();
    }

    /// All experts with the native picks of each in a context, faded, as far as they are believed: most
    /// first, ties to the lower layer and expert. `out` keeps its memory.
    ///
    /// Picks and not mass: a pick of an expert that is not in memory costs a read, whatever its weight. In a
    /// young context an expert's family counts for it: `family_tokens / (family_tokens + tokens)` of its
    /// picks are the mean of its family.
    pub fn hot_set(&self, context: ContextId, out: &mut Vec<(ExpertKey, f32)>) {
        out.clear();
        let tokens = self.contexts[context.index()].tokens as f32;
        let share = self.options.family_tokens / (self.options.family_tokens + tokens).max(1.0);
        for (layer, records) in self.records(context).chunks_exact(self.shape.experts).enumerate() {
            let layer = LayerId(layer as u16);
            let believed = records.iter().map(|record| self.options.belief * record.uses);
            let mut uses: ArrayVec<f32, MAX_EXPERTS> = believed.collect();
            if let Some(families) = &self.families {
                families.blend(layer, share, &mut uses);
            }
            let keys = (0..).map(|expert| ExpertKey::new(layer, ExpertId(expert)));
            out.extend(keys.zip(uses));
        }
        out.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    }
}
