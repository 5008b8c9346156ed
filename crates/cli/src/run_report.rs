//! What is told at the end of an answer, for people and for programs.

use hotset_base::Bytes;
use hotset_base::figures::{TOKENS_PER_SECOND, Totals};
use hotset_engine::{Figures, Finish, Generation, peak_memory};
use serde::Serialize;

use crate::figures::{Fields, OF_A_RUN, paging};
use crate::output::counted;

/// One JSON object per run.
#[derive(Serialize)]
pub struct RunReport<'a> {
    text: &'a str,
    tokens: usize,
    finish: &'static str,
    /// The one that ended the answer, if one did.
    stop_string: Option<&'a str>,
    seed: u64,
    prompt_tokens: usize,
    /// Of the prompt.
    prefill: Fields,
    /// Of the answer.
    decode: Fields,
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
            prompt_tokens: prefill.tokens as usize + generation.cached,
            prefill: Fields::of(prefill, &OF_A_RUN),
            decode: Fields::of(decode, &OF_A_RUN),
            peak_memory_bytes: peak_memory(),
            planned_memory_bytes: planned,
        }
    }
}

/// The closing line, with the seed where there is one to tell.
pub fn closing_line(generation: &Generation, planned: Bytes, seed: Option<u64>) -> String {
    let Figures { prefill, decode } = &generation.figures;
    let peak = peak_memory().map_or_else(|| "unknown".to_owned(), |peak| peak.to_string());
    // A user who reads nothing else here should not wonder why the answer ends.
    let full = (generation.finish == Finish::ContextFull).then(|| "context full".to_owned());
    let parts = [
        Some(format!("prefill {}", pace(prefill))),
        Some(format!("decode {}", pace(decode))),
        paging(decode),
        Some(format!("peak memory {peak} of {planned} planned")),
        full,
        seed.map(|seed| format!("seed {seed}")),
    ];
    format!("[{}]", parts.into_iter().flatten().collect::<Vec<_>>().join(" | "))
}

/// Tokens and their speed, if they have one.
fn pace(of: &Totals) -> String {
    let speed = of.get(&TOKENS_PER_SECOND).map(|speed| format!(", {speed:.1} tok/s"));
    format!("{}{}", counted(of.tokens as usize, "token"), speed.unwrap_or_default())
}
