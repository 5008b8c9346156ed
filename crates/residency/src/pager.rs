//! Makes experts ready: hot ones at once, the others by reads that run while the hot ones compute.
//!
//! One layer at a time is *visited*: the caller requests the experts of a layer, takes them as they
//! become ready, computes, and releases them. Reads finish in any order; what the caller does with
//! the results must not depend on it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hotset_base::{ExpertId, ExpertKey, LayerId};
use hotset_format::Checkpoint;
use hotset_io::{Completion, MAX_PARTS, PreadPool, ReadEngine, ReadRequest};
use hotset_policy::evict::Evict;

use crate::arena::Arena;
use crate::slots::{ArenaPlan, SlotId, SlotState, SlotTable};
use crate::source::ExpertSource;
use crate::{PagerError, PagerStats};

const PART_NAMES: [&str; MAX_PARTS] = ["gate", "up", "down"];

/// Settings of the pager's read engine.
#[derive(Clone, Copy, Debug)]
pub struct PagerOptions {
    /// Threads that read.
    pub read_threads: usize,
    /// Leave what was read in the page cache (it then counts against nobody's promise).
    pub keep_page_cache: bool,
}

/// An expert the present visit wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// Not in the arena, no read started.
    Absent,
    /// Its read is in flight; `true` after a first failure.
    Reading { again: bool },
    /// In a pinned slot, not yet given to the caller.
    Ready,
    /// Given to the caller, or already released by it.
    Taken,
}

/// See the module's text.
pub struct Pager {
    engine: Box<dyn ReadEngine>,
    arena: Arena,
    slots: SlotTable,
    source: ExpertSource,
    evict: Box<dyn Evict>,
    paths: Vec<PathBuf>,
    stats: PagerStats,
    /// Counts visits: the clock of the eviction policy.
    now: u64,
    layer: LayerId,
    /// The present visit's experts, in the order they were asked for. Sized for a whole layer.
    wants: Vec<(ExpertId, Want)>,
    /// `[experts]`: wanted by the present visit, so the last to be evicted.
    wanted: Vec<bool>,
    /// The first failure of the present visit; reported once its reads have drained.
    failure: Option<PagerError>,
    /// Reads submitted and not completed.
    in_flight: usize,
}

impl Pager {
    /// Maps the arena and starts the read threads.
    pub fn open(
        checkpoint: &Checkpoint,
        source: ExpertSource,
        plan: &ArenaPlan,
        evict: Box<dyn Evict>,
        options: PagerOptions,
    ) -> io::Result<Self> {
        let files = checkpoint.files.iter().map(|f| Arc::clone(&f.file)).collect();
        let engine = PreadPool::new(files, options.read_threads, options.keep_page_cache)?;
        let experts = source.experts_per_layer();
        Ok(Self {
            engine: Box::new(engine),
            arena: Arena::new(plan)?,
            slots: SlotTable::new(plan, source.layers(), experts),
            evict,
            paths: checkpoint.files.iter().map(|f| f.path.clone()).collect(),
            stats: PagerStats::default(),
            now: 0,
            layer: LayerId(0),
            wants: Vec::with_capacity(experts),
            wanted: vec![false; experts],
            failure: None,
            in_flight: 0,
            source,
        })
    }

    /// Which experts of a layer are ready: `[experts]`.
    pub fn hot(&self, layer: LayerId) -> &[bool] {
        self.slots.hot(layer)
    }

    /// Totals since the pager opened.
    pub fn stats(&self) -> PagerStats {
        self.stats
    }

