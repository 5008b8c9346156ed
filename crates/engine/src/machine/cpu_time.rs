//! Processor time of this process, all threads.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use hotset_base::figures::CpuTotals;

/// Ticks per second of `/proc/self/stat` (USER_HZ): part of Linux's interface, 100 on every processor
/// this project runs on.
const TICKS: u64 = 100;

/// Running totals, in steps of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In the program.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
}

impl CpuTime {
    /// What this process has used so far; zero where the system does not say (not Linux).
    pub fn now() -> Self {
        fs::read_to_string("/proc/self/stat").ok().and_then(|text| parse(&text)).unwrap_or_default()
    }

    /// What has been used since, to compute so many tokens.
    pub fn since(self, tokens: usize) -> CpuTotals {
        let Self { user, system } = Self::now() - self;
        CpuTotals { tokens: tokens as u64, user, system }
    }
}

impl Sub for CpuTime {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Fields 14 and 15 of `pid (name) state ...`; the name may contain anything, also `)`.
fn parse(stat: &str) -> Option<CpuTime> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || Some(Duration::from_millis(fields.next()?.parse::<u64>().ok()? * 1000 / TICKS));
    Some(CpuTime { user: ticks()?, system: ticks()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "42 (a) b (c)) R 1 42 42 0 -1 4194304 900 0 0 0 250 30 0 0 20 0 3 0 1000";
        let time = parse(stat).unwrap();
        assert_eq!((time.user, time.system), (Duration::from_millis(2500), Duration::from_millis(300)));
        assert_eq!(parse("42 (short) R 1"), None);
    }
}
