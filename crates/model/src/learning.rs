//! Contexts at work: they are told of every layer-token, and the hot set of a known one is preloaded.

use hotset_base::{Choice, Contribution, ExpertKey, LayerId, Phase};
use hotset_policy::Record;
use hotset_policy::contexts::{ContextId, Contexts, Turn};
use hotset_residency::{Pager, Timing};

/// Tokens computed together that leave little of what the arena held before: they want most experts of every
/// layer once.
const WIDE: usize = 64;
/// Tokens after a change of context in which prefetching is eager.
const EAGER: usize = 64;

/// Is shown the contexts after every pass, to keep it. Must not allocate while decoding.
pub trait KeepContexts: Send {
    /// A pass has ended.
    fn look(&mut self, contexts: &Contexts);
}

/// See the module's text.
pub(crate) struct Learning {
    contexts: Contexts,
    /// As it was when the model was opened: what starting over starts from.
    first: Contexts,
    keeper: Box<dyn KeepContexts>,
    /// A prompt with a wide pass has been computed and nothing preloaded since its last pass.
    stale: bool,
    /// Tokens since the context changed.
    settled: usize,
    /// Sized for all experts.
    hot: Vec<(ExpertKey, f32)>,
}

impl Learning {
    pub fn new(contexts: Contexts, keeper: Box<dyn KeepContexts>) -> Self {
        let hot = Vec::with_capacity(contexts.shape().all());
        Self { first: contexts.clone(), contexts, keeper, stale: false, settled: 0, hot }
    }

    pub fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// The arena holds nothing in particular: what comes next is probably like the last text.
    pub fn open(&mut self, pager: &mut Pager) {
        if let Some(present) = self.contexts.present() {
            self.preload(present, pager);
        }
    }

    /// Starts over from an empty arena and the contexts as they were.
    pub fn restart(&mut self, pager: &mut Pager) {
        self.contexts.clone_from(&self.first);
        (self.stale, self.settled) = (false, 0);
        self.open(pager);
    }

    /// `tokens` follow `before` others of their text.
    pub fn begin_pass(&mut self, phase: Phase, before: usize, tokens: usize, pager: &mut Pager) {
        if before == 0 {
            self.contexts.begin();
        }
        if phase != Phase::Setup && self.stale {
            self.open(pager);
        }
        self.stale = phase == Phase::Setup && (self.stale || tokens >= WIDE);
        self.contexts.enter_pass(tokens as u32);
    }

    /// The native set of one layer-token; `token` is its place in the pass.
    pub fn observe(&mut self, layer: LayerId, token: usize, native: &[Choice]) {
        self.contexts.observe(layer, token as u32, native);
    }

    /// `[experts]`: what is known of a layer's experts in the present context.
    pub fn records(&self, layer: LayerId) -> &[Record] {
        self.contexts.present_records(layer)
    }

    /// What the computed experts of one layer-token did.
    pub fn contribute(&mut self, layer: LayerId, used: &[Contribution]) {
        self.contexts.contribute(layer, used);
    }

    pub fn end_pass(&mut self, tokens: usize, pager: &mut Pager) {
        match self.contexts.advance(tokens as u32) {
            Turn::Same => self.settled += tokens,
            // Of a new context little is known, but that what was counted before is of another.
            Turn::Known(context) | Turn::Founded(context) => {
                self.settled = 0;
                self.preload(context, pager);
            }
        }
        pager.prefetch_eagerly(self.settled < EAGER);
        self.keeper.look(&self.contexts);
    }

    fn preload(&mut self, context: ContextId, pager: &mut Pager) {
        self.stale = false;
        self.contexts.hot_set(context, &mut self.hot);
        pager.preload(&self.hot);
        // Where decisions go by what is held, it may not depend on the disk's speed.
        if pager.timing() == Timing::ByDecisions {
            pager.wait_for_preloaded();
        }
    }
}
