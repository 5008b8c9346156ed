//! What a run is compared with: the floor of a token and the forecast.

use hotset_base::figures::TOKENS_PER_SECOND;
use hotset_engine::{Bound, Floor, Forecast, Locality, OVERLAP, Repetition, Speeds, Spread, TokenBytes};
use serde::Serialize;

use super::report::{Machine, Repeated, Run};

/// Of the median repetition's bytes; each repetition's share is of its own floor, with the disk as it was
/// right before and after it.
#[derive(Serialize)]
pub struct FloorReport {
    pub token_bytes: TokenBytes,
    pub memory_ms: Spread,
    pub disk_ms: Spread,
    pub floor_ms: Spread,
    pub measured_ms: Spread,
    pub bound: Bound,
    pub share: Spread,
}

#[derive(Serialize)]
pub struct ForecastReport {
    pub locality: String,
    pub hit_rate: f64,
    pub tokens_per_second: f64,
    /// The same formula with the bytes that had to be read.
    pub tokens_per_second_at_measured_reads: f64,
    pub overlap: f64,
    /// The overlap with which the formula would give the measured speed with what was read.
    pub overlap_reached: Option<f64>,
    /// Measured / forecast.
    pub measured_ratio: f64,
}

impl FloorReport {
    pub fn new(token: TokenBytes, repetitions: &[Repetition], machine: &Machine) -> Self {
        let floors: Vec<(Floor, f64)> = repetitions
            .iter()
            .zip(machine.disk.windows(2))
            .map(|(r, around)| {
                let read = r.decode.pager.needed_bytes() / r.decode.tokens.max(1) as f64;
                let disk = (around[0].rate + around[1].rate) / 2.0;
                let floor = Floor::new(token.total().0 as f64, machine.memory.best, read, disk);
                (floor, r.decode.time.as_secs_f64() / r.decode.tokens.max(1) as f64)
            })
            .collect();
        let spread = |f: &dyn Fn(&Floor, f64) -> f64| {
            Spread::of(floors.iter().map(|(x, time)| f(x, *time))).unwrap_or_default()
        };
        let (memory_ms, disk_ms) = (spread(&|f, _| f.memory * 1e3), spread(&|f, _| f.disk * 1e3));
        Self {
            token_bytes: token,
            bound: Floor { memory: memory_ms.median, disk: disk_ms.median }.bound(),
            memory_ms,
            disk_ms,
            floor_ms: spread(&|f, _| f.seconds() * 1e3),
            measured_ms: spread(&|_, time| time * 1e3),
            share: spread(&|f, time| if time > 0.0 { f.seconds() / time } else { 0.0 }),
        }
    }
}

impl ForecastReport {
    pub fn new(
        token: &TokenBytes,
        run: &Run,
        decode: &Repeated,
        machine: &Machine,
        locality: &Locality,
    ) -> Self {
        let hit_rate = locality.hit_rate(run.plan.arena.slots() as f64 / run.plan.experts as f64);
        let speeds = Speeds {
            memory: machine.memory.best,
            disk: machine.disk_rate(),
            read_cpu: machine.read_cpu(),
            threads: run.plan.threads,
            compute: Some(machine.compute.token().as_secs_f64()),
        };
        let forecast = Forecast::new(token, hit_rate, speeds, OVERLAP).tokens_per_second();
        // What had to be read: an expert prefetched in time is a hit of the token and a read of the disk.
        let needed = Spread::of(
            run.repetitions.iter().map(|r| r.decode.pager.needed_bytes() / r.decode.tokens.max(1) as f64),
        );
        let resident = 1.0 - needed.unwrap_or_default().median / token.experts.0.max(1) as f64;
        let informed = Forecast::new(token, resident, speeds, OVERLAP);
        let measured = decode.spread(&TOKENS_PER_SECOND).unwrap_or_default().median;
        Self {
            locality: locality.source().to_owned(),
            hit_rate,
            tokens_per_second: forecast,
            tokens_per_second_at_measured_reads: informed.tokens_per_second(),
            overlap: OVERLAP,
            overlap_reached: informed.overlap_reached(1.0 / measured),
            measured_ratio: measured / forecast,
        }
    }
}
