//! A report for people.

use std::fmt::{self, Write as _};

use hotset_base::figures::*;
use hotset_engine::{Bound, Forecast, Spread};

use super::expected::{FloorReport, ForecastReport};
use super::report::{Latency, MachineReport, Repeated, Report};
use crate::output::counted;

/// The whole table.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    // A String takes every write.
    let _ = write(&mut out, report);
    out.trim_end().to_owned()
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let s = &report.settings;
    writeln!(out, "{}, {}", report.model.name, report.model.file_bytes)?;
    writeln!(
        out,
        "{} runs{}: {} prompt tokens ({}), {} to warm up, {} counted, greedy; {} threads, {}, {} of {} experts resident ({:.1} %)",
        s.repetitions,
        if s.sessions == 1 { String::new() } else { format!(" of {} sessions together", s.sessions) },
        s.prompt_tokens,
        s.prompt_source,
        s.warmup_tokens,
        s.predicted_tokens,
        s.threads,
        s.read_engine,
        s.slots,
        s.experts,
        100.0 * s.slots as f64 / s.experts as f64
    )?;
    writeln!(out, "\n{:<28} {:>10}   {:>10} {:>10}", "", "median", "least", "most")?;
    for (name, figures) in [("prompt", &report.prefill), ("decode", &report.decode)] {
        if let Some(figures) = figures {
            write_repeated(out, name, figures)?;
        }
    }
    if let Some(latency) = &report.latency_ms {
        write_latency(out, latency)?;
    }
    write_memory(out, report)?;
    write_machine(out, &report.machine)?;
    if let Some(floor) = &report.floor {
        write_floor(out, floor)?;
    }
    if let Some(forecast) = &report.forecast {
        write_forecast(out, forecast)?;
    }
    Ok(())
}

/// Rows of the prompt's and of the decoded tokens' figures.
static ROWS: [&Figure; 16] = [
    &TOKENS_PER_SECOND,
    &HIT_RATE,
    &AGREEMENT,
    &MASS_SUBSTITUTED,
    &MASS_DROPPED,
    &SWAP_INS_PER_TOKEN,
    &READ_MIB_PER_TOKEN,
    &STALL_MS_PER_TOKEN,
    &TIME_TO_EXPERT_P50_MS,
    &TIME_TO_EXPERT_P95_MS,
    &TIME_TO_EXPERT_P99_MS,
    &PREFETCH_USED_PER_TOKEN,
    &PREFETCH_LATE_PER_TOKEN,
    &PREFETCH_WASTED_PER_TOKEN,
    &CPU_USER_MS_PER_TOKEN,
    &CPU_SYSTEM_MS_PER_TOKEN,
];

/// Where the time of a token goes.
static PARTS: [&Figure; 7] = [
    &EXPERTS_MS_PER_TOKEN,
    &STALL_MS_PER_TOKEN,
    &PROJECTIONS_MS_PER_TOKEN,
    &ATTENTION_MS_PER_TOKEN,
    &ROUTER_MS_PER_TOKEN,
    &HEAD_MS_PER_TOKEN,
    &REST_MS_PER_TOKEN,
];

fn write_repeated(out: &mut String, name: &str, figures: &Repeated) -> fmt::Result {
    // A router that loses nothing has nothing to say about it.
    let lossy = figures.spread(&AGREEMENT).is_some_and(|agreement| agreement.min < 1.0);
    let told =
        |figure: &&&Figure| lossy || !matches!(figure.unit, Unit::Mass) && figure.name != AGREEMENT.name;
    for (i, figure) in ROWS.iter().filter(told).enumerate() {
        let name = if i == 0 { format!("{name} {}", figure.label) } else { format!("  {}", figure.label) };
        let value = |of: fn(&Spread) -> f64| {
            let value = figures.spread(figure).map(|spread| format!("{:.2}", figure.scale() * of(&spread)));
            value.unwrap_or_else(|| "-".to_owned())
        };
        let (median, least, most) = (value(|s| s.median), value(|s| s.min), value(|s| s.max));
        writeln!(out, "{name:<28} {median:>10}   {least:>10} {most:>10}")?;
    }
    write_parts(out, figures)
}

