//! Where each expert's bytes are on disk, and where in a slot they go.
//!
//! A slot is filled in two halves: gate and up, then down. The first half is of use before the second has
//! landed. Reads start and end at multiples of [`ALIGN`] in the file and in memory, as direct reads want
//! it; so a part lies in the slot as far behind such a multiple as it does in the file.
//!
//! ```text
//! a store's record (parts one after the other)      three tensors of a GGUF file
//!
//! |gate......|up.........|do|wn.......|              |..gate....|..up......|..down.....|
//! |<-------- half 0 ------->|<half 1->|              |<------ half 0 ----->|<- half 1->|
//!                     split at a page                 each part in pages of its own
//! ```

use hotset_base::{Bytes, ExpertKey, Extent, LayerId};
use hotset_format::{Checkpoint, ExpertParts, store::part_seed};
use hotset_io::{ALIGN, Check, MAX_RUNS, Run};

use crate::join::Joins;

/// Gate, up, down.
pub const PARTS: usize = 3;
/// Gate and up; down.
pub(crate) const HALVES: usize = 2;

/// How one expert lies in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpertLayout {
    /// Position and length of each part in the slot.
    pub parts: [(usize, usize); PARTS],
    /// Where the second half begins.
    pub split: usize,
    /// Where it ends.
    pub end: usize,
    /// The reads that fill each half; those of the second count from `split`.
    pub runs: [[Run; MAX_RUNS]; HALVES],
}

impl ExpertLayout {
    fn of(extents: &[Extent; PARTS]) -> Self {
        if one_after_the_other(extents) { Self::record(extents) } else { Self::apart(extents) }
    }

    /// Parts that follow each other in the file are read as they lie there.
    fn record(extents: &[Extent; PARTS]) -> Self {
        let start = align_down(extents[0].offset);
        let place = |e: &Extent| ((e.offset - start) as usize, e.bytes.index());
        let parts = [place(&extents[0]), place(&extents[1]), place(&extents[2])];
        let needed = parts[2].0 + parts[2].1;
        let end = needed.next_multiple_of(ALIGN);
        let split = (parts[1].0 + parts[1].1).next_multiple_of(ALIGN).min(end);
        let run = |from: usize, to: usize| Run {
            file: extents[0].file,
            offset: start + from as u64,
            at: 0,
            bytes: to - from,
            needed: needed.min(to).saturating_sub(from),
        };
        Self { parts, split, end, runs: [[run(0, split), Run::NONE], [run(split, end), Run::NONE]] }
    }

    /// Parts that lie apart get pages of their own.
    fn apart(extents: &[Extent; PARTS]) -> Self {
        let mut at = 0;
        let mut parts = [(0, 0); PARTS];
        let mut runs = [Run::NONE; PARTS];
        for (i, extent) in extents.iter().enumerate() {
            let start = align_down(extent.offset);
            let skew = (extent.offset - start) as usize;
            let needed = skew + extent.bytes.index();
            let bytes = needed.next_multiple_of(ALIGN);
            parts[i] = (at + skew, extent.bytes.index());
            runs[i] = Run { file: extent.file, offset: start, at, bytes, needed };
            at += bytes;
        }
        let split = runs[2].at;
        let down = Run { at: 0, ..runs[2] };
        Self { parts, split, end: at, runs: [[runs[0], runs[1]], [down, Run::NONE]] }
    }

    /// What to checksum in each half: gate, up and the head of down; the rest of down.
    pub fn checks(&self, key: ExpertKey) -> [[Check; 3]; HALVES] {
        let part = |i: usize| {
            let (at, bytes) = self.parts[i];
            Check { at, bytes, seed: part_seed(key, i) }
        };
        let (down, in_second) = (part(2), self.down_tail_bytes());
        let head = Check { at: down.at.min(self.split), bytes: down.bytes - in_second, ..down };
        let tail = Check { at: down.at.saturating_sub(self.split), bytes: in_second, seed: 0 };
        [[part(0), part(1), head], [tail, Check::NONE, Check::NONE]]
    }

    /// Bytes of down in the second half.
    pub fn down_tail_bytes(&self) -> usize {
        let (at, bytes) = self.parts[2];
        bytes - bytes.min(self.split.saturating_sub(at))
    }

    /// The second half has bytes of its own.
    pub fn has_second_half(&self) -> bool {
        self.end > self.split
    }
}

fn align_down(offset: u64) -> u64 {
    offset - offset % ALIGN as u64
}

/// In one file, in order, with no gap worth a read of its own.
fn one_after_the_other(extents: &[Extent; PARTS]) -> bool {
    extents.windows(2).all(|pair| {
        let gap = pair[1].offset.checked_sub(pair[0].offset + pair[0].bytes.0);
        pair[0].file == pair[1].file && gap.is_some_and(|gap| gap < ALIGN as u64)
    })
}

/// Every expert's place on disk and the checksums its bytes must have.
pub struct ExpertSource {
    experts_per_layer: usize,
    /// Bytes of a slot for each layer: what its largest expert takes.
    slot_bytes: Vec<usize>,
    extents: Vec<[Extent; PARTS]>,
    /// `None` until known. A store knows all of them; for files without checksums the first complete
    /// read of a part sets its own, and later reads must agree.
    checksums: Vec<[Option<u32>; PARTS]>,
}

