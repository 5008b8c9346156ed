//! Makes experts ready: hot ones at once, the others by reads that run while the hot ones compute.
//!
//! One layer at a time is *visited*: the caller requests the experts of a layer, takes them as they
//! become ready, computes, and releases them. Reads finish in any order; what the caller does with
//! the results must not depend on it. Between two visits the caller says what it will probably want next:
//! that is protected, or prefetched when nothing more urgent waits.

mod admission;
mod prefetch;
mod preload;
mod read;
mod victim;
mod visit;

use std::io;
#[cfg(feature = "noop-paging")]
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotset_base::figures::PagerTotals;
use hotset_base::{Bytes, ExpertId, ExpertKey, LayerId, RowKind};
use hotset_format::Checkpoint;
use hotset_io::{ReadFile, ReadOptions, Reader};
use hotset_policy::evict::{Evict, Retention};

pub use self::visit::Arrived;
use self::visit::Stage;
use crate::PagerError;
use crate::arena::Arena;
use crate::fill::Fill;
use crate::join::Joins;
use crate::prefetch::Prefetch;
use crate::slots::{ArenaPlan, SlotId, SlotState, SlotTable};
#[cfg(feature = "noop-paging")]
use crate::source::PARTS;
use crate::source::{ExpertSource, HALVES};

/// Experts being prefetched at once: enough to keep a disk busy, few enough not to delay a demand.
const MOST_PREFETCHES: usize = 6;
/// Experts that wait to be read without anybody waiting for them; more are forgotten.
const MOST_ADMITTED: usize = 64;

/// Settings of the pager.
#[derive(Clone, Debug, PartialEq)]
pub struct PagerOptions {
    /// How to read.
    pub read: ReadOptions,
    /// Layers to look ahead; 0 prefetches nothing.
    pub lookahead: usize,
    /// Take the arena's memory when opening and register it with the kernel.
    pub register: bool,
}

/// What the pager may go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    /// What has arrived and when: for routers that do not look at what is held.
    #[default]
    ByTime,
    /// Decisions alone, never the speed of the disk: for routers that go by what is held.
    ByDecisions,
}

impl Default for PagerOptions {
    fn default() -> Self {
        Self { read: ReadOptions::default(), lookahead: 2, register: true }
    }
}

/// See the module's text.
pub struct Pager {
    reader: Reader,
    arena: Arena,
    slots: SlotTable,
    source: ExpertSource,
    joins: Joins,
    evict: Box<dyn Evict>,
    /// `[slots]`: what the policy said of each slot's expert; kept true while the policy is steady, else
    /// asked for again before a search.
    worth: Vec<Retention>,
    paths: Vec<PathBuf>,
    stats: PagerTotals,
    lookahead: usize,
    timing: Timing,
    /// Visits so far.
    visit_number: u64,
    layer: LayerId,
    /// The present visit's experts, in the order they were asked for. Sized for a whole layer.
    wants: Vec<(ExpertId, Stage)>,
    /// `[experts]`: wanted by the present visit, so the last to be evicted.
    wanted: Vec<bool>,
    /// The first failure of the present visit; reported once its reads have drained.
    failure: Option<PagerError>,
    /// `[slots]`: the read into each slot, or the last one.
    fills: Vec<Fill>,
    /// Experts being prefetched.
    prefetching: usize,
    prefetch: Prefetch,
    /// Prefetches that have proved pointless, for a moment. Sized for all predictions.
    withdrawn: Vec<ExpertKey>,
    /// Experts to be read without anybody waiting. Sized for [`MOST_ADMITTED`].
    admitted: Vec<ExpertKey>,
    /// The hot set of a known context, most used first, and how many have been dealt with. Sized for all
    /// slots.
    preload: Vec<ExpertKey>,
    next_preload: usize,
    /// How many of them are for the slots that begin here. `[slots]`
    preloaded_into: Vec<u32>,
}

