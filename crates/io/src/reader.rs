//! A reader as the pager sees it: requests in, completions out. Which of the two ways reads, it decides when
//! opening.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;

use hotset_base::limits::MAX_READS_IN_FLIGHT;
use rustix::fd::OwnedFd;

use crate::faults::{FaultPlan, Faults};
use crate::queue::Desk;
use crate::shared::Shared;
use crate::{BufferRange, Completion, ReadFile, ReadRequest, ReadTarget, pread, uring};

/// What carries out reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReaderKind {
    /// io_uring where the kernel allows it, else positioned reads.
    #[default]
    Auto,
    /// io_uring, or an error.
    Uring,
    /// A pool of threads with positioned reads: works everywhere.
    Pread,
}

impl fmt::Display for ReaderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Uring => "io_uring",
            Self::Pread => "pread",
        })
    }
}

impl FromStr for ReaderKind {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Auto, Self::Uring, Self::Pread]
            .into_iter()
            .find(|kind| kind.to_string() == name)
            .ok_or_else(|| format!("`{name}` is not auto, io_uring or pread"))
    }
}

/// How to read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// What carries them out.
    pub kind: ReaderKind,
    /// Past the page cache where the file system allows it.
    pub direct: bool,
    /// Reads given to the kernel at once.
    pub depth: usize,
    /// Leave what was read through the page cache in it (it then counts against nobody's promise).
    pub keep_page_cache: bool,
    /// What goes wrong, and how slow the disk is (tests, research).
    pub faults: Option<FaultPlan>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { kind: ReaderKind::Auto, direct: true, depth: 8, keep_page_cache: false, faults: None }
    }
}

/// A running reader.
pub struct Reader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    in_flight: usize,
    name: String,
    /// Wakes a thread that sleeps in the kernel rather than at the desk.
    bell: Option<Arc<OwnedFd>>,
}

impl Reader {
    /// Starts reading from `files` (indexed by `FileId`). `buffers` is the memory that requests will
    /// point into, for those that can be told beforehand.
    ///
    /// # Errors
    /// What the system says when threads cannot be started, or `io_uring` was asked for by name and
    /// is refused.
    pub fn open(files: Vec<ReadFile>, buffers: &[BufferRange], options: &ReadOptions) -> io::Result<Self> {
        let depth = options.depth.clamp(1, MAX_READS_IN_FLIGHT);
        let all_direct = files.iter().all(|file| file.direct.is_some());
        let shared = Arc::new(Shared {
            desk: Desk::new(),
            files,
            faults: options.faults.clone().map(Faults::new),
            keep_page_cache: options.keep_page_cache,
            depth,
        });
        let ring = match options.kind {
            ReaderKind::Pread => None,
            ReaderKind::Uring => Some(uring::Ring::open(depth, buffers)?),
            ReaderKind::Auto => uring::Ring::open(depth, buffers).ok(),
        };
        let (threads, bell, way) = match ring {
            Some(ring) => {
                let (way, bell) = (ring.name(), ring.bell());
                (vec![uring::start(Arc::clone(&shared), ring)?], Some(bell), way)
            }
            None => (pread::start(&shared)?, None, "pread"),
        };
        let past = if all_direct { "direct" } else { "through the page cache" };
        Ok(Self { shared, threads, in_flight: 0, name: format!("{way}, {past}"), bell })
    }

    /// What it became, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many requests it takes at once, queued or started.
    pub fn capacity(&self) -> usize {
        MAX_READS_IN_FLIGHT
    }

    /// Requests submitted and not completed.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Starts a read. Never blocks on the disk.
    ///
    /// # Panics
    /// If [`Reader::capacity`] requests are in flight.
    pub fn submit(&mut self, request: ReadRequest) {
        assert!(self.in_flight < self.capacity(), "the pager keeps to the reader's capacity");
        self.in_flight += 1;
        self.shared.desk.put(request);
        self.ring_bell();
    }

    /// Somebody waits for a prefetch now.
    pub fn hurry(&mut self, ticket: u32) {
        self.shared.desk.hurry(ticket);
    }

    /// Gives up prefetches, all of them or, if one has started, none; says which. Gives their memory to
    /// `back` with their tickets.
    pub fn cancel(&mut self, tickets: &[u32], mut back: impl FnMut(u32, ReadTarget)) -> bool {
        let in_flight = &mut self.in_flight;
        self.shared.desk.cancel(tickets, |request| {
            *in_flight -= 1;
            back(request.ticket, request.target);
        })
    }

    /// A finished read, if there is one; with `wait`, blocks until there is. `None` when nothing is
    /// in flight.
    pub fn complete(&mut self, wait: bool) -> Option<Completion> {
        if self.in_flight == 0 {
            return None;
        }
        let completion = self.shared.desk.collect(wait)?;
        self.in_flight -= 1;
        Some(completion)
    }

    fn ring_bell(&self) {
        // Threads may have taken the ring's place.
        self.shared.desk.work.notify_one();
        if let Some(bell) = &self.bell {
            // The counter of an eventfd is never full: every write adds 1 and reads empty it.
            let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.desk.lock().closing = true;
        self.shared.desk.work.notify_all();
        self.ring_bell();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to give back.
            let _ = thread.join();
        }
    }
}
