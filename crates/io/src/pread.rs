//! Positioned reads on a small pool of threads: works everywhere, the slow twin of every faster engine.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;

use hotset_base::limits::MAX_READS_IN_FLIGHT;
use rustix::fs::{Advice, fadvise};

use crate::{Completion, MAX_PARTS, ReadEngine, ReadError, ReadRequest};

/// Reads with `pread`, several at a time.
pub struct PreadPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    in_flight: usize,
}

struct Shared {
    files: Vec<Arc<File>>,
    keep_page_cache: bool,
    queues: Mutex<Queues>,
    work: Condvar,
    done: Condvar,
}

/// Both queues are sized for the depth when the pool starts and never grow.
struct Queues {
    requests: VecDeque<ReadRequest>,
    completions: VecDeque<Completion>,
    closing: bool,
}

impl PreadPool {
    /// Starts `threads` threads reading from `files` (indexed by `FileId`).
    ///
    /// Unless `keep_page_cache`, the kernel is asked to drop the pages of every finished read: an
    /// expert lives in the arena or on disk, and the page cache it causes counts against the
    /// memory promise.
    pub fn new(files: Vec<Arc<File>>, threads: usize, keep_page_cache: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            files,
            keep_page_cache,
            queues: Mutex::new(Queues {
                requests: VecDeque::with_capacity(MAX_READS_IN_FLIGHT),
                completions: VecDeque::with_capacity(MAX_READS_IN_FLIGHT),
                closing: false,
            }),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let mut pool = Self { shared, threads: Vec::new(), in_flight: 0 };
        let (started, starts) = mpsc::channel();
        for i in 0..threads.clamp(1, MAX_READS_IN_FLIGHT) {
            let (shared, started) = (Arc::clone(&pool.shared), started.clone());
            let thread = std::thread::Builder::new().name(format!("read-{i}")).spawn(move || {
                // Nobody listens only if the constructor has failed already.
                let _ = started.send(());
                shared.serve();
            })?;
            pool.threads.push(thread);
        }
        // A thread allocates when it first runs: that must not be in the middle of decoding.
        starts.iter().take(pool.threads.len()).for_each(|()| {});
        Ok(pool)
    }
}

impl ReadEngine for PreadPool {
    fn name(&self) -> &'static str {
        "pread"
    }

    fn depth(&self) -> usize {
        MAX_READS_IN_FLIGHT
    }

    fn submit(&mut self, request: ReadRequest) {
        assert!(self.in_flight < self.depth(), "the pager keeps to the engine's depth");
        self.in_flight += 1;
        self.shared.lock().requests.push_back(request);
        self.shared.work.notify_one();
    }

    fn complete(&mut self, wait: bool) -> Option<Completion> {
        if self.in_flight == 0 {
            return None;
        }
        let mut queues = self.shared.lock();
        while wait && queues.completions.is_empty() {
            queues = self.shared.done.wait(queues).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        let completion = queues.completions.pop_front()?;
        self.in_flight -= 1;
        Some(completion)
    }
}

impl Drop for PreadPool {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to give back.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // The queues are consistent between any two statements, so a poisoned lock is still good.
        self.queues.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// One thread's life: take a request, read it, hand it back.
    fn serve(&self) {
        while let Some(request) = self.next_request() {
            let completion = self.carry_out(request);
            self.lock().completions.push_back(completion);
            self.done.notify_one();
        }
    }

    fn next_request(&self) -> Option<ReadRequest> {
        let mut queues = self.lock();
        loop {
            if queues.closing {
                return None;
            }
            if let Some(request) = queues.requests.pop_front() {
                return Some(request);
            }
            queues = self.work.wait(queues).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn carry_out(&self, mut request: ReadRequest) -> Completion {
        let result = self.read_runs(&mut request).map(|()| checksums(&mut request));
        Completion {
            ticket: request.ticket,
            elapsed: request.decided.elapsed(),
            target: request.target,
            result,
        }
    }

    fn read_runs(&self, request: &mut ReadRequest) -> Result<(), ReadError> {
        for run in request.runs.iter().filter(|run| run.bytes > 0) {
            let file = &self.files[run.file.index()];
            let memory = &mut request.target.as_mut_slice()[run.at..run.at + run.bytes];
            read_full(file, memory, run.offset).map_err(|source| ReadError {
                file: run.file,
                offset: run.offset,
                source,
            })?;
            if !self.keep_page_cache {
                // Advice: a file system that does not know it costs memory, not correctness.
                let _ = fadvise(&**file, run.offset, NonZeroU64::new(run.bytes as u64), Advice::DontNeed);
            }
        }
        Ok(())
    }
}

/// Reads until the memory is full; a short read is continued where it stopped.
fn read_full(file: &File, mut memory: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !memory.is_empty() {
        match file.read_at(memory, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                memory = &mut memory[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn checksums(request: &mut ReadRequest) -> [u32; MAX_PARTS] {
    let memory = request.target.as_mut_slice();
    request.parts.map(|part| crc32c::crc32c_append(part.seed, &memory[part.at..part.at + part.bytes]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Part, ReadTarget, Run};
    use hotset_base::FileId;
    use std::io::Write;
    use std::time::Instant;

    const BYTES: usize = 10_000;

    fn target() -> ReadTarget {
        let mut memory = Box::new([0u8; BYTES]);
        let start = memory.as_mut_ptr();
        // SAFETY: the box is the owner, is moved into it, and nothing else uses its memory.
        unsafe { ReadTarget::new(start, BYTES, Arc::new(memory)) }
    }

    fn request(ticket: u32, offset: u64, bytes: usize) -> ReadRequest {
        let run = Run { file: FileId(0), offset, at: 0, bytes };
        let part = Part { at: 0, bytes, seed: 7 };
        let none = Run { bytes: 0, ..run };
        ReadRequest {
            ticket,
            target: target(),
            runs: [run, none, none],
            parts: [part; 3],
            decided: Instant::now(),
        }
    }

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    #[test]
    fn every_read_comes_back_whole_and_checksummed() {
        let content: Vec<u8> = (0..BYTES * 4).map(|i| (i * 31 % 251) as u8).collect();
        let mut pool = PreadPool::new(vec![file(&content)], 3, false).unwrap();
        for i in 0..MAX_READS_IN_FLIGHT {
            pool.submit(request(i as u32, (i * 100) as u64, BYTES));
        }
        let mut seen = [false; MAX_READS_IN_FLIGHT];
        while let Some(mut done) = pool.complete(true) {
            let start = done.ticket as usize * 100;
            let wanted = &content[start..start + BYTES];
            assert_eq!(done.target.as_mut_slice(), wanted);
            assert_eq!(done.result.unwrap()[0], crc32c::crc32c_append(7, wanted));
            seen[done.ticket as usize] = true;
        }
        assert!(seen.iter().all(|&seen| seen));
    }

    #[test]
    fn a_file_that_ends_early_is_an_error_that_says_where() {
        let mut pool = PreadPool::new(vec![file(&[1; 100])], 1, true).unwrap();
        pool.submit(request(0, 90, 20));
        let error = pool.complete(true).unwrap().result.unwrap_err();
        assert_eq!((error.offset, error.source.kind()), (90, io::ErrorKind::UnexpectedEof));
        assert!(pool.complete(true).is_none());
    }

    #[test]
    fn a_pool_can_be_dropped_with_reads_in_flight() {
        let mut pool = PreadPool::new(vec![file(&[1; BYTES])], 2, true).unwrap();
        (0..MAX_READS_IN_FLIGHT).for_each(|i| pool.submit(request(i as u32, 0, BYTES)));
        drop(pool);
    }
}