impl Pager {
    /// Maps the arena and starts the read engine.
    ///
    /// An arena that cannot hold every expert will be full soon: its memory is taken at once and made
    /// known to the kernel, and `progress` is told the bytes. One that can is filled as experts come.
    pub fn open(
        checkpoint: &Checkpoint,
        source: ExpertSource,
        plan: &ArenaPlan,
        evict: Box<dyn Evict>,
        options: &PagerOptions,
        progress: &mut dyn FnMut(Bytes),
    ) -> io::Result<Self> {
        let open = |file| match options.read.direct {
            true => ReadFile::direct_if_possible(file),
            false => ReadFile::buffered(file),
        };
        let files = checkpoint.files.iter().map(|f| open(Arc::clone(&f.file))).collect();
        let arena = Arena::new(plan)?;
        let (layers, experts) = (source.layers(), source.experts_per_layer());
        // With every expert in memory there is nothing to look ahead for.
        let everything = plan.slots() >= layers * experts;
        let mut buffers = Vec::new();
        if !everything && options.register {
            arena.populate(progress)?;
            buffers = arena.buffers();
        }
        Ok(Self {
            reader: Reader::open(files, &buffers, &options.read)?,
            arena,
            slots: SlotTable::new(plan, layers, experts),
            joins: source.joins(),
            evict,
            worth: vec![Retention(0, 0); plan.slots()],
            paths: checkpoint.files.iter().map(|f| f.path.clone()).collect(),
            stats: PagerTotals::default(),
            lookahead: if everything { 0 } else { options.lookahead },
            timing: Timing::default(),
            visit_number: 0,
            layer: LayerId(0),
            wants: Vec::with_capacity(experts),
            wanted: vec![false; experts],
            failure: None,
            fills: (0..plan.slots()).map(|_| Fill::default()).collect(),
            prefetching: 0,
            prefetch: Prefetch::new(layers, experts),
            withdrawn: Vec::with_capacity(Prefetch::most(experts)),
            admitted: Vec::with_capacity(MOST_ADMITTED),
            preload: Vec::with_capacity(plan.slots()),
            next_preload: 0,
            preloaded_into: vec![0; plan.slots()],
            source,
        })
    }

    /// What it goes by.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// What it goes by from now on. Waits for reads in flight.
    pub fn keep_time(&mut self, timing: Timing) {
        self.drain();
        self.timing = timing;
    }

    /// Empties the arena and puts another eviction policy in charge. Waits for reads in flight.
    pub fn clear(&mut self, evict: Box<dyn Evict>) {
        self.close();
        self.admitted.clear();
        self.preload.clear();
        self.next_preload = 0;
        self.drain();
        (0..self.fills.len() as u32).for_each(|slot| self.slots.set(SlotId(slot), SlotState::Free));
        self.fills.iter_mut().for_each(|fill| *fill = Fill::default());
        self.prefetch.forget();
        self.evict = evict;
    }

    /// Which experts of a layer are ready: `[experts]`.
    pub fn hot(&self, layer: LayerId) -> &[bool] {
        self.slots.hot(layer)
    }

    /// The same, and those being read: known from decisions alone, whatever the speed of the disk.
    pub fn held(&self, layer: LayerId) -> &[bool] {
        self.slots.held(layer)
    }

    /// Whether all of a layer is held and nothing will have to leave: there is nothing to expect of it.
    pub fn is_settled(&self, layer: LayerId) -> bool {
        self.slots.is_settled(layer)
    }

    /// What reading one expert of a layer fetches.
    pub fn expert_bytes(&self, layer: LayerId) -> Bytes {
        self.source.bytes(ExpertKey::new(layer, ExpertId(0)))
    }

    /// Microseconds the busy disk takes for an expert, lately; 0 while unknown.
    pub fn read_us(&self) -> f64 {
        self.prefetch.service_us
    }

    /// Where the parts of a resident expert are.
    #[cfg(feature = "noop-paging")]
    pub(crate) fn place(&self, key: ExpertKey) -> (SlotId, [Range<usize>; PARTS]) {
        let slot = self.slots.place(key).expect("the expert is resident");
        (slot, self.source.layout(key).parts.map(|(at, bytes)| at..at + bytes))
    }

    #[cfg(feature = "noop-paging")]
    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Totals since the pager opened.
    pub fn stats(&self) -> PagerTotals {
        self.stats
    }

    /// All that compute has waited for reads since the pager opened.
    pub fn stall(&self) -> Duration {
        self.stats.stall
    }

    /// Name of the read engine.
    pub fn engine_name(&self) -> &str {
        self.reader.name()
    }

    /// Layers to predict from rows of this kind, beyond the present one.
    pub fn lookahead(&self, kind: RowKind) -> usize {
        // A prompt predicts more than can be decided on at once.
        if self.by_decisions() && kind.is_prompt() { 0 } else { self.lookahead }
    }

    fn by_decisions(&self) -> bool {
        self.timing == Timing::ByDecisions
    }
}

fn ticket(slot: SlotId, half: usize) -> u32 {
    slot.0 * HALVES as u32 + half as u32
}
