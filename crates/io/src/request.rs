//! What is asked of a reader, and what comes back.

use std::io;
use std::time::{Duration, Instant};

use hotset_base::FileId;

use crate::ReadTarget;

/// Runs of one request. What is read together lies in at most two places of its files.
pub const MAX_RUNS: usize = 2;
/// Ranges of one request that are checksummed apart.
pub const MAX_CHECKS: usize = 3;

/// A run of consecutive bytes of a file that goes to a run of consecutive bytes of the target.
///
/// `offset`, `bytes` and the memory at `at` are multiples of [`crate::ALIGN`], as direct reads want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which file.
    pub file: FileId,
    /// Position in it.
    pub offset: u64,
    /// Position in the target.
    pub at: usize,
    /// Length; 0 for an unused run.
    pub bytes: usize,
    /// How much of it must arrive: the rest may lie past the end of the file.
    pub needed: usize,
}

impl Run {
    /// An unused run.
    pub const NONE: Self = Self { file: FileId(0), offset: 0, at: 0, bytes: 0, needed: 0 };
}

/// A range of the target that has its own checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Position in the target.
    pub at: usize,
    /// Length; 0 gives back the seed.
    pub bytes: usize,
    /// Seed of its CRC-32C.
    pub seed: u32,
}

impl Check {
    /// An unused check.
    pub const NONE: Self = Self { at: 0, bytes: 0, seed: 0 };
}

/// Who waits for a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A token does: it goes before every prefetch that has not started.
    Demand,
    /// Nobody yet.
    Prefetch,
}

/// One read: all of its runs, or an error.
pub struct ReadRequest {
    /// The caller's name for this read; comes back in the completion.
    pub ticket: u32,
    /// Who waits for it.
    pub urgency: Urgency,
    /// Where the bytes go.
    pub target: ReadTarget,
    /// What to read.
    pub runs: [Run; MAX_RUNS],
    /// What to checksum once all runs have arrived.
    pub checks: [Check; MAX_CHECKS],
    /// When the decision to read was made.
    pub decided: Instant,
}

/// Why a read failed.
#[derive(Debug)]
pub struct ReadError {
    /// The file.
    pub file: FileId,
    /// Where in it the failed run starts.
    pub offset: u64,
    /// What the operating system said; `UnexpectedEof` if the file ended first.
    pub source: io::Error,
}

/// A finished read.
pub struct Completion {
    /// From the request.
    pub ticket: u32,
    /// The memory, given back.
    pub target: ReadTarget,
    /// CRC-32C of each checked range, or why the bytes did not arrive. `Ok` vouches that every needed
    /// byte of every run is there: short reads are legal and are continued.
    pub result: Result<[u32; MAX_CHECKS], ReadError>,
    /// From the decision to read until now.
    pub elapsed: Duration,
}

impl Completion {
    /// Ends a request whose runs have all arrived, or failed.
    pub(crate) fn of(mut request: ReadRequest, outcome: Result<(), ReadError>) -> Self {
        let memory = request.target.as_mut_slice();
        let checksum = |c: Check| crc32c::crc32c_append(c.seed, &memory[c.at..c.at + c.bytes]);
        let result = outcome.map(|()| request.checks.map(checksum));
        let elapsed = request.decided.elapsed();
        Self { ticket: request.ticket, target: request.target, result, elapsed }
    }
}
