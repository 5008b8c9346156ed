//! The routing policy and its parameters: from flags, or from a file that flags override.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use hotset_base::{Bytes, limits};
use hotset_engine::{CachePriorOptions, DropOptions, RouterOptions, StrictOptions, TrustOptions};
use serde::Deserialize;

use crate::input;
use crate::output::Usage;

#[derive(Args, Clone)]
#[command(next_help_heading = "Routing (docs/policies.md)")]
pub struct RouterArgs {
    /// Settings of the routing policy as a JSON object, the names those of the flags without `router-`:
    /// {"router": "trust", "tolerance": 0.03}. Flags go before it
    #[arg(long, env = "HOTSET_ROUTER_CONFIG", value_name = "FILE")]
    pub router_config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

/// Everything that may be set of any policy.
#[derive(Args, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Routing policy [default: native, the model's own top-k: exact]
    #[arg(long, env = "HOTSET_ROUTER", value_enum)]
    router: Option<RouterName>,

    /// cache-prior: the bonus of hot experts, in means of the layer's logit range [default: 0.05]
    #[arg(long = "router-lambda", value_name = "X")]
    lambda: Option<f32>,

    /// cache-prior, trust: first ranks that are always kept [default: 2]
    #[arg(long = "router-sacred", value_name = "N")]
    sacred: Option<usize>,

    /// cache-prior, trust: first ranks that may be chosen at all [default: 16; trust: 32]
    #[arg(long = "router-window", value_name = "N")]
    window: Option<usize>,

    /// drop: what is not hot and below this many uniform shares is left out [default: 0.75]
    #[arg(long = "router-drop-factor", value_name = "F")]
    drop_factor: Option<f32>,

    /// trust: mixing weight that one read is worth; 0 refuses nothing [default: 0.028]
    #[arg(long = "router-tolerance", value_name = "X")]
    tolerance: Option<f32>,

    /// trust: what a substitute of equal weight still changes, as a share of it [default: 0.15]
    #[arg(long = "router-mismatch", value_name = "X")]
    mismatch: Option<f32>,

    /// trust: how much the contributions in the trust ledger count, as an exponent; needs --trust-ledger
    /// [default: 0]
    #[arg(long = "router-trust", value_name = "X")]
    trust: Option<f32>,

    /// trust: standard deviations a substitute is taken below its mean contribution [default: 1]
    #[arg(long = "router-caution", value_name = "X")]
    caution: Option<f32>,

    /// trust, strict: tokens after which evidence counts half [default: 256]
    #[arg(long = "router-horizon", value_name = "TOKENS")]
    horizon: Option<f32>,

    /// trust: what is owed, in prices of a read, when a refused expert is read for later tokens; 0 for
    /// never [default: 0]
    #[arg(long = "router-admission", value_name = "X")]
    admission: Option<f32>,

    /// trust: how much dearer a read becomes as the swap budget is spent [default: 0]
    #[arg(long = "router-cost", value_name = "X")]
    cost: Option<f32>,

    /// trust: bytes that may be read per token, e.g. 512KiB [default: no limit]
    #[arg(long = "router-swap-budget", value_name = "SIZE")]
    swap_budget: Option<Bytes>,

    /// trust: tokens whose swap budget may be saved up [default: 64]
    #[arg(long = "router-swap-window", value_name = "TOKENS")]
    swap_window: Option<u64>,

    /// trust: milliseconds of reads one token may wait for, by forecast; runs are then not repeatable
    /// [default: no limit]
    #[arg(long = "router-deadline-ms", value_name = "MS")]
    deadline_ms: Option<f32>,

    /// trust: experts admitted per window and phase [default: no limit]
    #[arg(long = "router-explore", value_name = "N")]
    explore: Option<u32>,

    /// trust: tokens of that window [default: 64]
    #[arg(long = "router-explore-window", value_name = "TOKENS")]
    explore_window: Option<u64>,

    /// strict: experts of a layer's hot set [default: as many as a layer has slots]
    #[arg(long = "router-hot", value_name = "N")]
    hot: Option<usize>,

    /// strict: tokens between two choices of the hot set [default: 64]
    #[arg(long = "router-refresh", value_name = "TOKENS")]
    refresh: Option<u64>,

    /// strict: the share of its family's evidence in that of an expert, from 0 to 1 [default: 0]
    #[arg(long = "router-family-share", value_name = "X")]
    family_share: Option<f32>,
}

#[derive(Clone, Copy, Debug, ValueEnum, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RouterName {
    /// The model's own choice
    Native,
    /// A bonus for experts that are hot (Mixture of Cache-Conditional Experts)
    CachePrior,
    /// Light experts that are not hot are left out
    Drop,
    /// Waits for an expert only when its absence costs more than reading it
    Trust,
    /// Only the hot set, chosen again every window
    Strict,
}

impl RouterArgs {
    /// The policy to use.
    pub fn options(&self) -> Result<RouterOptions> {
        Ok(self.asked()?.unwrap_or_default())
    }

    /// The policy that was asked for, if one was.
    pub fn asked(&self) -> Result<Option<RouterOptions>> {
        let file = self.router_config.as_deref().map(read).transpose()?.unwrap_or_default();
        let settings = self.settings.clone().or(file);
        let options = settings.options()?;
        Ok(settings.router.map(|_| options))
    }
}

