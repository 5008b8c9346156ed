//! What a figure is.

use super::Totals;

/// A figure of a run.
#[derive(Debug)]
pub struct Figure {
    /// As JSON, CSV and documents name it.
    pub name: &'static str,
    /// As tables for people name it; shares are told in per cent there.
    pub label: &'static str,
    /// Of what.
    pub unit: Unit,
    /// Of how much.
    pub per: Per,
    /// What it is.
    pub doc: &'static str,
    /// Its value; `None` where there is nothing to say: nothing was computed, routed, read or measured.
    pub of: fn(&Totals) -> Option<f64>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Tokens.
    Tokens,
    /// Picks.
    Picks,
    /// Experts.
    Experts,
    /// Router mass: mixing weights.
    Mass,
    /// Binary megabytes.
    Mib,
    /// Milliseconds.
    Milliseconds,
}

/// What a figure is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// By nothing.
    Total,
    /// By the tokens computed.
    Token,
    /// By the seconds they took.
    Second,
    /// By all there was: from 0 to 1.
    Share,
    /// A quantile over experts.
    Expert,
}

impl Figure {
    /// What a value is multiplied with to be told to people.
    pub fn scale(&self) -> f64 {
        if self.per == Per::Share { 100.0 } else { 1.0 }
    }

    /// A whole number.
    pub fn is_count(&self) -> bool {
        self.per == Per::Total && self.unit != Unit::Mass
    }
}

impl Unit {
    /// As documents have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Picks => "picks",
            Self::Experts => "experts",
            Self::Mass => "mass",
            Self::Mib => "MiB",
            Self::Milliseconds => "ms",
        }
    }
}

impl Per {
    /// As documents have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "in all",
            Self::Token => "per token",
            Self::Second => "per second",
            Self::Share => "share",
            Self::Expert => "per expert",
        }
    }
}
