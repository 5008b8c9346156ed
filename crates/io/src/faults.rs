//! A disk that misbehaves, from a seed: for tests, and for measuring what a slower disk would give.
//!
//! Faults are put between the kernel's answer and the thread that takes it, so that both ways of reading meet
//! the same. A slow disk is a thread that sleeps: the only one of a ring, one of several with positioned
//! reads.

use std::io;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hotset_base::Bytes;

/// What goes wrong, per read of the kernel. Rates are in thousandths.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultPlan {
    /// Where the faults fall.
    pub seed: u64,
    /// Reads that return less than was asked for.
    pub short_per_mille: u64,
    /// Reads that fail with EIO.
    pub error_per_mille: u64,
    /// Reads interrupted by a signal.
    pub interrupted_per_mille: u64,
    /// Reads one bit of which is wrong.
    pub corrupt_per_mille: u64,
    /// Reads that take [`FaultPlan::SPIKE`] longer.
    pub slow_per_mille: u64,
    /// The n-th read (from 1) and all later ones fail with EIO.
    pub dead_from: Option<u64>,
    /// The disk gives no more than this a second.
    pub bytes_per_second: Option<Bytes>,
}

impl FaultPlan {
    /// How much longer a slow read takes.
    pub const SPIKE: Duration = Duration::from_millis(20);
}

impl FromStr for FaultPlan {
    type Err = String;

    /// `seed=7,short=50,error=1,interrupted=5,corrupt=1,slow=2,dead-from=900,rate=1GB`
    fn from_str(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for field in text.split(',').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let number = || value.parse().map_err(|_| format!("`{field}`: `{value}` is not a number"));
            match name {
                "seed" => plan.seed = number()?,
                "short" => plan.short_per_mille = number()?,
                "error" => plan.error_per_mille = number()?,
                "interrupted" => plan.interrupted_per_mille = number()?,
                "corrupt" => plan.corrupt_per_mille = number()?,
                "slow" => plan.slow_per_mille = number()?,
                "dead-from" => plan.dead_from = Some(number()?),
                "rate" => {
                    let rate: Bytes = value.parse().map_err(|error| format!("`{field}`: {error}"))?;
                    plan.bytes_per_second = Some(rate);
                }
                _ => {
                    return Err(format!(
                        "`{name}` is none of seed, short, error, interrupted, corrupt, slow, dead-from, rate"
                    ));
                }
            }
        }
        match plan.bytes_per_second {
            Some(Bytes(0)) => Err("a rate of 0 would read nothing".to_owned()),
            _ => Ok(plan),
        }
    }
}

/// The plan at work.
pub(crate) struct Faults {
    plan: FaultPlan,
    reads: AtomicU64,
    /// When the throttled disk is free again.
    free_at: Mutex<Instant>,
}

impl Faults {
    pub fn new(plan: FaultPlan) -> Self {
        Self { plan, reads: AtomicU64::new(0), free_at: Mutex::new(Instant::now()) }
    }

    /// What the engine is told instead of the kernel's answer to one read into `memory`.
    pub fn disturb(&self, read: io::Result<usize>, memory: &mut [u8]) -> io::Result<usize> {
        let n = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        let plan = &self.plan;
        let draw = |kind: u64, per_mille: u64| mix(plan.seed ^ mix(n ^ (kind << 56))) % 1000 < per_mille;
        self.wait_for_disk(read.as_ref().copied().unwrap_or(0));
        if draw(1, plan.slow_per_mille) {
            std::thread::sleep(FaultPlan::SPIKE);
        }
        if plan.dead_from.is_some_and(|first| n >= first) || draw(2, plan.error_per_mille) {
            return Err(rustix::io::Errno::IO.into());
        }
        if draw(3, plan.interrupted_per_mille) {
            return Err(rustix::io::Errno::INTR.into());
        }
        let mut read = read?;
        let place = mix(plan.seed.wrapping_add(n)) as usize;
        if read > 1 && draw(4, plan.short_per_mille) {
            read = 1 + place % (read - 1);
        }
        if read > 0 && draw(5, plan.corrupt_per_mille) {
            memory[place % read] ^= 1 << (n % 8);
        }
        Ok(read)
    }

    fn wait_for_disk(&self, read: usize) {
        let Some(rate) = self.plan.bytes_per_second else { return };
        let busy = Duration::from_secs_f64(read as f64 / rate.0 as f64);
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            *free_at = (*free_at).max(Instant::now()) + busy;
            *free_at
        };
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
