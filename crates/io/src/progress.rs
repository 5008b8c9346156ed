//! How far a run has come: the arithmetic of short reads, the same for every engine.

use std::io;

use crate::{ALIGN, ReadFile, Run};

/// A run being read.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    pub run: Run,
    done: usize,
    /// Read past the page cache. Given up for the rest of a run that the file system refuses to
    /// continue so.
    pub direct: bool,
}

impl Progress {
    pub fn new(run: Run, file: &ReadFile) -> Self {
        Self { run, done: 0, direct: file.direct.is_some() }
    }

    pub fn is_complete(&self) -> bool {
        self.done >= self.run.needed
    }

    /// Position in the file of the next read.
    pub fn offset(&self) -> u64 {
        self.run.offset + self.done as u64
    }

    /// Range of the target that the next read fills.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.run.at + self.done..self.run.at + self.run.bytes
    }

    /// Accounts for what one read returned. An error ends the run.
    pub fn advance(&mut self, read: io::Result<usize>) -> io::Result<()> {
        match read {
            Ok(0) if self.direct => self.direct = false,
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.arrived(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A file system may accept the flag at open and refuse a read.
            Err(error) if self.direct && error.kind() == io::ErrorKind::InvalidInput => self.direct = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn arrived(&mut self, read: usize) {
        let before = self.done;
        self.done += read;
        if self.direct && !self.is_complete() {
            // Direct reads continue at a multiple of the alignment; where that is no progress at all,
            // the rest comes through the page cache.
            self.done -= self.done % ALIGN;
            self.direct = self.done > before;
            self.done = self.done.max(before);
        }
    }
}
