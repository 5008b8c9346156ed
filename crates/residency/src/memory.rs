//! Anonymous memory in large pages, for what stays: weights and the arena.

use std::ffi::c_void;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use hotset_base::Bytes;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// A large page: mappings are multiples of it, so that the kernel can use such pages throughout.
const LARGE_PAGE: usize = 2 << 20;

/// What one thread populates at a time.
const PIECE: usize = 32 << 20;

/// An anonymous mapping, zero until written. Never part of the page cache.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory; who may touch which range is its owner's bookkeeping.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps at least `bytes` bytes; pages are taken when they are first written.
    pub fn new(bytes: usize) -> io::Result<Self> {
        // Zero bytes cannot be mapped.
        let bytes = bytes.max(1);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address the kernel chooses aliases nothing.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        if bytes >= 4 * LARGE_PAGE {
            // SAFETY: the range was just mapped; the advice changes the size of pages, not what they hold.
            // A kernel without large pages refuses it, which costs speed only.
            let _ = unsafe { madvise(start, bytes, Advice::LinuxHugepage) };
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, bytes })
    }

    /// Takes all pages now, on all cores: what is planned is then really there, and no read or token pays
    /// for it later. `progress` is told the bytes as they come.
    pub fn populate(&self, progress: &mut dyn FnMut(Bytes)) -> io::Result<()> {
        let next = AtomicUsize::new(0);
        let take = || next.fetch_add(PIECE, Ordering::Relaxed);
        let populate = |at: usize| {
            let bytes = PIECE.min(self.bytes - at);
            // SAFETY: the piece lies inside the mapping; the advice takes pages and changes no byte.
            let done = unsafe { madvise(self.start().add(at).cast(), bytes, Advice::LinuxPopulateWrite) };
            match done {
                // Kernels before 5.14 do not know the advice: pages come one by one later.
                Err(Errno::INVAL) => Ok(bytes),
                done => done.map(|()| bytes).map_err(io::Error::from),
            }
        };
        let help = || {
            loop {
                let at = take();
                if at >= self.bytes || populate(at).is_err() {
                    return;
                }
            }
        };
        let helpers = std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
        std::thread::scope(|scope| {
            // One that the system refuses leaves more to the others.
            (0..helpers).for_each(|_| drop(std::thread::Builder::new().spawn_scoped(scope, help)));
            let mut seen = 0;
            loop {
                let at = take();
                if at >= self.bytes {
                    return Ok(());
                }
                populate(at)?;
                progress(Bytes((at + PIECE).min(self.bytes).saturating_sub(seen) as u64));
                seen = (at + PIECE).max(seen);
            }
        })
    }

    /// The first byte.
    pub fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that was mapped; every user holds us or an `Arc` around us.
        // A failure to unmap leaves the memory where it is, which harms nobody.
        let _ = unsafe { munmap(self.start().cast::<c_void>(), self.bytes) };
    }
}

/// A block of such memory with one owner: where dense weights and the KV cache live.
pub struct Block {
    mapping: Mapping,
    bytes: usize,
}

impl Block {
    /// `bytes` zero bytes.
    pub fn new(bytes: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::new(bytes)?, bytes })
    }

    /// Takes all its memory now, not when it is written.
    pub fn populate(&self) -> io::Result<()> {
        self.mapping.populate(&mut |_| ())
    }
}

impl Deref for Block {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is valid for `bytes`, initialised (anonymous pages are zero), and borrowed
        // as we are.
        unsafe { std::slice::from_raw_parts(self.mapping.start(), self.bytes) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.start(), self.bytes) }
    }
}
