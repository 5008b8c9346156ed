//! Reads past the page cache, one at a time: what is loaded on opening, and rows of a table that stays on
//! disk.

use std::io;
use std::os::unix::fs::FileExt;

use crate::{ALIGN, ReadFile};

/// A file and the memory its reads land in.
pub struct PageReader {
    file: ReadFile,
    /// Aligned memory starts at `start`.
    memory: Vec<u8>,
    start: usize,
    longest: usize,
}

impl PageReader {
    /// For reads of up to `longest` bytes.
    pub fn new(file: ReadFile, longest: usize) -> Self {
        // A run of bytes touches at most its own length and a page at either end.
        let memory = vec![0; Self::planned_bytes(longest)];
        let start = memory.as_ptr().align_offset(ALIGN);
        Self { file, memory, start, longest: longest.max(1) }
    }

    /// Memory that a reader takes.
    pub fn planned_bytes(longest: usize) -> usize {
        (longest + 2 * ALIGN).next_multiple_of(ALIGN) + ALIGN
    }

    /// Reads `bytes` bytes at `offset`. Blocks.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` if the file ends first.
    ///
    /// # Panics
    /// If `bytes` is more than the reader was made for.
    pub fn read(&mut self, offset: u64, bytes: usize) -> io::Result<&[u8]> {
        let skew = (offset % ALIGN as u64) as usize;
        let (first, wanted) = (offset - skew as u64, skew + bytes);
        let memory = &mut self.memory[self.start..][..wanted.next_multiple_of(ALIGN)];
        if let Some(direct) = &self.file.direct
            && direct.read_at(memory, first).is_ok_and(|read| read >= wanted)
        {
            return Ok(&memory[skew..wanted]);
        }
        // Refused, or short: the page cache serves.
        self.file.buffered.read_exact_at(&mut memory[skew..wanted], offset)?;
        self.file.forget(first, wanted);
        Ok(&memory[skew..wanted])
    }

    /// Fills `out` from `offset` on, as much at a time as the reader was made for.
    ///
    /// # Errors
    /// As [`PageReader::read`].
    pub fn read_into(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut at = offset;
        for piece in out.chunks_mut(self.longest) {
            piece.copy_from_slice(self.read(at, piece.len())?);
            at += piece.len() as u64;
        }
        Ok(())
    }
}
