//! Contexts at work: they are told of every layer-token, and the hot set of a known one is preloaded.

use hotset_base::{Batch, Choice, Contribution, ExpertKey, LayerId, Phase, SequenceId};
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
    /// The same two before the pass under way.
    before: (bool, usize),
    /// Sized for all experts.
    hot: Vec<(ExpertKey, f32)>,
}

impl Learning {
    pub fn new(contexts: Contexts, keeper: Box<dyn KeepContexts>) -> Self {
        let hot = Vec::with_capacity(contexts.shape().all());
        Self { first: contexts.clone(), contexts, keeper, stale: false, settled: 0, before: (false, 0), hot }
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

    /// The rows are about to be computed.
    pub fn begin_pass(&mut self, batch: &Batch<'_>, pager: &mut Pager) {
        self.before = (self.stale, self.settled);
        for run in batch.runs() {
            if run[0].position == 0 {
                self.contexts.begin(run[0].sequence);
            }
            // Of the context that the text is in now; a text that begins in a pass that fails begins again.
            self.contexts.mark(run[0].sequence);
        }
        let is_setup = batch.rows().iter().all(|row| row.phase == Phase::Setup);
        if !is_setup && self.stale {
            self.open(pager);
        }
        self.stale = is_setup && (self.stale || batch.len() >= WIDE);
        batch.runs().for_each(|run| self.contexts.enter_pass(run[0].sequence, run.len() as u32));
    }

    /// The native set of one row; `place` is its place among those of its text in the pass.
    pub fn observe(&mut self, sequence: SequenceId, layer: LayerId, place: usize, native: &[Choice]) {
        self.contexts.observe(sequence, layer, place as u32, native);
    }

    /// `[experts]`: what is known of a layer's experts in the present context of a text.
    pub fn records(&self, sequence: SequenceId, layer: LayerId) -> &[Record] {
        self.contexts.present_records(sequence, layer)
    }

    /// What the computed experts of one row did.
    pub fn contribute(&mut self, sequence: SequenceId, layer: LayerId, used: &[Contribution]) {
        self.contexts.contribute(sequence, layer, used);
    }

    /// All layers of all rows have been computed.
    pub fn end_pass(&mut self, batch: &Batch<'_>, pager: &mut Pager) {
        let mut turned = false;
        for run in batch.runs() {
            match self.contexts.advance(run[0].sequence, run.len() as u32) {
                Turn::Same => {}
                // Of a new context little is known, but that what was counted before is of another.
                Turn::Known(context) | Turn::Founded(context) => {
                    turned = true;
                    self.preload(context, pager);
                }
            }
        }
        self.settled = if turned { 0 } else { self.settled + batch.len() };
        pager.prefetch_eagerly(self.settled < EAGER);
        self.keeper.look(&self.contexts);
    }

    /// The pass has failed: what it taught is forgotten, for it will be tried again.
    pub fn abandon_pass(&mut self, batch: &Batch<'_>) {
        (self.stale, self.settled) = self.before;
        batch.runs().for_each(|run| self.contexts.go_back(run[0].sequence));
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
