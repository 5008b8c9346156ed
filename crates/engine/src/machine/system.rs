//! Settings of the system that reading and memory depend on.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use hotset_base::Bytes;
use rustix::fs::{Advice, OFlags, fadvise};
use rustix::mm::MlockAllFlags;
use rustix::process::{Signal, set_parent_process_death_signal};

/// Whether files there can be read past the page cache: tries to open one so.
///
/// # Errors
/// What the system says where they cannot (EINVAL: the file system does not offer it).
pub fn direct_reads(file: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).custom_flags(OFlags::DIRECT.bits() as i32).open(file).map(drop)
}

/// Asks the kernel to forget a file's pages. Pages that somebody has mapped or written stay.
pub fn drop_page_cache(file: &File) {
    // Advice: where it is not followed, measurements of the disk are too good; nothing breaks.
    let _ = fadvise(file, 0, None, Advice::DontNeed);
}

/// Keeps everything this process maps from now on in RAM.
///
/// # Errors
/// What the system says: usually that the limit on locked memory is too low.
pub(crate) fn lock_memory() -> io::Result<()> {
    Ok(rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?)
}

/// Ends this process when its parent ends.
pub fn end_with_parent() {
    // Where the kernel cannot do it, a process whose parent was killed runs to its end.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
}

/// What mmap and buffered reads of this file read ahead, by its disk's own setting. `None` where its
/// file system has no disk of its own.
pub fn read_ahead(file: &Path) -> Option<Bytes> {
    let device = fs::metadata(file).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let disk = format!("/sys/dev/block/{major}:{minor}");
    // A partition has its disk's queue one level up.
    let kib = ["queue/read_ahead_kb", "../queue/read_ahead_kb"]
        .iter()
        .find_map(|file| fs::read_to_string(Path::new(&disk).join(file)).ok())?;
    Some(Bytes(kib.trim().parse::<u64>().ok()? << 10))
}

/// Most memory the process may lock: `None` where the system does not say, `Some(None)` without limit.
pub fn locked_memory_limit() -> Option<Option<Bytes>> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?, "Max locked memory")
}

/// The soft limit of a line `NAME   SOFT   HARD   UNITS`; the inner `None` is "unlimited".
fn soft_limit(limits: &str, name: &str) -> Option<Option<Bytes>> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(None),
        number => Some(Some(Bytes(number.parse().ok()?))),
    }
}

/// When the kernel uses large pages for plain memory: `always`, `madvise` or `never`.
pub fn huge_pages() -> Option<String> {
    chosen(&fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok()?)
}

/// The word in brackets: `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_choices_are_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max locked memory         8388608              unlimited            bytes\n\
                      Max address space         unlimited            unlimited            bytes\n";
        assert_eq!(soft_limit(limits, "Max locked memory"), Some(Some(Bytes(8 << 20))));
        assert_eq!(soft_limit(limits, "Max address space"), Some(None));
        assert_eq!(soft_limit(limits, "Max file locks"), None);
        assert_eq!(chosen("always [madvise] never\n").as_deref(), Some("madvise"));
        assert_eq!(chosen("always"), None);
    }
}
