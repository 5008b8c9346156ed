//! How fast the disk gives random experts of a model: the other half of the floor of a token.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotset_base::Extent;
use hotset_format::{Checkpoint, ExpertParts};
use hotset_io::{
    ALIGN, Check, MAX_CHECKS, ReadFile, ReadOptions, ReadRequest, ReadTarget, Reader, Run, Urgency,
    allocate_targets,
};
use hotset_residency::PARTS;

use crate::machine::{self, CpuTime};

/// Where direct reads may begin and end.
const PAGE: u64 = ALIGN as u64;
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
    engine: Reader,
    depth: usize,
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
    pub fn open(checkpoint: &Checkpoint, options: &ReadOptions) -> io::Result<Self> {
        if !options.keep_page_cache {
            checkpoint.files.iter().for_each(|f| machine::drop_page_cache(&f.file));
        }
        let ranges: Vec<Extent> =
            checkpoint.experts.iter().flat_map(|e| page_ranges(checkpoint, e)).collect();
        let largest = ranges.iter().map(|range| range.bytes.index()).max().unwrap_or(0);
        // As many as the engine gives to the disk at once, so that it never waits for us.
        let depth = options.depth;
        let (mut idle, memory) = allocate_targets(2 * depth, largest);
        // Written, so that they are in memory now and not when reading starts.
        idle.iter_mut().for_each(|target| target.as_mut_slice().fill(1));
        let open = |file| match options.direct {
            true => ReadFile::direct_if_possible(file),
            false => ReadFile::buffered(file),
        };
        let files = checkpoint.files.iter().map(|f| open(Arc::clone(&f.file))).collect();
        let engine = Reader::open(files, &[memory], options)?;
        Ok(Self { engine, depth, ranges, idle, random: 0x9e37_79b9_7f4a_7c15 })
    }

    /// Name of the engine that reads.
    pub fn engine_name(&self) -> &str {
        self.engine.name()
    }

    /// Reads kept in flight.
    pub fn depth(&self) -> usize {
        self.depth
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
        while self.engine.in_flight() > 0 {
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
        let bytes = range.bytes.index();
        let run = Run { file: range.file, offset: range.offset, at: 0, bytes, needed: bytes };
        self.engine.submit(ReadRequest {
            ticket: 0,
            target,
            urgency: Urgency::Demand,
            runs: [run, Run::NONE],
            checks: [Check::NONE; MAX_CHECKS],
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
    let mut ranges: Vec<Extent> = Vec::with_capacity(PARTS);
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
