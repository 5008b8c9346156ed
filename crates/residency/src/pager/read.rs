//! Reads into slots, from their start to a checked expert or an error.

use std::time::{Duration, Instant};

use hotset_base::ExpertKey;
use hotset_io::{Completion, ReadRequest, Urgency};

use super::visit::Stage;
use super::{HALVES, Pager, ticket};
use crate::PagerError;
use crate::fill::Fill;
use crate::slots::{SlotId, SlotState};
use crate::source::PARTS;

const PART_NAMES: [&str; PARTS] = ["gate", "up", "down"];

impl Pager {
    /// Takes note of reads that have finished: what they brought is hot from now on.
    pub fn poll(&mut self) {
        while let Some(done) = self.reader.complete(false) {
            self.settle(done);
        }
    }

    /// Starts as many reads as there are slots and room in the engine: the visit's, then prefetches.
    pub(super) fn start_reads(&mut self) {
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
            self.stats.demanded += 1;
            self.begin(ExpertKey::new(self.layer, expert), slot, Urgency::Demand);
        }
        self.start_admissions();
        if !self.by_decisions() {
            self.start_prefetches();
        }
        self.start_preloads();
    }

    /// The engine takes the reads of one more expert.
    pub(super) fn has_room(&self) -> bool {
        self.reader.in_flight() + HALVES <= self.reader.capacity()
    }

    /// The same; where what is held must not depend on the speed of the disk, waits until there is room.
    pub(super) fn make_room(&mut self) -> bool {
        while self.by_decisions() && !self.has_room() {
            self.wait_for_one();
        }
        self.has_room()
    }

    /// Gives a slot to an expert and starts reading it.
    pub(super) fn begin(&mut self, key: ExpertKey, slot: SlotId, urgency: Urgency) {
        debug_assert!(self.slots.place(key).is_none(), "an expert has one slot");
        self.vacate(slot);
        let fill = &mut self.fills[slot.index()];
        if fill.unused {
            self.stats.prefetch.wasted += 1;
            if fill.predicted {
                self.prefetch.governor.wasted(self.prefetch.service_us);
            }
        }
        *fill = Fill::begin(urgency == Urgency::Prefetch);
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
        let urgency = if fill.prefetch { Urgency::Prefetch } else { Urgency::Demand };
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

    /// Waits until a read in flight has finished: the one place where compute waits for reads, which is
    /// stall.
    pub(super) fn wait_for_one(&mut self) {
        let start = Instant::now();
        let done = self.reader.complete(true).expect("who waits has a read in flight");
        self.stats.stall += start.elapsed();
        self.settle(done);
    }

    /// A half came back: its bytes are checked, and with the last one the expert is ready, or its read is
    /// tried once more, or it has failed.
    pub(super) fn settle(&mut self, done: Completion) {
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
        let tail_bytes = self.source.layout(key).down_tail_bytes();
        let down = self.joins.join(fill.down_head, fill.down_tail, tail_bytes);
        self.source.check(key, 2, &[down]).map_err(|part| self.checksum_error(key, part))
    }

    fn complete(&mut self, key: ExpertKey, slot: SlotId, elapsed: Duration) {
        self.stats.swap_ins += 1;
        self.stats.bytes_read += self.source.bytes(key);
        self.prefetch.arrived(Instant::now(), self.reader.in_flight() > 0);
        let fill = &mut self.fills[slot.index()];
        fill.unused = std::mem::take(&mut fill.prefetch);
        if fill.unused {
            self.prefetching -= 1;
            self.slots.set(slot, SlotState::Ready(key));
        } else {
            self.stats.time_to_expert.record(elapsed);
            let wanted = self.is_wanted(key);
            self.slots.set(slot, if wanted { SlotState::Pinned(key) } else { SlotState::Ready(key) });
        }
    }

    /// A read that somebody waits for is repeated once: a flipped bit on the way from the disk does not
    /// end a request. A prefetch is given up: whoever wants the expert will ask again.
    fn retry_or_fail(&mut self, key: ExpertKey, slot: SlotId, error: PagerError) {
        let fill = &mut self.fills[slot.index()];
        let prefetch = std::mem::take(&mut fill.prefetch);
        self.prefetching -= usize::from(prefetch);
        if !prefetch && !fill.repeated && self.failure.is_none() && self.is_wanted(key) {
            self.stats.retries += 1;
            self.fills[slot.index()].repeat();
            self.submit(key, slot);
            return;
        }
        self.slots.set(slot, SlotState::Free);
        if !prefetch && self.is_wanted(key) {
            self.failure.get_or_insert(error);
        }
    }

    fn checksum_error(&self, key: ExpertKey, part: usize) -> PagerError {
        let file = self.source.layout(key).runs[0][0].file;
        PagerError::Checksum { key, part: PART_NAMES[part], path: self.paths[file.index()].clone() }
    }
}
