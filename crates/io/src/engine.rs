//! What every read engine does: requests in, completions out, nothing in between is visible.

use std::io;
use std::time::{Duration, Instant};

use hotset_base::FileId;

use crate::ReadTarget;

/// Parts of one request: gate, up, down.
pub const MAX_PARTS: usize = 3;

/// A run of consecutive bytes of a file that goes to a run of consecutive bytes of the target.
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
}

/// A range of the target that has its own checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Position in the target.
    pub at: usize,
    /// Length.
    pub bytes: usize,
    /// Seed of its CRC-32C.
    pub seed: u32,
}

/// One expert to read.
pub struct ReadRequest {
    /// The caller's name for this read; comes back in the completion.
    pub ticket: u32,
    /// Where the bytes go.
    pub target: ReadTarget,
    /// What to read; unused runs have length 0.
    pub runs: [Run; MAX_PARTS],
    /// What to checksum once all runs have arrived.
    pub parts: [Part; MAX_PARTS],
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
    /// CRC-32C of each part, or why the bytes did not arrive.
    pub result: Result<[u32; MAX_PARTS], ReadError>,
    /// From the decision to read until now.
    pub elapsed: Duration,
}

/// Something that carries out reads. At most [`ReadEngine::depth`] requests may be in flight.
///
/// A completion with `Ok` vouches that every byte of every run has arrived: short reads are legal
/// and are continued. Engines retry interrupted calls and nothing else; what to do about an error is
/// the caller's decision.
pub trait ReadEngine: Send {
    /// Name, for people.
    fn name(&self) -> &'static str;

    /// How many requests it takes at once.
    fn depth(&self) -> usize;

    /// Starts a read. Never blocks on the disk.
    fn submit(&mut self, request: ReadRequest);

    /// A finished read, if there is one; with `wait`, blocks until there is. `None` when nothing is
    /// in flight.
    fn complete(&mut self, wait: bool) -> Option<Completion>;
}
