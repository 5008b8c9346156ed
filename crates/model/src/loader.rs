//! Reads tensors on opening: past the page cache, checked, a piece at a time.

use std::sync::Arc;

use hotset_base::Extent;
use hotset_format::{Checkpoint, FormatError};
use hotset_io::{PageReader, ReadFile};

/// Bytes of one read.
const PIECE: usize = 4 << 20;

/// The files of a checkpoint, each opened when it is first needed.
pub(crate) struct Loader<'a> {
    pub checkpoint: &'a Checkpoint,
    readers: Vec<Option<PageReader>>,
}

impl<'a> Loader<'a> {
    pub fn new(checkpoint: &'a Checkpoint) -> Self {
        Self { checkpoint, readers: checkpoint.files.iter().map(|_| None).collect() }
    }

    /// Fills `out`, which has the extent's length.
    pub fn read(&mut self, extent: &Extent, out: &mut [u8]) -> Result<(), FormatError> {
        let file = self.checkpoint.file(extent.file);
        let reader = self.readers[extent.file.index()].get_or_insert_with(|| {
            PageReader::new(ReadFile::direct_if_possible(Arc::clone(&file.file)), PIECE)
        });
        reader.read_into(extent.offset, out).map_err(|source| file.read_error(extent, source))
    }
}
