//! What a benchmark found: the JSON object, from which table and CSV are made.

use std::path::PathBuf;

use hotset_base::Bytes;
use hotset_base::figures::{FIGURES, Figure, Totals};
use hotset_engine::{
    ComputeSpeed, ControlGroup, DiskSpeed, GIGA, Locality, MemoryBandwidth, Plan, Repetition, Spread,
    TokenBytes, Workload, percentile,
};
use hotset_format::Checkpoint;
use serde::{Serialize, Serializer};

use super::expected::{FloorReport, ForecastReport};

/// What was run and what it did.
pub struct Run {
    pub path: PathBuf,
    pub prompt_source: String,
    pub workload: Workload,
    pub read_engine: String,
    pub plan: Plan,
    pub peak: Option<Bytes>,
    pub group: Option<GroupReport>,
    pub repetitions: Vec<Repetition>,
}

/// What was measured of the machine.
pub struct Machine {
    pub memory: MemoryBandwidth,
    pub compute: ComputeSpeed,
    /// Before the first repetition and after each.
    pub disk: Vec<DiskSpeed>,
    pub disk_depth: usize,
}

/// The whole report. Spreads are over repetitions, times in milliseconds unless they say otherwise.
#[derive(Serialize)]
pub struct Report {
    pub model: ModelReport,
    pub settings: Settings,
    pub prefill: Option<Repeated>,
    pub decode: Option<Repeated>,
    pub latency_ms: Option<Latency>,
    pub planned_memory_bytes: Bytes,
    pub peak_memory_bytes: Option<Bytes>,
    pub control_group: Option<GroupReport>,
    pub machine: MachineReport,
    pub floor: Option<FloorReport>,
    pub forecast: Option<ForecastReport>,
}

#[derive(Serialize)]
pub struct ModelReport {
    pub name: String,
    #[serde(serialize_with = "crate::output::json_path")]
    pub path: PathBuf,
    pub file_bytes: Bytes,
}

#[derive(Serialize)]
pub struct Settings {
    pub prompt_tokens: usize,
    pub prompt_source: String,
    pub warmup_tokens: usize,
    pub predicted_tokens: usize,
    pub repetitions: usize,
    pub threads: usize,
    pub chunk: usize,
    pub context: usize,
    pub sessions: usize,
    pub slots: usize,
    pub experts: usize,
    pub read_engine: String,
}

/// Figures of the prompts or of the tokens that count, one set for every repetition.
pub struct Repeated(Vec<Totals>);

#[derive(Serialize)]
pub struct Latency {
    /// Tokens of all repetitions together.
    pub tokens: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Serialize)]
pub struct GroupReport {
    pub version: &'static str,
    pub limit_bytes: Option<Bytes>,
    pub peak_bytes: Option<Bytes>,
    pub limit_hits: u64,
}

#[derive(Serialize)]
pub struct MachineReport {
    pub memory_gbps: f64,
    pub memory_gbps_median: f64,
    pub memory_buffer_bytes: Bytes,
    pub disk_gbps: Vec<f64>,
    pub disk_depth: usize,
    pub read_cpu_ms_per_mib: f64,
    pub compute_ms: f64,
    pub compute_experts_ms: f64,
}

impl Report {
    pub fn new(checkpoint: &Checkpoint, run: Run, machine: Machine, locality: &Locality) -> Self {
        let counts = |tokens: usize, figures| (tokens > 0).then_some(figures);
        let prefill = Repeated(run.repetitions.iter().map(|repetition| repetition.prefill).collect());
        let decode = Repeated(run.repetitions.iter().map(|repetition| repetition.decode).collect());
        let decodes = run.workload.predict > 0;
        let token = TokenBytes::of(checkpoint);
        Self {
            model: ModelReport {
                name: checkpoint.config.name.clone(),
                path: run.path.clone(),
                file_bytes: checkpoint.files.iter().map(|file| file.bytes).sum(),
            },
            settings: Settings::of(&run),
            floor: decodes.then(|| FloorReport::new(token, &run.repetitions, &machine)),
            forecast: decodes.then(|| ForecastReport::new(&token, &run, &decode, &machine, locality)),
            prefill: counts(run.workload.prompt, prefill),
            decode: counts(run.workload.predict, decode),
            latency_ms: Latency::of(&run.repetitions),
            machine: MachineReport::of(&machine),
            planned_memory_bytes: run.plan.total(),
            peak_memory_bytes: run.peak,
            control_group: run.group,
        }
    }
}

impl Settings {
    fn of(run: &Run) -> Self {
        Self {
            prompt_tokens: run.workload.prompt,
            prompt_source: run.prompt_source.clone(),
            warmup_tokens: run.workload.warmup,
            predicted_tokens: run.workload.predict,
            repetitions: run.repetitions.len(),
            threads: run.plan.threads,
            chunk: run.plan.chunk,
            context: run.plan.context,
            sessions: run.plan.sessions,
            slots: run.plan.arena.slots(),
            experts: run.plan.experts,
            read_engine: run.read_engine.clone(),
        }
    }
}

impl Repeated {
    /// A figure's spread over the repetitions of which it says something.
    pub fn spread(&self, figure: &Figure) -> Option<Spread> {
        Spread::of(self.0.iter().filter_map(|totals| totals.get(figure)))
    }
}

impl Serialize for Repeated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(FIGURES.iter().map(|figure| (figure.name, self.spread(figure))))
    }
}

impl Latency {
    fn of(repetitions: &[Repetition]) -> Option<Self> {
        let mut ms: Vec<f64> =
            repetitions.iter().flat_map(|r| &r.latencies).map(|time| time.as_secs_f64() * 1e3).collect();
        ms.sort_by(f64::total_cmp);
        let at = |percent| percentile(&ms, percent);
        Some(Self {
            tokens: ms.len(),
            p50: at(50.0)?,
            p95: at(95.0)?,
            p99: at(99.0)?,
            p999: at(99.9)?,
            max: at(100.0)?,
        })
    }
}

impl GroupReport {
    pub fn new(group: &ControlGroup, limit: Option<Bytes>) -> Self {
        Self {
            version: group.version(),
            limit_bytes: limit,
            peak_bytes: group.peak(),
            limit_hits: group.limit_hits(),
        }
    }
}

impl Machine {
    /// Median of the disk's rates, bytes per second.
    pub fn disk_rate(&self) -> f64 {
        Spread::of(self.disk.iter().map(|disk| disk.rate)).unwrap_or_default().median
    }

    /// Median processor time to read a byte, seconds.
    pub fn read_cpu(&self) -> f64 {
        Spread::of(self.disk.iter().map(|disk| disk.cpu)).unwrap_or_default().median
    }
}

impl MachineReport {
    fn of(machine: &Machine) -> Self {
        Self {
            memory_gbps: machine.memory.best / GIGA,
            memory_gbps_median: machine.memory.median / GIGA,
            memory_buffer_bytes: machine.memory.buffer,
            disk_gbps: machine.disk.iter().map(|disk| disk.rate / GIGA).collect(),
            disk_depth: machine.disk_depth,
            read_cpu_ms_per_mib: machine.read_cpu() * 1e3 * f64::from(1 << 20),
            compute_ms: machine.compute.token().as_secs_f64() * 1e3,
            compute_experts_ms: machine.compute.experts.as_secs_f64() * 1e3,
        }
    }
}
