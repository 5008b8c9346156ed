//! What a benchmark found: the JSON object, from which table and CSV are made.

use std::path::PathBuf;
use std::time::Duration;

use hotset_base::Bytes;
use hotset_engine::{
    ComputeSpeed, ControlGroup, CpuTime, DiskSpeed, GIGA, Locality, MemoryBandwidth, PhaseFigures, Plan,
    Repetition, Spread, TokenBytes, Workload, percentile,
};
use hotset_format::Checkpoint;
use hotset_model::RoutingStats;
use serde::Serialize;

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
    pub prefill: Option<Phase>,
    pub decode: Option<Phase>,
    pub latency_ms: Option<Latency>,
    pub memory: Memory,
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

#[derive(Serialize)]
pub struct Phase {
    pub tokens_per_second: Spread,
    pub hit_rate: Spread,
    /// Native picks chosen, of all.
    pub agreement: Spread,
    /// Native picks not hot, of all.
    pub regret_rate: Spread,
    /// Shares of the native router mass: given to substitutes, left out, waited for.
    pub mass_substituted: Spread,
    pub mass_dropped: Spread,
    pub mass_waited: Spread,
    pub swap_ins_per_token: Spread,
    pub read_mib_per_token: Spread,
    pub stall_ms_per_token: Spread,
    /// From the decision to read until ready, of experts that a token waited for.
    pub time_to_expert_p50_ms: Spread,
    pub time_to_expert_p95_ms: Spread,
    pub time_to_expert_p99_ms: Spread,
    /// Experts prefetched: ready when chosen, still under way when chosen, never chosen.
    pub ahead_used_per_token: Spread,
    pub ahead_late_per_token: Spread,
    pub ahead_wasted_per_token: Spread,
    pub cpu_user_ms_per_token: Spread,
    pub cpu_system_ms_per_token: Spread,
    /// Where the time of a token goes.
    pub stages: Stages,
}

/// Milliseconds per token. With `stall_ms_per_token` and `rest_ms` they are the whole.
#[derive(Serialize)]
pub struct Stages {
    /// Without waiting for reads.
    pub experts_ms: Spread,
    pub projections_ms: Spread,
    pub attention_ms: Spread,
    pub router_ms: Spread,
    pub head_ms: Spread,
    /// Embedding, choosing the token, bookkeeping.
    pub rest_ms: Spread,
}

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
pub struct Memory {
    pub planned_bytes: Bytes,
    pub peak_bytes: Option<Bytes>,
    pub control_group: Option<GroupReport>,
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
        let counts = |tokens: usize, phase| (tokens > 0).then_some(phase);
        let prefill = Phase::of(&run.repetitions, |r| (&r.prefill, r.prefill_cpu));
        let decode = Phase::of(&run.repetitions, |r| (&r.decode, r.decode_cpu));
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
            memory: Memory {
                planned_bytes: run.plan.total(),
                peak_bytes: run.peak,
                control_group: run.group,
            },
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

impl Phase {
    fn of(repetitions: &[Repetition], phase: impl Fn(&Repetition) -> (&PhaseFigures, CpuTime)) -> Self {
        let spread = |figure: &dyn Fn(&PhaseFigures, CpuTime) -> f64| {
            Spread::of(repetitions.iter().map(|r| {
                let (figures, cpu) = phase(r);
                figure(figures, cpu)
            }))
        };
        let share =
            |mass: f64, of: &RoutingStats| if of.native_mass > 0.0 { mass / of.native_mass } else { 0.0 };
        let per_token = |f: &PhaseFigures, total: f64| total / f.tokens.max(1) as f64;
        let time_to_expert_ms =
            |f: &PhaseFigures, share| f.pager.time_to_expert.quantile(share).as_secs_f64() * 1e3;
        let stage = |time: &dyn Fn(&PhaseFigures) -> Duration| {
            spread(&|f, _| per_token(f, time(f).as_secs_f64() * 1e3))
        };
        let stages = Stages {
            experts_ms: stage(&|f| f.stages.experts.saturating_sub(f.pager.stall)),
            projections_ms: stage(&|f| f.stages.projections),
            attention_ms: stage(&|f| f.stages.attention),
            router_ms: stage(&|f| f.stages.router),
            head_ms: stage(&|f| f.stages.head),
            rest_ms: stage(&|f| f.time.saturating_sub(f.stages.total())),
        };
        Self {
            stages,
            tokens_per_second: spread(&|f, _| f.tokens_per_second()),
            hit_rate: spread(&|f, _| f.routing.hit_rate()),
            agreement: spread(&|f, _| f.routing.agreement()),
            regret_rate: spread(&|f, _| f.routing.regret_rate()),
            mass_substituted: spread(&|f, _| share(f.routing.regret.substituted.mass, &f.routing)),
            mass_dropped: spread(&|f, _| share(f.routing.regret.dropped.mass, &f.routing)),
            mass_waited: spread(&|f, _| share(f.routing.regret.waited.mass, &f.routing)),
            swap_ins_per_token: spread(&|f, _| f.swap_ins_per_token()),
            read_mib_per_token: spread(&|f, _| f.read_mib_per_token()),
            stall_ms_per_token: spread(&|f, _| f.stall_ms_per_token()),
            time_to_expert_p50_ms: spread(&|f, _| time_to_expert_ms(f, 0.50)),
            time_to_expert_p95_ms: spread(&|f, _| time_to_expert_ms(f, 0.95)),
            time_to_expert_p99_ms: spread(&|f, _| time_to_expert_ms(f, 0.99)),
            ahead_used_per_token: spread(&|f, _| per_token(f, f.pager.prefetch.used as f64)),
            ahead_late_per_token: spread(&|f, _| per_token(f, f.pager.prefetch.late as f64)),
            ahead_wasted_per_token: spread(&|f, _| per_token(f, f.pager.prefetch.wasted as f64)),
            cpu_user_ms_per_token: spread(&|f, cpu| per_token(f, cpu.user.as_secs_f64() * 1e3)),
            cpu_system_ms_per_token: spread(&|f, cpu| per_token(f, cpu.system.as_secs_f64() * 1e3)),
        }
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
        Spread::of(self.disk.iter().map(|disk| disk.rate)).median
    }

    /// Median processor time to read a byte, seconds.
    pub fn read_cpu(&self) -> f64 {
        Spread::of(self.disk.iter().map(|disk| disk.cpu)).median
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
