//! A file that appears under its name complete or not at all.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::StoreError;

/// Where such a file is, and where it is made: found once, for files that are replaced again and again.
#[derive(Debug)]
pub struct PartialPaths {
    target: PathBuf,
    partial: PathBuf,
}

impl PartialPaths {
    /// For a file that will be `target`.
    pub fn new(target: &Path) -> Arc<Self> {
        let mut name = target.as_os_str().to_owned();
        name.push(".partial");
        Arc::new(Self { target: target.to_owned(), partial: PathBuf::from(name) })
    }

    /// Creates `TARGET.partial` of the given length, all zero, and locks it.
    ///
    /// # Errors
    /// If the system refuses, or another program is writing it.
    pub fn create(self: &Arc<Self>, bytes: u64) -> Result<PartialFile, StoreError> {
        let io = |action| move |source| StoreError::Io { path: self.partial.clone(), action, source };
        let options = File::options().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(&self.partial).map_err(io("create"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: self.partial.clone() }),
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        file.set_len(0).map_err(io("empty"))?;
        file.set_len(bytes).map_err(io("size"))?;
        Ok(PartialFile { paths: Arc::clone(self), file, finished: false })
    }
}

/// `TARGET.partial`, locked, until [`PartialFile::commit`] renames it; dropped before, it is removed.
pub struct PartialFile {
    paths: Arc<PartialPaths>,
    file: File,
    finished: bool,
}

impl PartialFile {
    /// Creates `TARGET.partial` of the given length, all zero, and locks it.
    ///
    /// # Errors
    /// If the system refuses, or another program is writing it.
    pub fn create(target: &Path, bytes: u64) -> Result<Self, StoreError> {
        PartialPaths::new(target).create(bytes)
    }

    /// Writes at an offset; several threads may.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        self.file.write_all_at(bytes, offset).map_err(self.io("write"))
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(self.io("sync"))
    }

    /// Makes everything durable and gives the file its name.
    pub fn commit(mut self) -> Result<(), StoreError> {
        self.sync()?;
        fs::rename(&self.paths.partial, &self.paths.target).map_err(self.io("rename"))?;
        self.finished = true;
        let parent = match self.paths.target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(self.io("sync the directory of"))
    }

    fn io(&self, action: &'static str) -> impl Fn(std::io::Error) -> StoreError + '_ {
        move |source| StoreError::Io { path: self.paths.partial.clone(), action, source }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing can be done about a failure here; what remains has no header and does not open.
            let _ = fs::remove_file(&self.paths.partial);
        }
    }
}
