//! What a routing policy costs and saves, text by text and over all.

use std::path::Path;

use anyhow::Result;
use hotset_engine::{Perplexity, PhaseFigures, Price};
use serde::Serialize;

use crate::output;
use crate::routing_report::{RoutingReport, regret};

/// One text. Fields with `native_` are those of the model's own routing.
#[derive(Serialize)]
pub struct PriceReport<'a> {
    #[serde(serialize_with = "crate::output::json_path")]
    file: &'a Path,
    router: &'static str,
    scored_tokens: usize,
    native_perplexity: f64,
    perplexity: f64,
    /// `perplexity / native_perplexity - 1`
    perplexity_change: f64,
    mean_kl_nats: f64,
    top1_agreement: f64,
    native_hit_rate: f64,
    hit_rate: f64,
    /// Hot chosen picks / native picks: what dropping makes of the hit rate is not in it.
    hot_of_native: f64,
    #[serde(flatten)]
    routing: RoutingReport,
    native_swap_ins_per_token: f64,
    swap_ins_per_token: f64,
    native_read_mib_per_token: f64,
    read_mib_per_token: f64,
    native_tps: f64,
    tps: f64,
}

/// Means over all texts: of the perplexities the geometric one, every text counting alike.
#[derive(Serialize)]
pub struct Summary {
    texts: usize,
    router: &'static str,
    native_perplexity: f64,
    perplexity: f64,
    perplexity_change: f64,
    mean_kl_nats: f64,
    top1_agreement: f64,
    route_agreement: f64,
    mass_lost: f64,
    native_hit_rate: f64,
    hit_rate: f64,
    hot_of_native: f64,
    native_read_mib_per_token: f64,
    read_mib_per_token: f64,
    native_tps: f64,
    tps: f64,
}

pub fn report(file: &Path, router: &'static str, price: &Price, json: bool) -> Result<()> {
    let (native, policy) = (&price.native.figures, &price.policy.figures);
    if json {
        return output::print_json(&PriceReport {
            file,
            router,
            scored_tokens: price.native.scored,
            native_perplexity: price.native.perplexity(),
            perplexity: price.policy.perplexity(),
            perplexity_change: price.perplexity_change(),
            mean_kl_nats: price.mean_kl(),
            top1_agreement: price.top_agreement(),
            native_hit_rate: native.routing.hit_rate(),
            hit_rate: policy.routing.hit_rate(),
            hot_of_native: hot_of_native(policy),
            routing: RoutingReport::new(policy),
            native_swap_ins_per_token: native.swap_ins_per_token(),
            swap_ins_per_token: policy.swap_ins_per_token(),
            native_read_mib_per_token: native.read_mib_per_token(),
            read_mib_per_token: policy.read_mib_per_token(),
            native_tps: native.tokens_per_second(),
            tps: policy.tokens_per_second(),
        });
    }
    output::print_line(format_args!(
        "{}: {router} over {}",
        file.display(),
        output::counted(price.native.scored, "token")
    ))?;
    output::print_line(format_args!("  native    {}", line(&price.native)))?;
    output::print_line(format_args!("  {router:<9} {}", line(&price.policy)))?;
    output::print_line(format_args!(
        "  price     perplexity {:+.2} %, KL {:.5} nats per token, same likeliest token {:.1} %{}",
        100.0 * price.perplexity_change(),
        price.mean_kl(),
        100.0 * price.top_agreement(),
        regret(&policy.routing).map_or_else(String::new, |regret| format!("; {regret}")),
    ))
}

fn line(score: &Perplexity) -> String {
    let f = &score.figures;
    format!(
        "perplexity {:.4}, hit rate {:.1} %, {:.2} swap-ins and {:.3} MiB per token, {:.1} tok/s",
        score.perplexity(),
        100.0 * f.routing.hit_rate(),
        f.swap_ins_per_token(),
        f.read_mib_per_token(),
        f.tokens_per_second(),
    )
}

fn hot_of_native(phase: &PhaseFigures) -> f64 {
    phase.routing.hot_picks as f64 / phase.routing.native_picks.max(1) as f64
}

impl Summary {
    pub fn of(prices: &[Price], router: &'static str) -> Self {
        let mean =
            |figure: &dyn Fn(&Price) -> f64| prices.iter().map(figure).sum::<f64>() / prices.len() as f64;
        let native = mean(&|p| p.native.perplexity().ln()).exp();
        let policy = mean(&|p| p.policy.perplexity().ln()).exp();
        Self {
            texts: prices.len(),
            router,
            native_perplexity: native,
            perplexity: policy,
            perplexity_change: policy / native - 1.0,
            mean_kl_nats: mean(&Price::mean_kl),
            top1_agreement: mean(&Price::top_agreement),
            route_agreement: mean(&|p| p.policy.figures.routing.agreement()),
            mass_lost: mean(&|p| p.policy.figures.routing.mass_lost()),
            native_hit_rate: mean(&|p| p.native.figures.routing.hit_rate()),
            hit_rate: mean(&|p| p.policy.figures.routing.hit_rate()),
            hot_of_native: mean(&|p| hot_of_native(&p.policy.figures)),
            native_read_mib_per_token: mean(&|p| p.native.figures.read_mib_per_token()),
            read_mib_per_token: mean(&|p| p.policy.figures.read_mib_per_token()),
            native_tps: mean(&|p| p.native.figures.tokens_per_second()),
            tps: mean(&|p| p.policy.figures.tokens_per_second()),
        }
    }

    pub fn print(&self, json: bool) -> Result<()> {
        if json {
            return output::print_json(&serde_json::json!({ "mean": self }));
        }
        output::print_line(format_args!(
            "mean of {}: {} perplexity {:+.2} %, KL {:.5}, same likeliest token {:.1} %, agreement {:.1} %, mass lost {:.2} %; hit rate {:.1} % (native {:.1} %), {:.3} MiB per token (native {:.3}), {:.1} tok/s (native {:.1})",
            self.texts,
            self.router,
            100.0 * self.perplexity_change,
            self.mean_kl_nats,
            100.0 * self.top1_agreement,
            100.0 * self.route_agreement,
            100.0 * self.mass_lost,
            100.0 * self.hit_rate,
            100.0 * self.native_hit_rate,
            self.read_mib_per_token,
            self.native_read_mib_per_token,
            self.tps,
            self.native_tps,
        ))
    }
}
