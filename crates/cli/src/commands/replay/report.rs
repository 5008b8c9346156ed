//! Outcomes as a table, as JSON and as CSV.

use std::fmt::Write as _;

use anyhow::Result;
use hotset_base::figures::{HIT_RATE, MASS_LOST, READ_MIB_PER_TOKEN, SWAP_INS_PER_TOKEN};
use hotset_replay::{Outcome, ReplayPolicy};
use serde::Serialize;

use crate::csv;
use crate::figures::{Fields, OF_A_REPLAY, told};

/// One cache of one size.
#[derive(Serialize)]
pub struct Row {
    policy: String,
    experts_per_layer: usize,
    router: &'static str,
    tokens: u64,
    #[serde(flatten)]
    figures: Fields,
}

impl Row {
    pub fn new(outcome: &Outcome, router: &'static str) -> Self {
        Self {
            policy: outcome.policy.to_string(),
            experts_per_layer: outcome.experts_per_layer,
            router,
            tokens: outcome.totals.tokens,
            figures: Fields::of(&outcome.totals, &OF_A_REPLAY),
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
    block(HIT_RATE.label, &|o| told(&o.totals, &HIT_RATE, 1));
    block("swap-ins per 1,000 tokens", &|o| {
        let churn = o.totals.get(&SWAP_INS_PER_TOKEN).map(|swap_ins| format!("{:.0}", 1000.0 * swap_ins));
        churn.unwrap_or_default()
    });
    block(READ_MIB_PER_TOKEN.label, &|o| told(&o.totals, &READ_MIB_PER_TOKEN, 2));
    if outcomes.iter().any(|o| o.totals.routing.regret.lost().picks > 0) {
        block(MASS_LOST.label, &|o| told(&o.totals, &MASS_LOST, 2));
    }
    out.trim_end().to_owned()
}

fn width(policy: ReplayPolicy) -> usize {
    policy.to_string().len().max(8)
}