    /// Name of the read engine.
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }

    /// Starts a visit: pins what is hot of `experts` and starts reading the rest.
    ///
    /// `experts` must not repeat. A visit that was not taken to its end is closed first.
    pub fn request(&mut self, layer: LayerId, experts: &[ExpertId]) {
        self.close();
        self.layer = layer;
        self.now += 1;
        for &expert in experts {
            let key = ExpertKey::new(layer, expert);
            self.evict.used(key, self.now);
            self.wanted[expert.index()] = true;
            let want = match self.slots.place(key) {
                Some(slot) => {
                    self.slots.set(slot, SlotState::Pinned(key));
                    Want::Ready
                }
                None => Want::Absent,
            };
            self.wants.push((expert, want));
        }
        self.start_reads();
    }

    /// Appends the experts that have become ready to `out`, waiting until there is at least one.
    /// Nothing is appended when all of the visit's experts have been taken.
    ///
    /// Each stays in its slot until [`Pager::release`]. After an error the visit is over.
    pub fn take_ready(&mut self, out: &mut Vec<ExpertId>) -> Result<(), PagerError> {
        self.start_reads();
        while let Some(done) = self.engine.complete(false) {
            self.settle(done);
        }
        while self.failure.is_none() && self.hand_over(out) == 0 && self.in_flight > 0 {
            self.wait_for_one();
        }
        match self.failure.take() {
            Some(failure) => {
                self.close();
                Err(failure)
            }
            None => Ok(()),
        }
    }

    /// Gate, up and down of an expert that was taken and not released.
    ///
    /// # Panics
    /// If it was not: the caller's bookkeeping is wrong.
    pub fn weights(&self, expert: ExpertId) -> [&[u8]; MAX_PARTS] {
        let key = ExpertKey::new(self.layer, expert);
        let slot = self.slots.place(key).expect("a taken expert has a slot");
        assert_eq!(self.slots.state(slot), SlotState::Pinned(key), "a taken expert is pinned");
        let bytes = self.arena.bytes(slot);
        self.source.shape(self.layer).parts.map(|(at, len)| &bytes[at..at + len])
    }

    /// Gives up taken experts: their slots may be overwritten from now on.
    pub fn release(&mut self, experts: &[ExpertId]) {
        for &expert in experts {
            let key = ExpertKey::new(self.layer, expert);
            if let Some(slot) = self.slots.place(key) {
                self.slots.set(slot, SlotState::Ready(key));
            }
        }
    }

    /// Moves what is ready into `out`; returns how many.
    fn hand_over(&mut self, out: &mut Vec<ExpertId>) -> usize {
        let before = out.len();
        for (expert, want) in &mut self.wants {
            if *want == Want::Ready {
                *want = Want::Taken;
                out.push(*expert);
            }
        }
        out.len() - before
    }

    /// Starts as many of the visit's reads as there are slots and room in the engine.
    fn start_reads(&mut self) {
        for i in 0..self.wants.len() {
            if self.failure.is_some() || self.in_flight == self.engine.depth() {
                return;
            }
            let (expert, want) = self.wants[i];
            if want != Want::Absent {
                continue;
            }
            let Some(slot) = self.victim() else { return };
            let key = ExpertKey::new(self.layer, expert);
            self.slots.set(slot, SlotState::Filling(key));
            self.wants[i].1 = Want::Reading { again: false };
            self.submit(key, slot);
        }
    }

    /// The slot to overwrite next: a free one, else the ready one worth least; experts of this visit
    /// only when there is nothing else. `None` when all are pinned or being filled.
    fn victim(&self) -> Option<SlotId> {
        let worth = |(slot, state): (SlotId, SlotState)| match state {
            SlotState::Free => Some((0, None, slot.0)),
            SlotState::Ready(key) => {
                let wanted = key.layer == self.layer && self.wanted[key.expert.index()];
                Some((1 + u8::from(wanted), Some(self.evict.retention(key)), slot.0))
            }
            SlotState::Filling(_) | SlotState::Pinned(_) => None,
        };
        self.slots.candidates(self.layer).filter_map(worth).min().map(|(_, _, slot)| SlotId(slot))
    }

    fn submit(&mut self, key: ExpertKey, slot: SlotId) {
        let target = self.arena.lend(slot);
        self.engine.submit(ReadRequest {
            ticket: slot.0,
            target,
            runs: self.source.runs(key),
            parts: self.source.parts(key),
            decided: Instant::now(),
        });
        self.in_flight += 1;
    }

    fn wait_for_one(&mut self) {
        let start = Instant::now();
        let done = self.engine.complete(true);
        self.stats.stall += start.elapsed();
        if let Some(done) = done {
            self.settle(done);
        }
    }

    /// A read came back: the slot becomes ready, or the read is tried once more, or the visit fails.
    fn settle(&mut self, done: Completion) {
        self.in_flight -= 1;
        let slot = SlotId(done.ticket);
        let SlotState::Filling(key) = self.slots.state(slot) else {
            unreachable!("reads go into slots that are being filled")
        };
        self.arena.take_back(slot, done.target);
        let verdict = match done.result {
            Ok(found) => self.source.check(key, found).map_err(|part| self.checksum_error(key, part)),
            Err(error) => Err(PagerError::Read {
                key,
                path: self.paths[error.file.index()].clone(),
                offset: error.offset,
                source: error.source,
            }),
        };
        match verdict {
            Ok(()) => {
                self.stats.swap_ins += 1;
                self.stats.bytes_read += self.source.bytes(key);
                self.stats.time_to_expert += done.elapsed;
                self.slots.set(slot, SlotState::Pinned(key));
                self.set_want(key.expert, Want::Ready);
            }
            Err(error) => self.retry_or_fail(key, slot, error),
        }
    }

    /// Every read is repeated once: a flipped bit on the way from the disk does not end a request.
    fn retry_or_fail(&mut self, key: ExpertKey, slot: SlotId, error: PagerError) {
        if self.want(key.expert) == Some(Want::Reading { again: false }) && self.failure.is_none() {
            self.stats.retries += 1;
            self.set_want(key.expert, Want::Reading { again: true });
            self.submit(key, slot);
            return;
        }
        self.slots.set(slot, SlotState::Free);
        self.failure.get_or_insert(error);
    }

    fn checksum_error(&self, key: ExpertKey, part: usize) -> PagerError {
        let run = self.source.runs(key)[0];
        PagerError::Checksum { key, part: PART_NAMES[part], path: self.paths[run.file.index()].clone() }
    }

    fn want(&self, expert: ExpertId) -> Option<Want> {
        self.wants.iter().find(|(e, _)| *e == expert).map(|(_, want)| *want)
    }

    fn set_want(&mut self, expert: ExpertId, new: Want) {
        if let Some((_, want)) = self.wants.iter_mut().find(|(e, _)| *e == expert) {
            *want = new;
        }
    }

    /// Ends the visit: waits for its reads, unpins its experts, forgets its failure.
    fn close(&mut self) {
        while self.in_flight > 0 {
            if let Some(done) = self.engine.complete(true) {
                self.settle(done);
            }
        }
        for i in 0..self.wants.len() {
            let expert = self.wants[i].0;
            self.wanted[expert.index()] = false;
            self.release(&[expert]);
        }
        self.wants.clear();
        self.failure = None;
    }
}
