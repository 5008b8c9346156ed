//! Strict: a few experts per layer serve a whole window of tokens; the half-dozen bet.

use arrayvec::ArrayVec;
use hotset_base::limits::{MAX_EXPERTS, MAX_TOP_K};
use hotset_base::{Choice, ExpertId, Families, Phase};

use super::decision::insert;
use super::{Decision, NotFinite, Route, RouterShape, RowView};
use crate::families::FamilyPrior;

/// Parameters of [`Strict`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StrictOptions {
    /// Experts of a layer's hot set; 0 for as many as a layer has slots.
    pub hot_set: usize,
    /// Tokens between two choices of the hot set.
    pub refresh_tokens: u64,
    /// Tokens after which evidence counts half.
    pub half_life: f32,
    /// The share of its family's evidence in that of an expert, from 0 to 1.
    pub family_share: f32,
}

impl Default for StrictOptions {
    fn default() -> Self {
        Self { hot_set: 0, refresh_tokens: 64, half_life: 256.0, family_share: 0.0 }
    }
}

/// Chooses the native top `k` of the layer's hot set, and nothing else. The hot set is the `hot_set` experts
/// with the most native router mass, faded over time; it is chosen again at the window's end. An expert's
/// family may count for it: families change slowly, and a window has seen little of most experts.
///
/// Until a first window has passed it chooses as the model does. Of the hot set, what is not in the arena
/// yet is waited for.
#[derive(Debug)]
pub struct Strict {
    shape: RouterShape,
    options: StrictOptions,
    learnt: Learnt,
    /// Before the pass under way.
    before: Learnt,
    keep: f32,
    families: Option<FamilyPrior>,
    /// `[experts]`: the evidence of one layer, families counted.
    blended: Vec<f32>,
}

/// What the tokens so far have taught.
#[derive(Clone, Debug)]
struct Learnt {
    /// `[layers * experts]`: faded router mass.
    evidence: Vec<f32>,
    /// `[layers * experts]`: in the hot set.
    members: Vec<bool>,
    layers: Vec<Window>,
}

impl Learnt {
    /// Takes what another has, in memory of its own.
    fn copy_from(&mut self, other: &Self) {
        self.evidence.copy_from_slice(&other.evidence);
        self.members.copy_from_slice(&other.members);
        self.layers.copy_from_slice(&other.layers);
    }
}

/// A layer's place in its window.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    tokens: u64,
    chosen: bool,
}

impl Strict {
    /// For a model's routers; `families` as [`RouterOptions::build`](super::RouterOptions::build) has them.
    pub fn new(shape: RouterShape, options: StrictOptions, families: &[Families]) -> Self {
        let hot_set = if options.hot_set == 0 { shape.slots as usize } else { options.hot_set };
        let options = StrictOptions { hot_set: hot_set.clamp(1, shape.experts), ..options };
        let learnt = Learnt {
            evidence: vec![0.0; shape.layers * shape.experts],
            members: vec![false; shape.layers * shape.experts],
            layers: vec![Window::default(); shape.layers],
        };
        Self {
            before: learnt.clone(),
            learnt,
            families: FamilyPrior::new(families).filter(|_| options.family_share > 0.0),
            blended: vec![0.0; shape.experts],
            keep: (-1.0 / options.half_life.max(1.0)).exp2(),
            shape,
            options,
        }
    }

    /// Chooses the native best of the hot set.
    fn choose(&self, token: &RowView<'_>, out: &mut Decision) {
        let first = token.layer.index() * self.shape.experts;
        let members = &self.learnt.members[first..first + self.shape.experts];
        let mut best = ArrayVec::<Choice, MAX_TOP_K>::new();
        for (expert, &weight) in token.logits.iter().enumerate().filter(|(expert, _)| members[*expert]) {
            insert(&mut best, self.shape.top_k, Choice { expert: ExpertId(expert as u16), weight });
        }
        out.choose(token.logits, self.shape.norm_topk, best.iter().map(|choice| choice.expert));
    }

    /// Adds a token's router mass; at the end of a window, chooses the hot set.
    fn learn(&mut self, token: &RowView<'_>, out: &Decision) {
        let first = token.layer.index() * self.shape.experts;
        let evidence = &mut self.learnt.evidence[first..first + self.shape.experts];
        evidence.iter_mut().for_each(|mass| *mass *= self.keep);
        for choice in &out.native {
            evidence[choice.expert.index()] += choice.weight;
        }
        let window = &mut self.learnt.layers[token.layer.index()];
        window.tokens += 1;
        if !window.tokens.is_multiple_of(self.options.refresh_tokens.max(1)) {
            return;
        }
        window.chosen = true;
        self.blended.copy_from_slice(evidence);
        if let Some(families) = &self.families {
            families.blend(token.layer, self.options.family_share, &mut self.blended);
        }
        let mut best = ArrayVec::<Choice, MAX_EXPERTS>::new();
        for (expert, &weight) in self.blended.iter().enumerate() {
            insert(&mut best, self.options.hot_set, Choice { expert: ExpertId(expert as u16), weight });
        }
        let members = &mut self.learnt.members[first..first + self.shape.experts];
        members.fill(false);
        best.iter().for_each(|choice| members[choice.expert.index()] = true);
    }
}

impl Route for Strict {
    fn route(&mut self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        self.foresee(token, out)?;
        self.learn(token, out);
        Ok(())
    }

    fn foresee(&self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        let shape = self.shape;
        out.choose_native(token.layer, token.logits, shape.top_k, shape.norm_topk)?;
        if token.phase != Phase::Setup && self.learnt.layers[token.layer.index()].chosen {
            self.choose(token, out);
        }
        Ok(())
    }

    fn mark(&mut self) {
        self.before.copy_from(&self.learnt);
    }

    fn go_back(&mut self) {
        self.learnt.copy_from(&self.before);
    }

    fn is_lossy(&self) -> bool {
        true
    }
}
