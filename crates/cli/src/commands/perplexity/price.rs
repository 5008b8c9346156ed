//! What a routing policy costs and saves, text by text and over all.

use std::path::Path;

use anyhow::Result;
use hotset_base::figures::*;
use hotset_engine::{Perplexity, Price};
use serde::Serialize;

use crate::figures::{Fields, OF_A_RUN, regret, told};
use crate::output;

/// One text.
#[derive(Serialize)]
pub struct PriceReport<'a> {
    #[serde(serialize_with = "crate::output::json_path")]
    file: &'a Path,
    router: &'static str,
    scored_tokens: usize,
    /// Perplexity of the policy / that of the model's own routing - 1.
    perplexity_change: f64,
    mean_kl_nats: f64,
    top1_agreement: f64,
    native: Side,
    policy: Side,
}

/// The model's own routing, or the policy.
#[derive(Serialize)]
struct Side {
    perplexity: f64,
    #[serde(flatten)]
    figures: Fields,
}

/// Means over all texts: of the perplexities the geometric one, every text counting alike.
#[derive(Serialize)]
pub struct Summary {
    texts: usize,
    router: &'static str,
    perplexity_change: f64,
    mean_kl_nats: f64,
    top1_agreement: f64,
    native: Side,
    policy: Side,
}

impl Side {
    fn of(score: &Perplexity) -> Self {
        Self { perplexity: score.perplexity(), figures: Fields::of(&score.figures, &OF_A_RUN) }
    }

    fn means(scores: impl Iterator<Item = Perplexity> + Clone) -> Self {
        let logarithms = scores.clone().map(|score| score.perplexity().ln());
        let perplexity = (logarithms.sum::<f64>() / scores.clone().count() as f64).exp();
        let totals: Vec<Totals> = scores.map(|score| score.figures).collect();
        Self { perplexity, figures: Fields::means(&totals, &OF_A_RUN) }
    }
}

pub fn report(file: &Path, router: &'static str, price: &Price, json: bool) -> Result<()> {
    if json {
        return output::print_json(&PriceReport {
            file,
            router,
            scored_tokens: price.native.scored,
            perplexity_change: price.perplexity_change(),
            mean_kl_nats: price.mean_kl(),
            top1_agreement: price.top_agreement(),
            native: Side::of(&price.native),
            policy: Side::of(&price.policy),
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
        regret(&price.policy.figures).map_or_else(String::new, |regret| format!("; {regret}")),
    ))
}

fn line(score: &Perplexity) -> String {
    let f = &score.figures;
    format!(
        "perplexity {:.4}, hit rate {} %, {} swap-ins and {} MiB per token, {} tok/s",
        score.perplexity(),
        told(f, &HIT_RATE, 1),
        told(f, &SWAP_INS_PER_TOKEN, 2),
        told(f, &READ_MIB_PER_TOKEN, 3),
        told(f, &TOKENS_PER_SECOND, 1),
    )
}

impl Summary {
    pub fn of(prices: &[Price], router: &'static str) -> Self {
        let mean =
            |figure: &dyn Fn(&Price) -> f64| prices.iter().map(figure).sum::<f64>() / prices.len() as f64;
        let native = Side::means(prices.iter().map(|price| price.native));
        let policy = Side::means(prices.iter().map(|price| price.policy));
        Self {
            texts: prices.len(),
            router,
            perplexity_change: policy.perplexity / native.perplexity - 1.0,
            mean_kl_nats: mean(&Price::mean_kl),
            top1_agreement: mean(&Price::top_agreement),
            native,
            policy,
        }
    }

    pub fn print(&self, json: bool) -> Result<()> {
        if json {
            return output::print_json(&serde_json::json!({ "mean": self }));
        }
        let (native, policy) = (&self.native.figures, &self.policy.figures);
        output::print_line(format_args!(
            "mean of {}: {} perplexity {:+.2} %, KL {:.5}, same likeliest token {:.1} %, agreement {} %, mass lost {} %; hit rate {} % (native {} %), {} MiB per token (native {}), {} tok/s (native {})",
            self.texts,
            self.router,
            100.0 * self.perplexity_change,
            self.mean_kl_nats,
            100.0 * self.top1_agreement,
            policy.told(&AGREEMENT, 1),
            policy.told(&MASS_LOST, 2),
            policy.told(&HIT_RATE, 1),
            native.told(&HIT_RATE, 1),
            policy.told(&READ_MIB_PER_TOKEN, 3),
            native.told(&READ_MIB_PER_TOKEN, 3),
            policy.told(&TOKENS_PER_SECOND, 1),
            native.told(&TOKENS_PER_SECOND, 1),
        ))
    }
}
