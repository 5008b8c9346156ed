//! The files of a model, opened a second time past the page cache where the file system allows it.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Advice, Mode, OFlags, fadvise};

/// Alignment of direct reads, in the file and in memory: what every block device of today accepts.
pub const ALIGN: usize = 4096;

/// One file of a model.
#[derive(Clone)]
pub struct ReadFile {
    /// Reads through the page cache.
    pub buffered: Arc<File>,
    /// Reads past it (O_DIRECT).
    pub direct: Option<Arc<File>>,
}

impl ReadFile {
    /// Reads through the page cache only.
    pub fn buffered(file: Arc<File>) -> Self {
        Self { buffered: file, direct: None }
    }

    /// Past the page cache if the file system can: it must accept the flag and a first read.
    pub fn direct_if_possible(file: Arc<File>) -> Self {
        let direct = open_direct(&file).ok().map(Arc::new);
        Self { buffered: file, direct }
    }

    pub(crate) fn get(&self, direct: bool) -> &File {
        match &self.direct {
            Some(file) if direct => file,
            _ => &self.buffered,
        }
    }

    /// Asks the kernel to forget what a buffered read left behind: an expert lives in the arena or on
    /// disk, and the page cache it causes counts against the memory promise.
    pub(crate) fn forget(&self, offset: u64, bytes: usize) {
        // Advice: a file system that does not know it costs memory, not correctness.
        let _ = fadvise(&*self.buffered, offset, NonZeroU64::new(bytes as u64), Advice::DontNeed);
    }
}

/// Opens the very same file again, whatever its name leads to by now.
fn open_direct(file: &File) -> io::Result<File> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    let direct = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut memory = vec![0; 2 * ALIGN];
    let start = memory.as_ptr().align_offset(ALIGN);
    direct.read_at(&mut memory[start..start + ALIGN], 0)?;
    Ok(direct)
}
