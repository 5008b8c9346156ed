//! `rope_theta`, `rope_scaling` and `rope_parameters` of config.json: three generations of the same settings.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::printable::printable;
use crate::rope_scaling::yarn_attention;
use crate::{RopeScaling, Yarn};

/// What is computed.
pub(super) const SUPPORTED: &str = "plain, linear and YaRN rotary embedding of whole heads";

/// One object of settings. Older files say `type`, newer ones `rope_type`, some both.
#[derive(Deserialize)]
#[serde(expecting = "an object of rotary settings")]
pub(super) struct RopeSettings {
    rope_type: Option<String>,
    #[serde(rename = "type")]
    old_type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    original_max_position_embeddings: Option<f64>,
    attention_factor: Option<f32>,
    beta_fast: Option<f32>,
    beta_slow: Option<f32>,
    mscale: Option<f32>,
    mscale_all_dim: Option<f32>,
    truncate: Option<bool>,
    partial_rotary_factor: Option<f32>,
    /// Another name for the amplitude, and YaRN's strength, in files made for vLLM.
    attn_factor: Option<f32>,
    extrapolation_factor: Option<f32>,
    /// Settings of types that are not computed; without a type they are a mistake all the same.
    alpha: Option<IgnoredAny>,
    short_factor: Option<IgnoredAny>,
    long_factor: Option<IgnoredAny>,
    low_freq_factor: Option<IgnoredAny>,
    high_freq_factor: Option<IgnoredAny>,
    llama_4_scaling_beta: Option<IgnoredAny>,
    /// Settings of one kind of layers each, where layers differ.
    full_attention: Option<IgnoredAny>,
    sliding_attention: Option<IgnoredAny>,
}

/// The settings where config.json may have them.
pub(super) struct RopeFields<'a> {
    pub rope_theta: Option<f32>,
    pub partial_rotary_factor: Option<f32>,
    pub rope_scaling: Option<&'a RopeSettings>,
    pub rope_parameters: Option<&'a RopeSettings>,
    pub max_position_embeddings: usize,
}

/// Base and scaling. An error is a phrase that names what is asked for and is not done.
pub(super) fn read(fields: &RopeFields<'_>) -> Result<(Option<f32>, Option<RopeScaling>), String> {
    let objects = || [fields.rope_scaling, fields.rope_parameters].into_iter().flatten();
    let partial = objects().map(|rope| rope.partial_rotary_factor).chain([fields.partial_rotary_factor]);
    if let Some(part) = partial.flatten().find(|part| *part != 1.0) {
        return Err(format!("partial_rotary_factor {part}"));
    }
    if objects().any(|rope| rope.full_attention.is_some() || rope.sliding_attention.is_some()) {
        return Err("rope settings by kind of layer (full_attention, sliding_attention)".to_owned());
    }
    if objects().any(|rope| rope.llama_4_scaling_beta.is_some()) {
        return Err("attention that is scaled by position (llama_4_scaling_beta)".to_owned());
    }
    let mut bases = objects().map(|rope| rope.rope_theta).chain([fields.rope_theta]).flatten();
    let base = bases.next();
    if let Some(other) = bases.find(|other| Some(*other) != base) {
        return Err(format!("rope_theta {other} beside another rope_theta {}", base.unwrap_or_default()));
    }
    let scaling = |rope: &RopeSettings| rope.scaling(fields.max_position_embeddings);
    match (fields.rope_scaling, fields.rope_parameters) {
        (None, None) => Ok((base, None)),
        (Some(rope), None) | (None, Some(rope)) => Ok((base, scaling(rope)?)),
        (Some(old), Some(new)) => match (scaling(old)?, scaling(new)?) {
            (old, new) if old == new => Ok((base, new)),
            _ => Err("rope_scaling that differs from rope_parameters".to_owned()),
        },
    }
}

