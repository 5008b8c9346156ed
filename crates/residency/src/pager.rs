//! Makes experts ready: hot ones at once, the others by reads that run while the hot ones compute.
//!
//! One layer at a time is *visited*: the caller requests the experts of a layer, takes them as they
//! become ready, computes, and releases them. Reads finish in any order; what the caller does with
//! the results must not depend on it. Between two visits the caller says what it expects to want next:
//! that is kept, or read ahead when nothing more urgent waits.

mod read_ahead;
mod recall;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hotset_base::{Bytes, ExpertId, ExpertKey, LayerId};
use hotset_format::Checkpoint;
use hotset_io::{Completion, ReadFile, ReadOptions, ReadRequest, Reader, Urgency};
use hotset_policy::evict::{Evict, Retention};

use crate::ahead::{Ahead, Prediction};
use crate::arena::Arena;
use crate::fill::Fill;
use crate::slots::{ArenaPlan, SlotId, SlotState, SlotTable};
use crate::source::{ExpertSource, HALVES, PARTS};
use crate::{PagerError, PagerStats};

const PART_NAMES: [&str; PARTS] = ["gate", "up", "down"];
/// Experts being read ahead at once: enough to keep a disk busy, few enough not to delay a demand.
const MOST_AHEAD: usize = 6;
/// Experts that wait to be read without anybody waiting for them; more are forgotten.
const MOST_ADMITTED: usize = 64;

/// Settings of the pager.
#[derive(Clone, Debug, PartialEq)]
pub struct PagerOptions {
    /// How to read.
    pub read: ReadOptions,
    /// Layers to look ahead; 0 reads nothing ahead.
    pub lookahead: usize,
    /// Take the arena's memory when opening and register it with the kernel.
    pub register: bool,
    /// What is held depends on decisions alone, never on the speed of the disk: for routers that go by it.
    pub by_decisions: bool,
}

impl Default for PagerOptions {
    fn default() -> Self {
        Self { read: ReadOptions::default(), lookahead: 2, register: true, by_decisions: false }
    }
}

/// How far an expert of the present visit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not in the arena, no read started.
    Absent,
    /// Being read.
    Reading,
    /// The same, and the caller has had gate and up.
    HalfTaken,
    /// Given to the caller, or already released by it.
    Taken,
}

/// What has become ready of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyExpert {
    /// The expert.
    pub expert: ExpertId,
    /// Gate and up are ready and have not been given before.
    pub gate_up: bool,
    /// Down is ready.
    pub down: bool,
}

