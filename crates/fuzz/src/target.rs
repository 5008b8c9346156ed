//! What is tried: a reader, the inputs made for it, and what must hold.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotset_testkit::Random;

/// What became of an input that did no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was read to its end.
    Accepted,
    /// It was refused, in these words.
    Refused(String),
}

/// What a process of its own took.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Processor time.
    pub cpu: Duration,
    /// Peak of its resident memory, in bytes.
    pub peak: u64,
}

/// A verdict and, where another process did the work, what that took.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// See [`Verdict`].
    pub verdict: Verdict,
    /// Of that process.
    pub used: Option<Used>,
}

impl Outcome {
    /// Of a reader in this process.
    pub fn here<T>(result: Result<T, String>) -> Self {
        let verdict = result.map_or_else(Verdict::Refused, |_| Verdict::Accepted);
        Self { verdict, used: None }
    }
}

/// Bounds of one input.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Longest processor time; of time as people feel it three times as much, for machines that are shared.
    pub time: Duration,
    /// Memory in bytes, beside `per_byte`.
    pub memory: u64,
    /// Bytes of memory for each byte of the input.
    pub per_byte: u64,
}

impl Default for Bounds {
    /// 10 s; 64 MiB and 16 times the file.
    fn default() -> Self {
        Self { time: Duration::from_secs(10), memory: 64 << 20, per_byte: 16 }
    }
}

/// Longest line of an error. Readers may say more: the command shortens it.
pub const LONGEST_REFUSAL: usize = 4096;

/// A reader under trial.
pub trait Target {
    /// What must hold beside "no panic, no signal".
    fn bounds(&self) -> Bounds {
        Bounds::default()
    }

    /// Makes the input that these random numbers name, as files in the empty directory `place`.
    ///
    /// # Errors
    /// If it cannot be written.
    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()>;

    /// Reads it. Panics, aborts and hangs are found by whoever calls.
    ///
    /// # Errors
    /// A failure: the reader said or did what it must not.
    fn run(&mut self, place: &Path) -> Result<Outcome, String>;
}

/// What targets are made with.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// A directory for the sound files that inputs are made from.
    pub sound: PathBuf,
    /// The `hotset` command, for readers that live in it.
    pub hotset: PathBuf,
}

/// Makes a target.
type Make = fn(&Workshop) -> io::Result<Box<dyn Target>>;

/// A target by its name.
#[derive(Clone, Copy)]
pub struct Entry {
    /// As on the command line.
    pub name: &'static str,
    /// For people.
    pub about: &'static str,
    /// Whether the `hotset` command does the reading.
    pub in_command: bool,
    /// Makes it.
    pub make: Make,
}
