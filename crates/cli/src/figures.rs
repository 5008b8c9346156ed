//! The closing line of a run, for people and for programs.

use hotset_base::Bytes;
use hotset_engine::{Figures, Finish, Generation, PhaseFigures, peak_memory};
use serde::Serialize;

use crate::output::counted;
use crate::routing_report::{RoutingReport, regret};

/// One JSON object per run. Figures without a prefix are those of the decoded tokens.
#[derive(Serialize)]
pub struct RunReport<'a> {
    text: &'a str,
    tokens: usize,
    finish: &'static str,
    /// The one that ended the answer, if one did.
    stop_string: Option<&'a str>,
    seed: u64,
    prompt_tokens: usize,
    prefill_tps: f64,
    decode_tps: f64,
    hit_rate: f64,
    swap_ins_per_token: f64,
    read_mib_per_token: f64,
    stall_ms_per_token: f64,
    #[serde(flatten)]
    routing: RoutingReport,
    prefill_hit_rate: f64,
    prefill_read_mib: f64,
    prefill_stall_ms: f64,
    peak_memory_bytes: Option<Bytes>,
    planned_memory_bytes: Bytes,
}

impl<'a> RunReport<'a> {
    /// `stops` are the stop strings that were asked for.
    pub fn new(
        text: &'a str,
        generation: &Generation,
        stops: &'a [String],
        seed: u64,
        planned: Bytes,
    ) -> Self {
        let stop_string = match generation.finish {
            Finish::StopString(which) => stops.get(which).map(String::as_str),
            _ => None,
        };
        let Figures { prefill, decode } = &generation.figures;
        Self {
            text,
            tokens: generation.tokens.len(),
            finish: generation.finish.name(),
            stop_string,
            seed,
            prompt_tokens: prefill.tokens + generation.cached,
            prefill_tps: prefill.tokens_per_second(),
            decode_tps: decode.tokens_per_second(),
            hit_rate: decode.routing.hit_rate(),
            swap_ins_per_token: decode.swap_ins_per_token(),
            read_mib_per_token: decode.read_mib_per_token(),
            stall_ms_per_token: decode.stall_ms_per_token(),
            routing: RoutingReport::new(decode),
            prefill_hit_rate: prefill.routing.hit_rate(),
            prefill_read_mib: prefill.pager.bytes_read.as_mib(),
            prefill_stall_ms: prefill.pager.stall.as_secs_f64() * 1e3,
            peak_memory_bytes: peak_memory(),
            planned_memory_bytes: planned,
        }
    }
}

/// The closing line, with the seed where there is one to tell.
pub fn closing_line(generation: &Generation, planned: Bytes, seed: Option<u64>) -> String {
    let Figures { prefill, decode } = &generation.figures;
    // A user who reads nothing else here should not wonder why the answer ends.
    let full = if generation.finish == Finish::ContextFull { " | context full" } else { "" };
    let peak = peak_memory().map_or_else(|| "unknown".to_owned(), |peak| peak.to_string());
    format!(
        "[prefill {}, {:.1} tok/s | decode {}, {:.1} tok/s | {} | peak memory {peak} of {planned} planned{full}{}]",
        counted(prefill.tokens, "token"),
        prefill.tokens_per_second(),
        counted(decode.tokens, "token"),
        decode.tokens_per_second(),
        paging(decode),
        seed.map_or_else(String::new, |seed| format!(" | seed {seed}")),
    )
}

/// Hit rate, swap-ins, bytes and stall of a phase; of a lossy one also what it gave up.
pub fn paging(phase: &PhaseFigures) -> String {
    let regret = regret(&phase.routing).map_or_else(String::new, |regret| format!(", {regret}"));
    format!(
        "hit rate {:.1} %, {:.1} swap-ins, {:.2} MiB read, {:.1} ms stall per token{regret}",
        100.0 * phase.routing.hit_rate(),
        phase.swap_ins_per_token(),
        phase.read_mib_per_token(),
        phase.stall_ms_per_token(),
    )
}
