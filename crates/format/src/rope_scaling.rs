//! Rotary embedding whose positions are stretched beyond those a model was first trained on.

use serde::{Deserialize, Serialize};

/// How frequencies and amplitude of the rotary embedding differ from the plain one.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct RopeScaling {
    /// `s`: scaled frequencies are the plain ones divided by it.
    pub factor: f32,
    /// Cosines and sines are multiplied by it.
    pub attention_factor: f32,
    /// Which pairs are scaled; `None`: all alike (linear scaling).
    pub yarn: Option<Yarn>,
}

/// YaRN (2309.00071): pairs that turn often in the original context keep their frequency, pairs that turn
/// seldom are scaled, those between are mixed.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Yarn {
    /// `L`: positions the model was first trained on.
    pub original_context: usize,
    /// Turns in `L` from which on a pair keeps its frequency.
    pub beta_fast: f32,
    /// Turns in `L` up to which a pair is scaled whole.
    pub beta_slow: f32,
    /// Whether the mix begins and ends at whole pairs.
    pub truncate: bool,
}

impl Yarn {
    /// The usual bounds.
    pub fn new(original_context: usize) -> Self {
        Self { original_context, beta_fast: 32.0, beta_slow: 1.0, truncate: true }
    }
}

/// The amplitude that YaRN's authors recommend: `0.1 m ln s + 1`, with `m` = 1.
pub(crate) fn yarn_attention(factor: f32, m: f64) -> f64 {
    0.1 * m * f64::from(factor).ln() + 1.0
}

impl RopeScaling {
    /// All frequencies divided by `factor`.
    pub fn linear(factor: f32) -> Self {
        Self { factor, attention_factor: 1.0, yarn: None }
    }

    /// YaRN with the usual amplitude.
    pub fn yarn(factor: f32, yarn: Yarn) -> Self {
        Self { factor, attention_factor: yarn_attention(factor, 1.0) as f32, yarn: Some(yarn) }
    }

    /// `None` where it changes nothing, so that such a model computes the bits of a plain one.
    pub(crate) fn unless_plain(self) -> Option<Self> {
        (self.factor != 1.0 || self.attention_factor != 1.0).then_some(self)
    }

    /// The positions a model is good for that was trained on `context`.
    pub(crate) fn context(&self, context: usize) -> usize {
        let stretched = |yarn: Yarn| (yarn.original_context as f64 * f64::from(self.factor)) as usize;
        self.yarn.map_or(context, |yarn| stretched(yarn).max(context))
    }

    /// Checks every number by itself. The error is a phrase that names the number.
    pub(crate) fn check(&self) -> Result<(), String> {
        let positive = |what: &str, x: f32| match x.is_finite() && x > 0.0 {
            true => Ok(()),
            false => Err(format!("rope scaling with the {what} {x} makes no sense")),
        };
        if !(self.factor.is_finite() && self.factor >= 1.0) {
            return Err(format!("rope scaling by the factor {} makes no sense", self.factor));
        }
        positive("attention factor", self.attention_factor)?;
        let Some(yarn) = self.yarn else { return Ok(()) };
        positive("beta_fast", yarn.beta_fast)?;
        positive("beta_slow", yarn.beta_slow)?;
        if yarn.original_context == 0 {
            return Err("rope scaling from an original context of 0 makes no sense".to_owned());
        }
        Ok(())
    }
}