/// See the module's text.
pub struct Pager {
    reader: Reader,
    arena: Arena,
    slots: SlotTable,
    source: ExpertSource,
    evict: Box<dyn Evict>,
    /// `[slots]`: what the policy said of each slot's expert; kept true while the policy is steady, else
    /// asked for again before a search.
    worth: Vec<Retention>,
    paths: Vec<PathBuf>,
    stats: PagerStats,
    lookahead: usize,
    by_decisions: bool,
    /// Counts visits: the clock of the eviction policy.
    now: u64,
    layer: LayerId,
    /// The present visit's experts, in the order they were asked for. Sized for a whole layer.
    wants: Vec<(ExpertId, Stage)>,
    /// `[experts]`: wanted by the present visit, so the last to be evicted.
    wanted: Vec<bool>,
    /// The first failure of the present visit; reported once its reads have drained.
    failure: Option<PagerError>,
    /// `[slots]`: the read into each slot, or the last one.
    fills: Vec<Fill>,
    /// Experts being read ahead.
    filling_ahead: usize,
    ahead: Ahead,
    /// Reads ahead that have proved pointless, for a moment. Sized for all predictions.
    unwanted: Vec<ExpertKey>,
    /// Experts to be read without anybody waiting. Sized for [`MOST_ADMITTED`].
    admitted: Vec<ExpertKey>,
    /// The hot set of a known context, most used first, and how many have been dealt with. Sized for all slots.
    recalled: Vec<ExpertKey>,
    next_recalled: usize,
    /// How many of them are for the slots that begin here. `[slots]`
    recalled_into: Vec<u32>,
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
            evict,
            worth: vec![Retention(0, 0); plan.slots()],
            paths: checkpoint.files.iter().map(|f| f.path.clone()).collect(),
            stats: PagerStats::default(),
            lookahead: if everything { 0 } else { options.lookahead },
            by_decisions: options.by_decisions,
            now: 0,
            layer: LayerId(0),
            wants: Vec::with_capacity(experts),
            wanted: vec![false; experts],
            failure: None,
            fills: (0..plan.slots()).map(|_| Fill::default()).collect(),
            filling_ahead: 0,
            ahead: Ahead::new(layers, experts),
            unwanted: Vec::with_capacity(Ahead::most(experts)),
            admitted: Vec::with_capacity(MOST_ADMITTED),
            recalled: Vec::with_capacity(plan.slots()),
            next_recalled: 0,
            recalled_into: vec![0; plan.slots()],
            source,
        })
    }

    /// Empties the arena and puts another eviction policy in charge. Waits for reads in flight.
    pub fn clear(&mut self, evict: Box<dyn Evict>) {
        self.close();
        self.admitted.clear();
        self.recalled.clear();
        self.next_recalled = 0;
        self.drain();
        (0..self.fills.len() as u32).for_each(|slot| self.slots.set(SlotId(slot), SlotState::Free));
        self.fills.iter_mut().for_each(|fill| *fill = Fill::default());
        self.ahead.forget();
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
        self.ahead.service_us
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
    pub fn stats(&self) -> PagerStats {
        self.stats
    }

    /// Name of the read engine.
    pub fn engine_name(&self) -> &str {
        self.reader.name()
    }

    /// Layers the caller should predict in this way, beyond the present one.
    pub fn lookahead(&self, kind: Prediction) -> usize {
        // A chunk predicts more than can be decided on at once.
        if self.by_decisions && kind == Prediction::Chunk { 0 } else { self.lookahead }
    }

    /// Takes note of reads that have finished: what they brought is hot from now on.
    pub fn poll(&mut self) {
        while let Some(done) = self.reader.complete(false) {
            self.settle(done);
        }
    }

    /// Reads an expert of the present visit's layer for later visits, if it deserves a place more than what
    /// would have to leave.
    pub fn admit(&mut self, layer: LayerId, expert: ExpertId) {
        let key = ExpertKey::new(layer, expert);
        match self.note_use(key) {
            Some(slot) => self.worth[slot.index()] = self.evict.retention(key),
            None if self.admitted.len() < MOST_ADMITTED => self.admitted.push(key),
            None => {}
        }
        self.start_reads();
    }

    /// Starts a visit: pins what is hot of `experts` and starts reading the rest.
    ///
    /// `experts` must not repeat. A visit that was not taken to its end is closed first.
    pub fn request(&mut self, layer: LayerId, experts: &[ExpertId]) {
        self.close();
        self.layer = layer;
        self.now += 1;
        experts.iter().for_each(|expert| self.wanted[expert.index()] = true);
        self.forget_predictions(layer);
        for &expert in experts {
            let key = ExpertKey::new(layer, expert);
            let stage = match self.note_use(key) {
                Some(slot) => self.claim(key, slot),
                None => Stage::Absent,
            };
            self.wants.push((expert, stage));
        }
        self.weigh(layer);
        self.start_reads();
    }

    /// Says what a layer behind the visit's will probably want: not evicted if it can be helped, and read while the
    /// disk has nothing more urgent to do.
    pub fn expect(&mut self, layer: LayerId, experts: &[ExpertId], kind: Prediction) {
        let slots = &self.slots;
        let distance = layer.index() - self.layer.index();
        self.ahead.expect((layer, distance), experts, kind, |key| slots.place(key).is_none());
        match self.by_decisions {
            true => self.start_sure(),
            false => self.start_reads(),
        }
    }

    /// Appends what has become ready to `out`, waiting until there is something. Nothing is appended when
    /// all of the visit's experts have been taken.
    ///
    /// Each stays in its slot until [`Pager::release`]. After an error the visit is over.
    ///
    /// # Panics
    /// If the arena is too small for what the caller keeps: it must release before it takes more.
    pub fn take_ready(&mut self, out: &mut Vec<ReadyExpert>) -> Result<(), PagerError> {
        self.poll();
        self.start_reads();
        while self.failure.is_none() && !self.hand_over(out) && self.is_open() {
            assert!(self.reader.in_flight() > 0, "released experts leave slots to read into");
            self.wait_for_one();
            self.start_reads();
        }
        match self.failure.take() {
            Some(failure) => {
                self.close();
                Err(failure)
            }
            None => Ok(()),
        }
    }

    /// Gate and up of an expert that was taken and not released.
    ///
    /// # Panics
    /// If it was not: the caller's bookkeeping is wrong.
    pub fn gate_up(&self, expert: ExpertId) -> [&[u8]; 2] {
        let (key, slot) = self.taken(expert);
        let checked = match self.slots.state(slot) {
            SlotState::Filling(_) => self.fills[slot.index()].first_half_checked(),
            state => state == SlotState::Pinned(key),
        };
        assert!(checked, "gate and up are taken when they are ready");
        [0, 1].map(|part| self.part(key, slot, part))
    }

    /// Down of an expert that was taken and not released.
    ///
    /// # Panics
    /// If it was not, or down was not ready.
    pub fn down(&self, expert: ExpertId) -> &[u8] {
        let (key, slot) = self.taken(expert);
        assert_eq!(self.slots.state(slot), SlotState::Pinned(key), "down is taken when it is ready");
        self.part(key, slot, 2)
    }

    fn taken(&self, expert: ExpertId) -> (ExpertKey, SlotId) {
        let key = ExpertKey::new(self.layer, expert);
        (key, self.slots.place(key).expect("a taken expert has a slot"))
    }

    fn part(&self, key: ExpertKey, slot: SlotId, part: usize) -> &[u8] {
        let (at, bytes) = self.source.layout(key).parts[part];
        self.arena.bytes(slot, at..at + bytes)
    }

    /// Gives up taken experts: their slots may be overwritten from now on.
    pub fn release(&mut self, experts: impl IntoIterator<Item = ExpertId>) {
        for expert in experts {
            let key = ExpertKey::new(self.layer, expert);
            if let Some(slot) = self.slots.place(key)
                && self.slots.state(slot) == SlotState::Pinned(key)
            {
                self.slots.set(slot, SlotState::Ready(key));
            }
        }
    }

    /// The visit wants an expert that has a slot already.
    fn claim(&mut self, key: ExpertKey, slot: SlotId) -> Stage {
        let fill = &mut self.fills[slot.index()];
        if let SlotState::Filling(_) = self.slots.state(slot) {
            if fill.ahead {
                fill.ahead = false;
                self.filling_ahead -= 1;
                self.stats.ahead.late += 1;
                if !fill.recalled {
                    self.ahead.governor.spared(fill.age_us().min(self.ahead.service_us));
                }
                (0..HALVES).for_each(|half| self.reader.hurry(ticket(slot, half)));
            }
            return Stage::Reading;
        }
        if std::mem::take(&mut fill.unused) {
            self.stats.ahead.used += 1;
            if !fill.recalled {
                self.ahead.governor.spared(self.ahead.service_us);
            }
        }
        self.slots.set(slot, SlotState::Pinned(key));
        Stage::Reading
    }

    /// Some expert of the visit has not been taken whole.
    fn is_open(&self) -> bool {
        self.wants.iter().any(|(_, stage)| *stage != Stage::Taken)
    }

    /// Appends what the caller has not had yet; says whether there was something.
    fn hand_over(&mut self, out: &mut Vec<ReadyExpert>) -> bool {
        let before = out.len();
        for (expert, stage) in &mut self.wants {
            if !matches!(stage, Stage::Reading | Stage::HalfTaken) {
                continue;
            }
            let key = ExpertKey::new(self.layer, *expert);
            let slot = self.slots.place(key).expect("an expert that is read has a slot");
            let complete = self.slots.state(slot) == SlotState::Pinned(key);
            let gate_up = *stage == Stage::Reading;
            if complete || (gate_up && self.fills[slot.index()].first_half_checked()) {
                *stage = if complete { Stage::Taken } else { Stage::HalfTaken };
                out.push(ReadyExpert { expert: *expert, gate_up, down: complete });
            }
        }
        out.len() > before
    }

    /// Starts as many reads as there are slots and room in the engine: the visit's, then those ahead.
    fn start_reads(&mut self) {
        for i in 0..self.wants.len() {
            let (expert, stage) = self.wants[i];
            if stage != Stage::Absent {
                continue;
            }
            if self.failure.is_some() || !self.make_room() {
                return;
            }
            let Some(slot) = self.victim(self.layer, Urgency::Demand) else { return };
            self.wants[i].1 = Stage::Reading;
            self.begin(ExpertKey::new(self.layer, expert), slot, Urgency::Demand);
        }
        self.start_admissions();
        if !self.by_decisions {
            self.start_ahead();
        }
        self.start_recalled();
    }

    fn start_admissions(&mut self) {
        while self.failure.is_none() && self.make_room() {
            let Some(&key) = self.admitted.first() else { return };
            if self.slots.place(key).is_none() {
                let slot = self.victim(key.layer, Urgency::Ahead);
                if slot.is_none() && !self.by_decisions {
                    return;
                }
                if let Some(slot) = slot.filter(|&slot| self.deserves(key, slot)) {
                    self.filling_ahead += 1;
                    self.stats.admitted += 1;
                    self.begin(key, slot, Urgency::Ahead);
                }
            }
            self.admitted.remove(0);
        }
    }

    /// The expert is worth more than what would have to leave the slot.
    fn deserves(&self, key: ExpertKey, slot: SlotId) -> bool {
        let worth = |key| self.evict.retention(key);
        self.replaceable(slot).is_none_or(|old| worth(old) < worth(key))
    }

    /// The expert that may have to leave the slot: a ready one, or, where the speed of the disk must not tell
    /// these apart, one read ahead.
    fn replaceable(&self, slot: SlotId) -> Option<ExpertKey> {
        match self.slots.state(slot) {
            SlotState::Ready(key) => Some(key),
            SlotState::Filling(key) if self.by_decisions && self.fills[slot.index()].ahead => Some(key),
            _ => None,
        }
    }

    /// The engine takes the reads of one more expert.
    fn has_room(&self) -> bool {
        self.reader.in_flight() + HALVES <= self.reader.capacity()
    }

    /// The same; where what is held must not depend on the speed of the disk, waits until there is room.
    fn make_room(&mut self) -> bool {
        while self.by_decisions && !self.has_room() {
            self.wait_for_one();
        }
        self.has_room()
    }

    /// Tells the eviction policy of a use; gives the expert's slot, if it has one.
    fn note_use(&mut self, key: ExpertKey) -> Option<SlotId> {
        self.evict.used(key, self.now);
        self.slots.place(key)
    }

    /// Asks what the experts of a layer are worth, now that it is visited: those of its visit before are worth
    /// less to some policies.
    fn weigh(&mut self, layer: LayerId) {
        let experts = (0..self.wanted.len() as u16).map(|expert| ExpertKey::new(layer, ExpertId(expert)));
        for key in experts {
            if let Some(slot) = self.slots.place(key) {
                self.worth[slot.index()] = self.evict.retention(key);
            }
        }
    }

    /// The slot to overwrite next: a free one, else the ready one worth least; what is expected, and last
    /// what this visit wants, only for a demand that finds nothing else. `None` when there is none.
    ///
    /// A search through all slots, some thousands, several times a layer: it goes through one table, and looks
    /// at a slot only if that is worth less than the best found.
    fn victim(&mut self, layer: LayerId, urgency: Urgency) -> Option<SlotId> {
        let free = self.slots.free(layer);
        if free.is_some() {
            return free;
        }
        let range = self.slots.range(layer);
        if !self.evict.is_steady() {
            self.ask_for_worth(range.clone());
        }
        // By protection: of no account, expected, wanted.
        let mut best: [Option<(Retention, usize)>; 3] = [None; 3];
        let mut busy = false;
        for (slot, &worth) in range.clone().zip(&self.worth[range]) {
            if best[0].is_some_and(|(least, _)| least <= worth) {
                continue;
            }
            let Some(key) = self.replaceable(SlotId(slot as u32)) else {
                busy = true;
                continue;
            };
            let best = &mut best[self.protection(key)];
            if best.is_none_or(|(least, _)| worth < least) {
                *best = Some((worth, slot));
            }
        }
        let [unprotected, expected, wanted] = best;
        // Which of the visit's experts is done with first is the disk's to say: all are waited for.
        let wanted = wanted.filter(|_| !(self.by_decisions && busy));
        let found = match urgency {
            Urgency::Demand => unprotected.or(expected).or(wanted),
            Urgency::Ahead => unprotected,
        };
        found.map(|(_, slot)| SlotId(slot as u32))
    }

    fn ask_for_worth(&mut self, slots: Range<usize>) {
        for slot in slots {
            if let Some(key) = self.replaceable(SlotId(slot as u32)) {
                self.worth[slot] = self.evict.retention(key);
            }
        }
    }

    /// 0: may leave; 1: expected by a later layer; 2: wanted by this visit.
    fn protection(&self, key: ExpertKey) -> usize {
        if self.is_wanted(key) { 2 } else { usize::from(self.ahead.expects(key)) }
    }

    /// Gives a slot to an expert and starts reading it.
    fn begin(&mut self, key: ExpertKey, slot: SlotId, urgency: Urgency) {
        debug_assert!(self.slots.place(key).is_none(), "an expert has one slot");
        self.vacate(slot);
        let fill = &mut self.fills[slot.index()];
        if fill.unused {
            self.stats.ahead.wasted += 1;
            if !fill.recalled {
                self.ahead.governor.wasted(self.ahead.service_us);
            }
        }
        *fill = Fill::begin(urgency == Urgency::Ahead);
        self.worth[slot.index()] = self.evict.retention(key);
        self.slots.set(slot, SlotState::Filling(key));
        self.arena.divide(slot, self.source.layout(key).split);
        self.submit(key, slot);
    }

    /// Submits the reads of both halves.
    fn submit(&mut self, key: ExpertKey, slot: SlotId) {
        let layout = self.source.layout(key);
        let checks = layout.checks(key);
        let fill = &mut self.fills[slot.index()];
        let urgency = if fill.ahead { Urgency::Ahead } else { Urgency::Demand };
        for half in 0..HALVES {
            if half == 1 && !layout.has_second_half() {
                continue;
            }
            fill.outstanding += 1;
            self.reader.submit(ReadRequest {
                ticket: ticket(slot, half),
                urgency,
                target: self.arena.lend(slot, half),
                runs: layout.runs[half],
                checks: checks[half],
                decided: fill.decided,
            });
        }
    }

    fn wait_for_one(&mut self) {
        let start = Instant::now();
        let done = self.reader.complete(true);
        self.stats.stall += start.elapsed();
        if let Some(done) = done {
            self.settle(done);
        }
    }

    /// A half came back: its bytes are checked, and with the last one the expert is ready, or its read is
    /// tried once more, or it has failed.
    fn settle(&mut self, done: Completion) {
        let (slot, half) = (SlotId(done.ticket / HALVES as u32), done.ticket as usize % HALVES);
        let SlotState::Filling(key) = self.slots.state(slot) else {
            unreachable!("reads go into slots that are being filled")
        };
        self.arena.take_back(slot, half, done.target);
        let verdict = match done.result {
            Ok(found) => self.check(key, slot, half, found),
            Err(error) => Err(PagerError::Read {
                key,
                path: self.paths[error.file.index()].clone(),
                offset: error.offset,
                source: error.source,
            }),
        };
        let fill = &mut self.fills[slot.index()];
        fill.arrived(half, verdict);
        if fill.outstanding > 0 {
            return;
        }
        match fill.error.take().map_or_else(|| self.check_down(key, slot), Err) {
            Ok(()) => self.complete(key, slot, done.elapsed),
            Err(error) => self.retry_or_fail(key, slot, error),
        }
    }

    /// Checks gate and up when their half arrives; down when both halves have ([`Pager::check_down`]).
    fn check(
        &mut self,
        key: ExpertKey,
        slot: SlotId,
        half: usize,
        found: [u32; PARTS],
    ) -> Result<(), PagerError> {
        let fill = &mut self.fills[slot.index()];
        if half == 1 {
            fill.down_tail = found[0];
            return Ok(());
        }
        fill.down_head = found[2];
        self.source.check(key, 0, &found[..2]).map_err(|part| self.checksum_error(key, part))
    }

    fn check_down(&mut self, key: ExpertKey, slot: SlotId) -> Result<(), PagerError> {
        let fill = &self.fills[slot.index()];
        let down = self.source.layout(key).join_down(fill.down_head, fill.down_tail);
        self.source.check(key, 2, &[down]).map_err(|part| self.checksum_error(key, part))
    }

    fn is_wanted(&self, key: ExpertKey) -> bool {
        key.layer == self.layer && self.wanted[key.expert.index()]
    }

    fn complete(&mut self, key: ExpertKey, slot: SlotId, elapsed: std::time::Duration) {
        self.stats.swap_ins += 1;
        self.stats.bytes_read += self.source.bytes(key);
        self.ahead.arrived(Instant::now(), self.reader.in_flight() > 0);
        let fill = &mut self.fills[slot.index()];
        fill.unused = std::mem::take(&mut fill.ahead);
        if fill.unused {
            self.filling_ahead -= 1;
            self.slots.set(slot, SlotState::Ready(key));
        } else {
            self.stats.time_to_expert.record(elapsed);
            let wanted = self.is_wanted(key);
            self.slots.set(slot, if wanted { SlotState::Pinned(key) } else { SlotState::Ready(key) });
        }
    }

    /// A read that somebody waits for is repeated once: a flipped bit on the way from the disk does not
    /// end a request. A read ahead is given up: whoever wants the expert will ask again.
    fn retry_or_fail(&mut self, key: ExpertKey, slot: SlotId, error: PagerError) {
        let fill = &mut self.fills[slot.index()];
        let ahead = std::mem::take(&mut fill.ahead);
        self.filling_ahead -= usize::from(ahead);
        if !ahead && !fill.repeated && self.failure.is_none() && self.is_wanted(key) {
            self.stats.retries += 1;
            self.fills[slot.index()].repeat();
            self.submit(key, slot);
            return;
        }
        self.slots.set(slot, SlotState::Free);
        if !ahead && self.is_wanted(key) {
            self.failure.get_or_insert(error);
        }
    }

    fn checksum_error(&self, key: ExpertKey, part: usize) -> PagerError {
        let file = self.source.layout(key).runs[0][0].file;
        PagerError::Checksum { key, part: PART_NAMES[part], path: self.paths[file.index()].clone() }
    }

    /// Ends the visit: waits for its reads, unpins its experts, forgets its failure.
    fn close(&mut self) {
        for i in 0..self.wants.len() {
            let key = ExpertKey::new(self.layer, self.wants[i].0);
            while self.slots.place(key).is_some_and(|slot| self.slots.state(slot) == SlotState::Filling(key))
            {
                match self.reader.complete(true) {
                    Some(done) => self.settle(done),
                    None => unreachable!("a slot is being filled by a read in flight"),
                }
            }
        }
        for i in 0..self.wants.len() {
            let expert = self.wants[i].0;
            self.release([expert]);
            self.wanted[expert.index()] = false;
        }
        self.wants.clear();
        self.failure = None;
    }
}

fn ticket(slot: SlotId, half: usize) -> u32 {
    slot.0 * HALVES as u32 + half as u32
}
