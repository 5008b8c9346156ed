//! Where each expert's bytes are on disk, and where in a slot they go.

use hotset_base::{Bytes, ExpertKey, Extent, FileId, LayerId};
use hotset_format::{Checkpoint, ExpertParts, store::part_seed};
use hotset_io::{MAX_PARTS, Part, Run};

/// Alignment of the parts of an expert inside its slot: one cache line, as in a store's record.
const LINE: usize = 64;

/// Where gate, up and down lie inside a slot of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertShape {
    /// Position and length of each part.
    pub parts: [(usize, usize); MAX_PARTS],
}

impl ExpertShape {
    fn of(parts: &ExpertParts) -> Self {
        let mut at = 0;
        let parts = parts.in_order().map(|part| {
            let bytes = part.extent.bytes.index();
            let place = (at, bytes);
            at = (at + bytes).next_multiple_of(LINE);
            place
        });
        Self { parts }
    }

    /// Bytes of a slot that holds an expert of this shape.
    pub fn slot_bytes(&self) -> usize {
        let (at, bytes) = self.parts[MAX_PARTS - 1];
        at + bytes
    }
}

/// Every expert's place on disk and the checksums its bytes must have.
pub struct ExpertSource {
    experts_per_layer: usize,
    shapes: Vec<ExpertShape>,
    extents: Vec<[Extent; MAX_PARTS]>,
    /// `None` until known. A store knows all of them; for files without checksums the first complete
    /// read of an expert sets them, and later reads must agree.
    checksums: Vec<Option<[u32; MAX_PARTS]>>,
}

impl ExpertSource {
    /// The experts of a checkpoint. Experts of one layer have one shape (the readers see to it).
    pub fn new(checkpoint: &Checkpoint) -> Self {
        let experts = checkpoint.config.experts;
        let checksum = |e: &ExpertParts| Some([e.gate.crc?, e.up.crc?, e.down.crc?]);
        Self {
            experts_per_layer: experts,
            shapes: checkpoint.experts.chunks(experts).map(|layer| ExpertShape::of(&layer[0])).collect(),
            extents: checkpoint.experts.iter().map(|e| e.in_order().map(|part| part.extent)).collect(),
            checksums: checkpoint.experts.iter().map(checksum).collect(),
        }
    }

    /// Layers of the model.
    pub fn layers(&self) -> usize {
        self.shapes.len()
    }

    /// Experts of each layer.
    pub fn experts_per_layer(&self) -> usize {
        self.experts_per_layer
    }

    /// The shape of the experts of a layer.
    pub fn shape(&self, layer: LayerId) -> &ExpertShape {
        &self.shapes[layer.index()]
    }

    /// Bytes of an expert on disk.
    pub fn bytes(&self, key: ExpertKey) -> Bytes {
        self.extents[key.flat(self.experts_per_layer)].iter().map(|extent| extent.bytes).sum()
    }

    /// The reads that fetch an expert: one where its parts lie in the file as they lie in the slot
    /// (a store's record), else one a part.
    pub(crate) fn runs(&self, key: ExpertKey) -> [Run; MAX_PARTS] {
        let extents = &self.extents[key.flat(self.experts_per_layer)];
        let shape = self.shape(key.layer);
        let run = |i: usize| Run {
            file: extents[i].file,
            offset: extents[i].offset,
            at: shape.parts[i].0,
            bytes: shape.parts[i].1,
        };
        let as_in_slot = (1..MAX_PARTS).all(|i| {
            extents[i].file == extents[0].file
                && extents[i].offset.checked_sub(extents[0].offset) == Some(shape.parts[i].0 as u64)
        });
        if as_in_slot {
            let none = Run { file: FileId(0), offset: 0, at: 0, bytes: 0 };
            return [Run { bytes: shape.slot_bytes(), ..run(0) }, none, none];
        }
        [run(0), run(1), run(2)]
    }

    pub(crate) fn parts(&self, key: ExpertKey) -> [Part; MAX_PARTS] {
        let shape = self.shape(key.layer);
        let part = |i: usize| Part { at: shape.parts[i].0, bytes: shape.parts[i].1, seed: part_seed(key, i) };
        [part(0), part(1), part(2)]
    }

    /// Checks the checksums of a complete read. The number of the first part that does not match is
    /// the error.
    pub(crate) fn check(&mut self, key: ExpertKey, found: [u32; MAX_PARTS]) -> Result<(), usize> {
        let known = self.checksums[key.flat(self.experts_per_layer)].get_or_insert(found);
        match (0..MAX_PARTS).find(|&i| known[i] != found[i]) {
            Some(part) => Err(part),
            None => Ok(()),
        }
    }
}