impl RopeSettings {
    fn scaling(&self, context: usize) -> Result<Option<RopeScaling>, String> {
        let scaling = match self.kind()? {
            "default" => None,
            "linear" => Some(RopeScaling::linear(self.needed_factor("linear")?)),
            "yarn" => Some(self.yarn(context)?),
            other => return Err(format!("rope scaling `{}`", printable(other))),
        };
        Ok(scaling.and_then(RopeScaling::unless_plain))
    }

    fn kind(&self) -> Result<&str, String> {
        match (self.rope_type.as_deref(), self.old_type.as_deref()) {
            (Some(new), Some(old)) if new != old => {
                let (new, old) = (printable(new), printable(old));
                Err(format!("rope scaling of two types, `{new}` (rope_type) and `{old}` (type),"))
            }
            (Some(kind), _) | (None, Some(kind)) => Ok(kind),
            (None, None) => match self.scaling_field() {
                Some(field) => Err(format!("rope scaling with a {field} and no rope_type")),
                None => Ok("default"),
            },
        }
    }

    /// A field that only scaled positions have.
    fn scaling_field(&self) -> Option<&'static str> {
        let there = [
            ("factor", self.factor.is_some_and(|factor| factor != 1.0)),
            ("original_max_position_embeddings", self.original_max_position_embeddings.is_some()),
            ("attention_factor", self.attention_factor.is_some_and(|factor| factor != 1.0)),
            ("attn_factor", self.attn_factor.is_some_and(|factor| factor != 1.0)),
            ("extrapolation_factor", self.extrapolation_factor.is_some_and(|factor| factor != 1.0)),
            ("beta_fast", self.beta_fast.is_some()),
            ("beta_slow", self.beta_slow.is_some()),
            ("mscale", self.mscale.is_some()),
            ("mscale_all_dim", self.mscale_all_dim.is_some()),
            ("alpha", self.alpha.is_some()),
            ("short_factor", self.short_factor.is_some()),
            ("long_factor", self.long_factor.is_some()),
            ("low_freq_factor", self.low_freq_factor.is_some()),
            ("high_freq_factor", self.high_freq_factor.is_some()),
        ];
        there.into_iter().find(|(_, there)| *there).map(|(name, _)| name)
    }

    fn needed_factor(&self, kind: &str) -> Result<f32, String> {
        self.factor.ok_or_else(|| format!("rope scaling `{kind}` without a factor"))
    }

    /// As `transformers` reads it: a zero counts as not said.
    fn yarn(&self, context: usize) -> Result<RopeScaling, String> {
        let said = |x: Option<f32>| x.filter(|x| *x != 0.0);
        let factor = self.needed_factor("yarn")?;
        for (name, value) in
            [("attn_factor", self.attn_factor), ("extrapolation_factor", self.extrapolation_factor)]
        {
            if let Some(value) = value.filter(|value| *value != 1.0) {
                return Err(format!("YaRN with the {name} {value}"));
            }
        }
        let original = match self.original_max_position_embeddings.filter(|n| *n != 0.0) {
            None => context,
            Some(n) if n >= 1.0 && n.fract() == 0.0 => n as usize,
            Some(n) => return Err(format!("YaRN with the original_max_position_embeddings {n}")),
        };
        let usual = Yarn::new(original);
        let yarn = Yarn {
            beta_fast: said(self.beta_fast).unwrap_or(usual.beta_fast),
            beta_slow: said(self.beta_slow).unwrap_or(usual.beta_slow),
            truncate: self.truncate.unwrap_or(usual.truncate),
            ..usual
        };
        let mut scaling = RopeScaling::yarn(factor, yarn);
        if let Some(attention_factor) = self.attention_factor {
            scaling.attention_factor = attention_factor;
        } else if let (Some(over), Some(under)) = (said(self.mscale), said(self.mscale_all_dim)) {
            let attention = |m: f32| yarn_attention(factor, f64::from(m));
            scaling.attention_factor = (attention(over) / attention(under)) as f32;
        }
        Ok(scaling)
    }
}