fn read(path: &Path) -> Result<Settings> {
    let text = input::bytes(path, limits::MAX_CONFIG_FILE)?;
    serde_json::from_slice(&text).map_err(|error| Usage(format!("{}: {error}", path.display())).into())
}

/// Builds the helpers that must know every field, in one place.
macro_rules! settings {
    ($($field:ident: $($policy:ident)|+;)*) => {
        impl Settings {
            /// These, and of the others what is not set here.
            fn or(self, other: Self) -> Self {
                Self { router: self.router.or(other.router), $($field: self.$field.or(other.$field),)* }
            }

            /// A setting that the policy does not have.
            fn stray(&self, router: RouterName) -> Option<String> {
                $(if self.$field.is_some() && ![$(RouterName::$policy),+].contains(&router) {
                    return Some(stringify!($field).replace('_', "-"));
                })*
                None
            }
        }
    };
}

settings! {
    lambda: CachePrior;
    sacred: CachePrior | Trust;
    window: CachePrior | Trust;
    drop_factor: Drop;
    tolerance: Trust;
    mismatch: Trust;
    trust: Trust;
    caution: Trust;
    horizon: Trust | Strict;
    admission: Trust;
    cost: Trust;
    swap_budget: Trust;
    swap_window: Trust;
    deadline_ms: Trust;
    explore: Trust;
    explore_window: Trust;
    hot: Strict;
    refresh: Strict;
    family_share: Strict;
}

impl Settings {
    fn options(&self) -> Result<RouterOptions> {
        let router = self.router.unwrap_or(RouterName::Native);
        let name = router.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        if let Some(stray) = self.stray(router) {
            return Err(Usage(format!("--router-{stray} is not a setting of --router {name}")).into());
        }
        self.check()?;
        Ok(match router {
            RouterName::Native => RouterOptions::Native,
            RouterName::CachePrior => RouterOptions::CachePrior(self.cache_prior()),
            RouterName::Drop => {
                let default = DropOptions::default();
                RouterOptions::Drop(DropOptions { factor: self.drop_factor.unwrap_or(default.factor) })
            }
            RouterName::Trust => RouterOptions::Trust(self.trust()),
            RouterName::Strict => RouterOptions::Strict(self.strict()),
        })
    }

    /// Numbers are finite and not negative, windows not empty.
    fn check(&self) -> Result<()> {
        let numbers = [
            ("lambda", self.lambda),
            ("drop-factor", self.drop_factor),
            ("tolerance", self.tolerance),
            ("mismatch", self.mismatch),
            ("trust", self.trust),
            ("caution", self.caution),
            ("horizon", self.horizon),
            ("admission", self.admission),
            ("cost", self.cost),
            ("deadline-ms", self.deadline_ms),
        ];
        for (name, value) in numbers {
            if let Some(value) = value.filter(|x| !(0.0..=1e6).contains(x)) {
                return Err(Usage(format!("--router-{name} {value} is out of range: 0 to 1000000")).into());
            }
        }
        if let Some(share) = self.family_share.filter(|share| !(0.0..=1.0).contains(share)) {
            return Err(Usage(format!("--router-family-share {share} is out of range: 0 to 1")).into());
        }
        let windows = [self.swap_window, self.explore_window, self.refresh];
        if windows.into_iter().flatten().any(|window| window == 0) {
            return Err(Usage("a window of tokens is at least 1".to_owned()).into());
        }
        Ok(())
    }

    fn cache_prior(&self) -> CachePriorOptions {
        let default = CachePriorOptions::default();
        CachePriorOptions {
            lambda: self.lambda.unwrap_or(default.lambda),
            sacred: self.sacred.unwrap_or(default.sacred),
            substitute_ranks: self.window.unwrap_or(default.substitute_ranks),
        }
    }

    fn trust(&self) -> TrustOptions {
        let default = TrustOptions::default();
        TrustOptions {
            tolerance: self.tolerance.unwrap_or(default.tolerance),
            mismatch: self.mismatch.unwrap_or(default.mismatch),
            trust: self.trust.unwrap_or(default.trust),
            caution: self.caution.unwrap_or(default.caution),
            horizon: self.horizon.unwrap_or(default.horizon),
            sacred: self.sacred.unwrap_or(default.sacred),
            substitute_ranks: self.window.unwrap_or(default.substitute_ranks),
            admission: self.admission.unwrap_or(default.admission),
            cost: self.cost.unwrap_or(default.cost),
            swap_budget: self.swap_budget.unwrap_or(default.swap_budget),
            swap_window: self.swap_window.unwrap_or(default.swap_window),
            deadline_us: self.deadline_ms.map_or(default.deadline_us, |ms| ms * 1e3),
            explore: self.explore.unwrap_or(default.explore),
            explore_window: self.explore_window.unwrap_or(default.explore_window),
        }
    }

    fn strict(&self) -> StrictOptions {
        let default = StrictOptions::default();
        StrictOptions {
            hot_set: self.hot.unwrap_or(default.hot_set),
            refresh_tokens: self.refresh.unwrap_or(default.refresh_tokens),
            half_life: self.horizon.unwrap_or(default.half_life),
            family_share: self.family_share.unwrap_or(default.family_share),
        }
    }
}
