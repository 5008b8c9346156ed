//! Small reads past the page cache, one at a time: rows of a table that stays on disk.

use std::io;
use std::os::unix::fs::FileExt;

use crate::{ALIGN, ReadFile};

/// A file and the memory its reads land in.
pub struct PageReader {
    file: ReadFile,
    /// Aligned memory starts at `start`.
    memory: Vec<u8>,
    start: usize,
}

impl PageReader {
    /// For reads of up to `longest` bytes.
    pub fn new(file: ReadFile, longest: usize) -> Self {
        // A run of bytes touches at most its own length and a page at either end.
        let memory = vec![0; (longest + 2 * ALIGN).next_multiple_of(ALIGN) + ALIGN];
        let start = memory.as_ptr().align_offset(ALIGN);
        Self { file, memory, start }
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
        // Refused, or short: the page cache serves, whatever it costs.
        self.file.buffered.read_exact_at(&mut memory[skew..wanted], offset)?;
        Ok(&memory[skew..wanted])
    }
}
