//! Outcomes as a table, as JSON and as CSV.

use std::fmt::Write as _;

use anyhow::Result;
use hotset_replay::{Outcome, ReplayPolicy};
use serde::Serialize;

use crate::csv;
use crate::routing_report::RegretReport;

/// One cache of one size.
#[derive(Serialize)]
pub struct Row {
    policy: String,
    experts_per_layer: usize,
    router: &'static str,
    tokens: usize,
    hit_rate: f64,
    swap_ins_per_1000_tokens: f64,
    bytes_per_token: f64,
    #[serde(flatten)]
    regret: RegretReport,
    mass_lost: f64,
}

impl Row {
    pub fn new(outcome: &Outcome, router: &'static str) -> Self {
        Self {
            policy: outcome.policy.to_string(),
            experts_per_layer: outcome.experts_per_layer,
            router,
            tokens: outcome.tokens,
            hit_rate: outcome.hit_rate(),
            swap_ins_per_1000_tokens: outcome.swap_ins_per_1000_tokens(),
            bytes_per_token: outcome.bytes_per_token(),
            regret: RegretReport::new(&outcome.regret),
            mass_lost: outcome.mass_lost(),
        }
    }
}

/// A line of names and a line for every row.
pub fn csv(rows: &[Row]) -> Result<String> {
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        let lines = csv::lines(&serde_json::to_value(row)?);
        let lines = lines.lines().skip(usize::from(i > 0));
        lines.for_each(|line| {
            let _ = writeln!(out, "{line}");
        });
    }
    Ok(out)
}

/// Three figures, each for every cache (columns) and size (rows).
pub fn table(outcomes: &[Outcome], sizes: &[usize]) -> String {
    let mut policies: Vec<ReplayPolicy> = Vec::new();
    for outcome in outcomes {
        if !policies.contains(&outcome.policy) {
            policies.push(outcome.policy);
        }
    }
    let mut out = String::new();
    let mut block = |title: &str, figure: &dyn Fn(&Outcome) -> String| {
        let _ = write!(out, "{title}\n  {:>5}", "H");
        policies.iter().for_each(|policy| {
            let _ = write!(out, "  {policy:>width$}", width = width(*policy));
        });
        for size in sizes {
            let _ = write!(out, "\n  {size:>5}");
            for policy in &policies {
                let of = |o: &&Outcome| o.policy == *policy && o.experts_per_layer == *size;
                let text = outcomes.iter().find(of).map(figure).unwrap_or_default();
                let _ = write!(out, "  {text:>width$}", width = width(*policy));
            }
        }
        out.push_str("\n\n");
    };
    block("hit rate, %", &|o| format!("{:.1}", 100.0 * o.hit_rate()));
    block("swap-ins per 1,000 tokens", &|o| format!("{:.0}", o.swap_ins_per_1000_tokens()));
    block("MiB read per token", &|o| format!("{:.2}", o.bytes_per_token() / f64::from(1 << 20)));
    if outcomes.iter().any(|o| o.regret.lost().picks > 0) {
        block("router mass lost, %", &|o| format!("{:.2}", 100.0 * o.mass_lost()));
    }
    out.trim_end().to_owned()
}

fn width(policy: ReplayPolicy) -> usize {
    policy.to_string().len().max(8)
}