impl ExpertSource {
    /// The experts of a checkpoint. Experts of one layer have one size (the readers see to it).
    pub fn new(checkpoint: &Checkpoint) -> Self {
        let experts = checkpoint.config.experts;
        let extents: Vec<_> =
            checkpoint.experts.iter().map(|e| e.in_order().map(|part| part.extent)).collect();
        let slot = |layer: &[[Extent; PARTS]]| layer.iter().map(|e| ExpertLayout::of(e).end).max();
        let checksums = |e: &ExpertParts| e.in_order().map(|part| part.crc);
        Self {
            experts_per_layer: experts,
            slot_bytes: extents.chunks(experts).map(|layer| slot(layer).unwrap_or(0)).collect(),
            extents,
            checksums: checkpoint.experts.iter().map(checksums).collect(),
        }
    }

    /// Layers of the model.
    pub fn layers(&self) -> usize {
        self.slot_bytes.len()
    }

    /// Experts of each layer.
    pub fn experts_per_layer(&self) -> usize {
        self.experts_per_layer
    }

    /// Bytes of a slot that holds any expert of a layer: a multiple of [`ALIGN`].
    pub fn slot_bytes(&self, layer: LayerId) -> usize {
        self.slot_bytes[layer.index()]
    }

    /// Bytes of an expert's weights.
    pub fn bytes(&self, key: ExpertKey) -> Bytes {
        self.extents[key.flat(self.experts_per_layer)].iter().map(|extent| extent.bytes).sum()
    }

    pub(crate) fn layout(&self, key: ExpertKey) -> ExpertLayout {
        ExpertLayout::of(&self.extents[key.flat(self.experts_per_layer)])
    }

    /// What puts the checksums of all downs together from those of their heads and tails.
    pub(crate) fn joins(&self) -> Joins {
        Joins::new(self.extents.iter().map(|e| ExpertLayout::of(e).down_tail_bytes()))
    }

    /// Checks what has been read of an expert from `first` part on. The number of the first part that
    /// does not match is the error.
    pub(crate) fn check(&mut self, key: ExpertKey, first: usize, found: &[u32]) -> Result<(), usize> {
        let known = &mut self.checksums[key.flat(self.experts_per_layer)][first..];
        let wrong =
            known.iter_mut().zip(found).position(|(known, found)| known.get_or_insert(*found) != found);
        wrong.map_or(Ok(()), |part| Err(first + part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotset_base::{ExpertId, FileId};

    fn extent(offset: u64, bytes: u64) -> Extent {
        Extent { file: FileId(0), offset, bytes: Bytes(bytes) }
    }

    /// Fills a slot from a file as an engine would, and returns its three parts and their checksums.
    fn read(file: &[u8], extents: &[Extent; PARTS]) -> ([Vec<u8>; PARTS], [u32; PARTS]) {
        let key = ExpertKey::new(LayerId(3), ExpertId(5));
        let layout = ExpertLayout::of(extents);
        let mut slot = vec![0; layout.end];
        let mut sums = [[0; 3]; HALVES];
        for half in 0..HALVES {
            let (first, second) = slot.split_at_mut(layout.split);
            let target = if half == 0 { first } else { second };
            for run in layout.runs[half].iter().filter(|run| run.bytes > 0) {
                assert!(run.offset % ALIGN as u64 == 0 && run.bytes % ALIGN == 0 && run.at % ALIGN == 0);
                let offset = run.offset as usize;
                target[run.at..run.at + run.needed].copy_from_slice(&file[offset..offset + run.needed]);
            }
            sums[half] = layout.checks(key)[half]
                .map(|c| crc32c::crc32c_append(c.seed, &target[c.at..c.at + c.bytes]));
        }
        let tail_bytes = layout.down_tail_bytes();
        let down = Joins::new(std::iter::once(tail_bytes)).join(sums[0][2], sums[1][0], tail_bytes);
        (layout.parts.map(|(at, bytes)| slot[at..at + bytes].to_vec()), [sums[0][0], sums[0][1], down])
    }

    #[test]
    fn parts_and_checksums_come_out_whatever_the_places() {
        let file: Vec<u8> = (0..100_000u64).map(|i| (i * i % 253) as u8).collect();
        let cases = [
            [extent(0, 5000), extent(5056, 5000), extent(10_112, 9000)],
            [extent(4096, 100), extent(4224, 100), extent(4352, 50)],
            [extent(4096 + 77, 8192), extent(4096 + 77 + 8192, 8192), extent(4096 + 77 + 16384, 30_000)],
            [extent(50_001, 4096), extent(10_007, 4096), extent(99_000, 1000)],
            [extent(8192, 4096), extent(12_288, 4096), extent(16_384, 4096)],
        ];
        for extents in cases {
            let (parts, sums) = read(&file, &extents);
            for (i, extent) in extents.iter().enumerate() {
                let wanted = &file[extent.offset as usize..][..extent.bytes.index()];
                assert_eq!(parts[i], wanted, "{extents:?}");
                let seed = part_seed(ExpertKey::new(LayerId(3), ExpertId(5)), i);
                assert_eq!(sums[i], crc32c::crc32c_append(seed, wanted), "part {i} of {extents:?}");
            }
        }
    }
}
