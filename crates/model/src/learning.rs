//! The trust ledger at work: it is told of every layer-token, and recalls the hot set of a context it knows.

use hotset_base::{Batch, ExpertKey, LayerId, Phase, SequenceId};
use hotset_policy::ledger::{ContextId, Ledger, Record, Turn};
use hotset_policy::route::{Choice, Contribution};
use hotset_residency::{Pager, Timing};

/// Tokens computed together that leave little of what the arena held before: they want most experts of every
/// layer once.
const WIDE: usize = 64;
/// Tokens after a change of context in which reads ahead are bold.
const BOLD: usize = 64;

/// Is shown the ledger after every pass, to keep it. Must not allocate while decoding.
pub trait KeepLedger: Send {
    /// A pass has ended.
    fn look(&mut self, ledger: &Ledger);
}

/// See the module's text.
pub(crate) struct Learning {
    ledger: Ledger,
    /// As it was when the model was opened: what starting over starts from.
    first: Ledger,
    keeper: Box<dyn KeepLedger>,
    /// A prompt with a wide pass has been computed and nothing recalled since its last pass.
    stale: bool,
    /// Tokens since the context changed.
    settled: usize,
    /// The same two before the pass under way.
    before: (bool, usize),
    /// Sized for all experts.
    hot: Vec<(ExpertKey, f32)>,
}

impl Learning {
    pub fn new(ledger: Ledger, keeper: Box<dyn KeepLedger>) -> Self {
        let hot = Vec::with_capacity(ledger.shape().all());
        Self { first: ledger.clone(), ledger, keeper, stale: false, settled: 0, before: (false, 0), hot }
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The arena holds nothing in particular: what comes next is probably like the last text.
    pub fn open(&mut self, pager: &mut Pager) {
        if let Some(present) = self.ledger.present() {
            self.recall(present, pager);
        }
    }

    /// Starts over from an empty arena and the ledger as it was.
    pub fn restart(&mut self, pager: &mut Pager) {
        self.ledger.clone_from(&self.first);
        (self.stale, self.settled) = (false, 0);
        self.open(pager);
    }

    /// The rows are about to be computed.
    pub fn begin_pass(&mut self, batch: &Batch<'_>, pager: &mut Pager) {
        self.before = (self.stale, self.settled);
        for run in batch.runs() {
            self.ledger.mark(run[0].sequence);
            if run[0].position == 0 {
                self.ledger.begin(run[0].sequence);
            }
        }
        let is_setup = batch.rows().iter().all(|row| row.phase == Phase::Setup);
        if !is_setup && self.stale {
            self.open(pager);
        }
        self.stale = is_setup && (self.stale || batch.len() >= WIDE);
        batch.runs().for_each(|run| self.ledger.enter_pass(run[0].sequence, run.len() as u32));
    }

    /// The native set of one row; `place` is its place among those of its text in the pass.
    pub fn observe(&mut self, sequence: SequenceId, layer: LayerId, place: usize, native: &[Choice]) {
        self.ledger.observe(sequence, layer, place as u32, native);
    }

    /// `[experts]`: what is known of a layer's experts in the present context of a text.
    pub fn records(&self, sequence: SequenceId, layer: LayerId) -> &[Record] {
        self.ledger.present_records(sequence, layer)
    }

    /// What the computed experts of one row did.
    pub fn contribute(&mut self, sequence: SequenceId, layer: LayerId, used: &[Contribution]) {
        self.ledger.contribute(sequence, layer, used);
    }

    /// All layers of all rows have been computed.
    pub fn end_pass(&mut self, batch: &Batch<'_>, pager: &mut Pager) {
        let mut turned = false;
        for run in batch.runs() {
            match self.ledger.advance(run[0].sequence, run.len() as u32) {
                Turn::Same => {}
                // Of a new context little is known, but that what was counted before is of another.
                Turn::Known(context) | Turn::Founded(context) => {
                    turned = true;
                    self.recall(context, pager);
                }
            }
        }
        self.settled = if turned { 0 } else { self.settled + batch.len() };
        pager.read_boldly(self.settled < BOLD);
        self.keeper.look(&self.ledger);
    }

    /// The pass has failed: what it taught is forgotten, for it will be tried again.
    pub fn abandon_pass(&mut self, batch: &Batch<'_>) {
        (self.stale, self.settled) = self.before;
        batch.runs().for_each(|run| self.ledger.go_back(run[0].sequence));
    }

    fn recall(&mut self, context: ContextId, pager: &mut Pager) {
        self.stale = false;
        self.ledger.hot_set(context, &mut self.hot);
        pager.recall(&self.hot);
        // Where decisions go by what is held, it may not depend on the disk's speed.
        if pager.timing() == Timing::ByDecisions {
            pager.wait_for_recalled();
        }
    }
}