/// Medians over repetitions: they need not add up to the last digit.
fn write_parts(out: &mut String, figures: &Repeated) -> fmt::Result {
    let medians = PARTS.map(|figure| figures.spread(figure).unwrap_or_default().median);
    let all: f64 = medians.iter().sum();
    let part = |(figure, ms): (&&Figure, f64)| {
        let name = if figure.name == STALL_MS_PER_TOKEN.name { "stall" } else { figure.label };
        format!("{name} {ms:.1} ({:.0} %)", 100.0 * ms / all.max(f64::MIN_POSITIVE))
    };
    let parts: Vec<String> = PARTS.iter().zip(medians).map(part).collect();
    writeln!(out, "  ms per token: {}", parts.join(", "))
}

fn write_latency(out: &mut String, l: &Latency) -> fmt::Result {
    writeln!(
        out,
        "token     p50 {:.1}, p95 {:.1}, p99 {:.1}, p99.9 {:.1}, longest {:.1} ms, of {}",
        l.p50,
        l.p95,
        l.p99,
        l.p999,
        l.max,
        counted(l.tokens, "token")
    )
}

fn write_memory(out: &mut String, report: &Report) -> fmt::Result {
    let or_unknown =
        |bytes: Option<hotset_base::Bytes>| bytes.map_or("unknown".to_owned(), |b| b.to_string());
    write!(
        out,
        "memory    peak {} of {} planned",
        or_unknown(report.peak_memory_bytes),
        report.planned_memory_bytes
    )?;
    if let Some(group) = &report.control_group {
        write!(
            out,
            "; control group {}: peak {} of {}, limit met {} times",
            group.version,
            or_unknown(group.peak_bytes),
            or_unknown(group.limit_bytes),
            group.limit_hits
        )?;
    }
    writeln!(out)
}

fn write_machine(out: &mut String, m: &MachineReport) -> fmt::Result {
    let disk: Vec<String> = m.disk_gbps.iter().map(|rate| format!("{rate:.2}")).collect();
    writeln!(
        out,
        "machine   memory {:.1} GB/s (best pass over {}; median {:.1}), compute {:.1} ms per token if all experts were in memory",
        m.memory_gbps, m.memory_buffer_bytes, m.memory_gbps_median, m.compute_ms
    )?;
    writeln!(
        out,
        "          disk {} GB/s (random experts, {} at a time; before, between and after the runs), {:.2} ms of CPU per MiB",
        disk.join(" "),
        m.disk_depth,
        m.read_cpu_ms_per_mib
    )
}

fn write_floor(out: &mut String, floor: &FloorReport) -> fmt::Result {
    let b = &floor.token_bytes;
    let bound = match floor.bound {
        Bound::Memory => "memory",
        Bound::Disk => "disk",
    };
    writeln!(
        out,
        "floor     {:.1} ms per token, set by {bound}: memory {:.1} ms for {} (experts {}, attention {}, head {}, router {}), disk {:.1} ms",
        floor.floor_ms.median,
        floor.memory_ms.median,
        b.total(),
        b.experts,
        b.attention,
        b.head,
        b.router,
        floor.disk_ms.median
    )?;
    writeln!(
        out,
        "measured  {:.1} ms per token: {:.0} % of the floor's speed ({:.0} to {:.0})",
        floor.measured_ms.median,
        100.0 * floor.share.median,
        100.0 * floor.share.min,
        100.0 * floor.share.max
    )
}

fn write_forecast(out: &mut String, f: &ForecastReport) -> fmt::Result {
    writeln!(
        out,
        "forecast  {:.2} tok/s at a hit rate of {:.1} % ({}); measured is {:.2} of it",
        f.tokens_per_second,
        100.0 * f.hit_rate,
        f.locality,
        f.measured_ratio
    )?;
    let reached =
        f.overlap_reached.map_or(String::new(), |overlap| format!("; the run reached {overlap:.2}"));
    writeln!(
        out,
        "          {:.2} tok/s with what had to be read; token = {}, overlap {}{reached}",
        f.tokens_per_second_at_measured_reads,
        Forecast::FORMULA,
        f.overlap
    )
}
