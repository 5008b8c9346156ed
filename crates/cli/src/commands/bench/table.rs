//! A report for people.

use std::fmt::{self, Write as _};

use hotset_engine::{Bound, Forecast, Spread};

use super::expected::{FloorReport, ForecastReport};
use super::report::{Latency, MachineReport, Memory, Phase, Report};
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
    for (name, phase) in [("prompt", &report.prefill), ("decode", &report.decode)] {
        if let Some(phase) = phase {
            write_phase(out, name, phase)?;
        }
    }
    if let Some(latency) = &report.latency_ms {
        write_latency(out, latency)?;
    }
    write_memory(out, &report.memory)?;
    write_machine(out, &report.machine)?;
    if let Some(floor) = &report.floor {
        write_floor(out, floor)?;
    }
    if let Some(forecast) = &report.forecast {
        write_forecast(out, forecast)?;
    }
    Ok(())
}

fn write_phase(out: &mut String, name: &str, phase: &Phase) -> fmt::Result {
    let percent = |s: Spread| Spread { median: 100.0 * s.median, min: 100.0 * s.min, max: 100.0 * s.max };
    let rows = [
        ("tok/s", phase.tokens_per_second),
        ("hit rate, %", percent(phase.hit_rate)),
        ("agreement, %", percent(phase.agreement)),
        ("mass substituted, %", percent(phase.mass_substituted)),
        ("mass dropped, %", percent(phase.mass_dropped)),
        ("swap-ins per token", phase.swap_ins_per_token),
        ("MiB read per token", phase.read_mib_per_token),
        ("stall, ms per token", phase.stall_ms_per_token),
        ("time to expert, p50 ms", phase.time_to_expert_p50_ms),
        ("time to expert, p95 ms", phase.time_to_expert_p95_ms),
        ("time to expert, p99 ms", phase.time_to_expert_p99_ms),
        ("read ahead and used", phase.ahead_used_per_token),
        ("read ahead, late", phase.ahead_late_per_token),
        ("read ahead, wasted", phase.ahead_wasted_per_token),
        ("CPU user, ms per token", phase.cpu_user_ms_per_token),
        ("CPU system, ms per token", phase.cpu_system_ms_per_token),
    ];
    // A router that loses nothing has nothing to say about it.
    let lossy = phase.agreement.min < 1.0;
    let told = |what: &str| lossy || !(what.starts_with("agreement") || what.starts_with("mass"));
    for (i, (what, spread)) in rows.into_iter().filter(|(what, _)| told(what)).enumerate() {
        let name = if i == 0 { format!("{name} {what}") } else { format!("  {what}") };
        writeln!(out, "{name:<28} {:>10.2}   {:>10.2} {:>10.2}", spread.median, spread.min, spread.max)?;
    }
    write_stages(out, phase)
}

/// Medians over repetitions: they need not add up to the last digit.
fn write_stages(out: &mut String, phase: &Phase) -> fmt::Result {
    let s = &phase.stages;
    let parts = [
        ("experts", &s.experts_ms),
        ("waiting", &phase.stall_ms_per_token),
        ("projections", &s.projections_ms),
        ("attention", &s.attention_ms),
        ("router", &s.router_ms),
        ("head", &s.head_ms),
        ("rest", &s.rest_ms),
    ];
    let all: f64 = parts.iter().map(|(_, ms)| ms.median).sum();
    let part = |(name, ms): &(&str, &Spread)| {
        format!("{name} {:.1} ({:.0} %)", ms.median, 100.0 * ms.median / all.max(f64::MIN_POSITIVE))
    };
    writeln!(out, "  ms per token: {}", parts.iter().map(part).collect::<Vec<_>>().join(", "))
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

fn write_memory(out: &mut String, memory: &Memory) -> fmt::Result {
    let or_unknown =
        |bytes: Option<hotset_base::Bytes>| bytes.map_or("unknown".to_owned(), |b| b.to_string());
    write!(out, "memory    peak {} of {} planned", or_unknown(memory.peak_bytes), memory.planned_bytes)?;
    if let Some(group) = &memory.control_group {
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
