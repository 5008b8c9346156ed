//! A file that appears under its name complete or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::target::{Target, directory};
use crate::{OutputError, PARTIAL_MARK, unfinished};

const MARK: usize = PARTIAL_MARK.len();

/// `TARGET.partial`, locked, until [`PartialFile::commit`] gives it its name; dropped before, it is removed.
///
/// It begins with [`PARTIAL_MARK`] until then: the first bytes of what is written are kept aside, so that
/// what a killed writer leaves is known for what it is.
pub struct PartialFile {
    target: Arc<Target>,
    file: File,
    /// The bytes that stand where the mark is.
    begins: Mutex<[u8; MARK]>,
    /// Where the last byte written ends.
    end: AtomicU64,
    /// Where [`Write`] goes on.
    at: u64,
    finished: bool,
}

impl PartialFile {
    pub(crate) fn new(target: Arc<Target>, file: File) -> Self {
        let begins = Mutex::new([0; MARK]);
        Self { target, file, begins, end: AtomicU64::new(0), at: 0, finished: false }
    }

    pub(crate) fn mark(&self) -> Result<(), OutputError> {
        self.file.write_all_at(&PARTIAL_MARK, 0).map_err(self.target.io("write"))
    }

    /// What it will be.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Gives it a length; what is not written reads as zero.
    pub fn resize(&self, bytes: u64) -> Result<(), OutputError> {
        self.file.set_len(bytes).map_err(self.target.io("size"))?;
        self.end.store(bytes, Ordering::Relaxed);
        self.mark()
    }

    /// Writes at an offset; several threads may.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), OutputError> {
        self.put(bytes, offset).map_err(self.target.io("write"))
    }

    fn put(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let aside = (MARK as u64).saturating_sub(offset).min(bytes.len() as u64) as usize;
        if aside > 0 {
            let mut begins = self.begins.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            begins[offset as usize..offset as usize + aside].copy_from_slice(&bytes[..aside]);
        }
        self.file.write_all_at(&bytes[aside..], offset + aside as u64)?;
        self.end.fetch_max(offset + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> Result<(), OutputError> {
        self.file.sync_all().map_err(self.target.io("sync"))
    }

    /// The file, for advice to the kernel; what is written past [`PartialFile`] breaks its promise.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes everything durable and gives the file its name, if what bears it now may still be replaced.
    ///
    /// # Errors
    /// If the system refuses, or something appeared under the name that must stay.
    pub fn commit(mut self) -> Result<(), OutputError> {
        let begins = *self.begins.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let end = self.end.load(Ordering::Relaxed);
        self.file.set_len(end).map_err(self.target.io("size"))?;
        if let Some(old) = self.target.judge()? {
            // Who may read it stays as it was. Not ours to change on some file systems: then as new files are.
            let _ = self.file.set_permissions(old.permissions());
        }
        self.sync()?;
        // Last: what is killed before this is known to be unfinished, what is killed after it is whole.
        let first = end.min(MARK as u64) as usize;
        self.file.write_all_at(&begins[..first], 0).map_err(self.target.io("write"))?;
        self.sync()?;
        self.rename().map_err(self.target.io("give its name to"))?;
        self.finished = true;
        unfinished::lock().forget(&self.target);
        let directory = File::open(directory(self.target.at()));
        directory.and_then(|it| it.sync_all()).map_err(self.target.io("sync the directory of"))
    }

    fn rename(&self) -> io::Result<()> {
        let (from, to) = (self.target.partial(), self.target.at());
        if self.target.must_be_new() {
            match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
                // A file system that cannot: it was looked at a moment ago.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                result => return Ok(result?),
            }
        }
        fs::rename(from, to)
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing can be done about a failure here; what remains says that it is not finished.
            let _ = fs::remove_file(self.target.partial());
            unfinished::lock().forget(&self.target);
        }
    }
}
