//! What the threads that read share, and what both ways of reading do alike.

use std::os::unix::fs::FileExt;

use crate::faults::Faults;
use crate::progress::Progress;
use crate::queue::Desk;
use crate::{ReadError, ReadFile};

/// What the reading threads share.
pub(crate) struct Shared {
    pub desk: Desk,
    pub files: Vec<ReadFile>,
    pub faults: Option<Faults>,
    pub keep_page_cache: bool,
    pub depth: usize,
}

impl Shared {
    /// Reads what is missing of a run.
    pub(crate) fn read_run(&self, progress: &mut Progress, memory: &mut [u8]) -> Result<(), ReadError> {
        let run = progress.run;
        let file = &self.files[run.file.index()];
        while !progress.is_complete() {
            let into = &mut memory[progress.range()];
            let mut read = file.get(progress.direct).read_at(into, progress.offset());
            if let Some(faults) = &self.faults {
                read = faults.disturb(read, into);
            }
            let error = |source| ReadError { file: run.file, offset: run.offset, source };
            progress.advance(read).map_err(error)?;
        }
        Ok(())
    }

    /// Leaves no trace in the page cache.
    pub(crate) fn after_run(&self, progress: &Progress) {
        if !progress.direct && !self.keep_page_cache {
            let run = progress.run;
            self.files[run.file.index()].forget(run.offset, run.bytes);
        }
    }
}
