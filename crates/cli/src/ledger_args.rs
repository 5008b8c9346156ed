//! `--trust-ledger` of every command that computes tokens.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hotset_base::limits::MAX_LEDGER_WINDOW;
use hotset_engine::{ContextsOptions, Engine, LedgerSettings};
use hotset_outputs::{FileKind, Outputs};

use crate::output;
use crate::output::Usage;

#[derive(Args, Clone)]
#[command(next_help_heading = "Contexts (docs/policies.md)")]
pub struct LedgerArgs {
    /// Learn what each context uses, here, and load the hot set of a context that is known again before it is
    /// asked for; made if it does not exist (see hotset trust)
    #[arg(long, env = "HOTSET_TRUST_LEDGER", value_name = "FILE")]
    trust_ledger: Option<PathBuf>,

    /// Tokens of a window: contexts are told apart once per window [default: 8]
    #[arg(long, value_name = "TOKENS", requires = "trust_ledger", hide_short_help = true)]
    ledger_window: Option<u32>,

    /// How much farther than usual a window is that is strange to its context, from 0 to 1 [default: 0.08]
    #[arg(long, value_name = "X", requires = "trust_ledger", hide_short_help = true)]
    ledger_drift: Option<f32>,

    /// Strange windows in a row that end a context [default: 1]
    #[arg(long, value_name = "N", requires = "trust_ledger", hide_short_help = true)]
    ledger_patience: Option<u32>,

    /// How many tokens of a context its experts' families count for, where the context is young [default: 0]
    #[arg(long, value_name = "TOKENS", requires = "trust_ledger", hide_short_help = true)]
    ledger_family_tokens: Option<f32>,
}

impl LedgerArgs {
    /// The ledger that was asked for, if one was; its file is tried.
    pub fn settings(&self, outputs: &mut Outputs) -> Result<Option<LedgerSettings>> {
        let Some(path) = &self.trust_ledger else { return Ok(None) };
        let default = ContextsOptions::default();
        let options = ContextsOptions {
            context_window: self.ledger_window.unwrap_or(default.context_window),
            drift: self.ledger_drift.unwrap_or(default.drift),
            patience: self.ledger_patience.unwrap_or(default.patience),
            family_tokens: self.ledger_family_tokens.unwrap_or(default.family_tokens),
            ..default
        };
        if !(1..=MAX_LEDGER_WINDOW).contains(&options.context_window) {
            let window = options.context_window;
            return Err(
                Usage(format!("--ledger-window {window} is out of range: 1 to {MAX_LEDGER_WINDOW}")).into()
            );
        }
        if !(0.0..=1.0).contains(&options.drift) {
            return Err(Usage(format!("--ledger-drift {} is out of range: 0 to 1", options.drift)).into());
        }
        if !(0.0..=1e6).contains(&options.family_tokens) {
            let tokens = options.family_tokens;
            return Err(
                Usage(format!("--ledger-family-tokens {tokens} is out of range: 0 to 1000000")).into()
            );
        }
        let target = outputs.claim_repeated(FileKind::TrustLedger, path)?;
        Ok(Some(LedgerSettings { options, ..LedgerSettings::new(target) }))
    }

    /// Saves what was learnt, and says so unless told to be quiet.
    pub fn save(&self, engine: &mut Engine, quiet: bool) -> Result<()> {
        let totals = engine.save_ledger()?;
        if let (Some(path), Some(totals), false) = (&self.trust_ledger, totals, quiet) {
            let (contexts, tokens) = (output::counted(totals.contexts, "context"), totals.tokens);
            let tokens = output::counted(tokens as usize, "token");
            output::note(format_args!("trust ledger: {}, {contexts}, {tokens}", path.display()));
        }
        Ok(())
    }
}
