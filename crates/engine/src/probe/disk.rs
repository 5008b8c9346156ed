//! How fast the disk gives random experts of a model: the other half of the floor of a token.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotset_base::{Extent, FileId};
use hotset_format::{Checkpoint, ExpertParts};
use hotset_io::{MAX_PARTS, Part, PreadPool, ReadEngine, ReadRequest, ReadTarget, Run};
use hotset_residency::PagerOptions;

use crate::machine::{self, CpuTime};

/// Reads kept in flight: what a token of most models asks for at a time. Deeper queues only wait
/// longer on the disks measured so far.
const DEPTH: usize = 8;
/// Where direct reads may begin and end.
const PAGE: u64 = 4096;
/// Parts of an expert that lie this close are one read, as for the pager.
const GAP: u64 = 64;

/// What reading gives and what it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiskSpeed {
    /// Bytes per second.
    pub rate: f64,
    /// Seconds of processor time per byte, all threads together: copying and checking.
    pub cpu: f64,
}

/// A read engine of its own on the model's files. Its memory is taken when it is opened, so that a
/// plan made afterwards counts it.
pub struct DiskProbe {
    engine: Box<dyn ReadEngine>,
    ranges: Vec<Extent>,
    idle: Vec<ReadTarget>,
    random: u64,
}

impl DiskProbe {
    /// Opens an engine with the pager's settings, and drops from the page cache what others have left
    /// there of the model: it would be taken for a fast disk, and be charged to whoever read it.
    ///
    /// # Errors
    /// What the system says when threads cannot be started.
    pub fn open(checkpoint: &Checkpoint, options: PagerOptions) -> io::Result<Self> {
        if !options.keep_page_cache {
            checkpoint.files.iter().for_each(|f| machine::drop_page_cache(&f.file));
        }
        let files = checkpoint.files.iter().map(|f| Arc::clone(&f.file)).collect();
        let engine: Box<dyn ReadEngine> =
            Box::new(PreadPool::new(files, options.read_threads, options.keep_page_cache)?);
        let ranges: Vec<Extent> =
            checkpoint.experts.iter().flat_map(|e| page_ranges(checkpoint, e)).collect();
        let largest = ranges.iter().map(|range| range.bytes.index()).max().unwrap_or(0);
        let mut idle: Vec<ReadTarget> =
            (0..DEPTH.min(engine.depth())).map(|_| ReadTarget::allocate(largest)).collect();
        // Written, so that they are in memory now and not when reading starts.
        idle.iter_mut().for_each(|target| target.as_mut_slice().fill(1));
        Ok(Self { engine, ranges, idle, random: 0x9e37_79b9_7f4a_7c15 })
    }

    /// Name of the engine that reads.
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }

    /// Reads kept in flight.
    pub fn depth(&self) -> usize {
        self.idle.len()
    }

    /// Reads random experts for about `time`; zeros if the model's experts are smaller than a page.
    ///
    /// # Errors
    /// What the system said about the first read that failed.
    pub fn measure(&mut self, time: Duration) -> io::Result<DiskSpeed> {
        if self.ranges.is_empty() {
            return Ok(DiskSpeed::default());
        }
        let (start, cpu, mut bytes, mut failure) = (Instant::now(), CpuTime::now(), 0u64, None);
        while start.elapsed() < time && failure.is_none() {
            while let Some(target) = self.idle.pop() {
                bytes += self.submit(target);
            }
            failure = self.collect();
        }
        while self.idle.len() < DEPTH.min(self.engine.depth()) {
            failure = self.collect().or(failure);
        }
        match failure {
            Some(error) => Err(error),
            None => {
                let cpu = CpuTime::now() - cpu;
                let rate = bytes as f64 / start.elapsed().as_secs_f64();
                Ok(DiskSpeed { rate, cpu: (cpu.user + cpu.system).as_secs_f64() / bytes.max(1) as f64 })
            }
        }
    }

    fn submit(&mut self, target: ReadTarget) -> u64 {
        let pick = self.next_random() as usize % self.ranges.len();
        let range = self.ranges[pick];
        let none = Run { file: FileId(0), offset: 0, at: 0, bytes: 0 };
        let run = Run { file: range.file, offset: range.offset, at: 0, bytes: range.bytes.index() };
        self.engine.submit(ReadRequest {
            ticket: 0,
            target,
            runs: [run, none, none],
            parts: [Part { at: 0, bytes: 0, seed: 0 }; MAX_PARTS],
            decided: Instant::now(),
        });
        range.bytes.0
    }

    /// Waits for one read.
    fn collect(&mut self) -> Option<io::Error> {
        let done = self.engine.complete(true)?;
        self.idle.push(done.target);
        done.result.err().map(|error| error.source)
    }

    /// xorshift64 (Marsaglia 2003): any spread over the file will do.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 16
    }
}

/// The reads of an expert, cut outward to whole pages that lie inside the file.
fn page_ranges(checkpoint: &Checkpoint, expert: &ExpertParts) -> Vec<Extent> {
    let mut ranges: Vec<Extent> = Vec::with_capacity(MAX_PARTS);
    for part in expert.in_order().map(|part| part.extent) {
        match ranges.last_mut() {
            Some(last)
                if last.file == part.file && (0..=GAP).contains(&part.offset.wrapping_sub(last.end())) =>
            {
                last.bytes.0 = part.end() - last.offset;
            }
            _ => ranges.push(part),
        }
    }
    ranges.retain_mut(|range| {
        let whole = checkpoint.file(range.file).bytes.0 / PAGE * PAGE;
        let end = range.end().next_multiple_of(PAGE).min(whole);
        range.offset = range.offset / PAGE * PAGE;
        range.bytes.0 = end.saturating_sub(range.offset);
        range.bytes.0 > 0
    });
    ranges
}
