//! One process that tries inputs, one after the other, and says what became of each. It may die of any of them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotset_testkit::Random;
use peak_alloc::PeakAlloc;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::target::{Bounds, Entry, Target, Used, Verdict, Workshop};

/// Address space of a worker: what no sound reader comes near, and what a shared machine can spare.
const ADDRESS_SPACE: u64 = 8 << 30;
/// How much longer than its processor time an input may take on a machine that is shared.
pub const PATIENCE: u32 = 3;

/// Characters of a refusal that are told.
const SHORT: usize = 300;

/// What a worker says of an input, a line each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Said {
    /// Of the input.
    pub number: u64,
    /// How the reader refused it, if it did, cut short.
    pub refusal: Option<String>,
    /// What was wrong, if anything was.
    pub failure: Option<String>,
    /// Processor time.
    pub cpu: Duration,
    /// Memory at the peak, in bytes.
    pub peak: u64,
}

/// Which inputs, and where they go.
#[derive(Clone, Debug)]
pub struct Task {
    /// Of the campaign.
    pub seed: u64,
    /// Numbers of inputs.
    pub numbers: std::ops::Range<u64>,
    /// A directory of the worker's own.
    pub dir: PathBuf,
    /// The `hotset` command.
    pub hotset: PathBuf,
}

/// Where a worker has its present input.
pub fn place(dir: &Path) -> PathBuf {
    dir.join("input")
}

/// Tries inputs and tells `said` of each, up to the first that does harm: its files stay.
///
/// # Errors
/// If inputs cannot be made or `said` fails.
pub fn work(entry: &Entry, task: &Task, said: &mut dyn FnMut(Said) -> io::Result<()>) -> io::Result<()> {
    let sound = task.dir.join("sound");
    fs::create_dir_all(&sound)?;
    let mut target = (entry.make)(&Workshop { sound, hotset: task.hotset.clone() })?;
    let place = place(&task.dir);
    for number in task.numbers.clone() {
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::create_dir(&place)?;
        target.prepare(&mut random(entry.name, task.seed, number), &place)?;
        let attempt = attempt(target.as_mut(), number, &place);
        let harm = attempt.failure.is_some();
        said(attempt)?;
        if harm {
            break;
        }
    }
    Ok(())
}

/// The same with a line for each on standard output, as the campaign's child.
///
/// # Errors
/// As [`work`].
pub fn work_aloud(entry: &Entry, task: &Task) -> io::Result<()> {
    hotset_engine::end_with_parent();
    let limit = Rlimit { current: Some(ADDRESS_SPACE), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit)?;
    let mut out = io::stdout().lock();
    work(entry, task, &mut |said| {
        serde_json::to_writer(&mut out, &said)?;
        out.write_all(b"\n")?;
        out.flush()
    })
}

/// The random numbers of one input.
fn random(name: &str, seed: u64, number: u64) -> Random {
    let target = u64::from(crc32c::crc32c(name.as_bytes()));
    let mut of_seed = Random::new(seed ^ target << 32);
    Random::new(of_seed.bits() ^ Random::new(number).bits())
}

fn attempt(target: &mut dyn Target, number: u64, place: &Path) -> Said {
    let bytes = length(place);
    let before = PeakAlloc.current_usage();
    PeakAlloc.reset_peak_usage();
    let (start, cpu) = (Instant::now(), processor_time());
    let outcome = target.run(place);
    let (felt, cpu) = (start.elapsed(), processor_time().saturating_sub(cpu));
    let peak = PeakAlloc.peak_usage().saturating_sub(before) as u64;
    let here = Used { cpu, peak };
    let (refusal, failure, used) = match outcome {
        Ok(outcome) => {
            let used = outcome.used.unwrap_or(here);
            let refusal = match outcome.verdict {
                Verdict::Accepted => None,
                Verdict::Refused(text) => Some(text.chars().take(SHORT).collect()),
            };
            (refusal, excess(target.bounds(), used, felt, bytes), used)
        }
        Err(failure) => (None, Some(failure), here),
    };
    Said { number, refusal, failure, cpu: used.cpu, peak: used.peak }
}

/// What went over its bounds.
fn excess(bounds: Bounds, used: Used, felt: Duration, bytes: u64) -> Option<String> {
    let memory = bounds.memory + bounds.per_byte * bytes;
    match used {
        _ if used.cpu > bounds.time => Some(format!("{:.1?} of processor time", used.cpu)),
        _ if felt > bounds.time * PATIENCE => Some(format!("{felt:.1?}")),
        _ if used.peak > memory => {
            Some(format!("{} bytes of memory for {bytes}, {memory} at most", used.peak))
        }
        _ => None,
    }
}

/// Bytes of all files.
fn length(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => length(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
