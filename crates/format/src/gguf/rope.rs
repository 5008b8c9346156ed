//! `qwen3moe.rope.*`: base and scaling of the rotary embedding, as llama.cpp reads them.

use std::path::Path;

use super::keys::{ARCHITECTURE, SCALING_KEY};
use super::metadata::Metadata;
use crate::printable::printable;
use crate::{FormatError, RopeScaling, Yarn};

/// What stands for a setting that is left to the program.
const UNSAID: f64 = -1.0;
const SUPPORTED: &str = "plain, linear and YaRN rotary embedding of whole heads";

/// The scaling, if positions are scaled; `context`: the positions the file says the model has.
pub(super) fn read(
    path: &Path,
    metadata: &Metadata,
    context: usize,
) -> Result<Option<RopeScaling>, FormatError> {
    let refuse = |what: String| Err(FormatError::unsupported(path, what, SUPPORTED));
    let float = |key: &str| metadata.float(path, &format!("{ARCHITECTURE}.rope.{key}"));
    let Some(factor) = factor(path, metadata)? else {
        let kind = metadata.text(path, SCALING_KEY)?.unwrap_or_default();
        return match kind {
            "yarn" => refuse("rope scaling `yarn` without a factor".to_owned()),
            _ => refuse(format!("rope scaling `{}`", printable(kind))),
        };
    };
    let mut scaling = match metadata.text(path, SCALING_KEY)? {
        Some("yarn") => {
            // 1 is YaRN in full; what lies below would mix it with plain frequencies.
            for key in ["scaling.yarn_ext_factor", "scaling.ext_factor"] {
                if let Some(strength) = float(key)?.filter(|strength| ![1.0, UNSAID].contains(strength)) {
                    return refuse(format!("YaRN with the {key} {strength}"));
                }
            }
            RopeScaling::yarn(factor, yarn(path, metadata, context)?)
        }
        kind => {
            let strength =
                float("scaling.yarn_ext_factor")?.filter(|strength| ![0.0, UNSAID].contains(strength));
            if let Some(strength) = strength {
                let kind = kind.map_or_else(|| "no type".to_owned(), |kind| format!("the type `{kind}`"));
                return refuse(format!("rope.scaling.yarn_ext_factor {strength} with {kind}"));
            }
            RopeScaling::linear(factor)
        }
    };
    if let Some(multiplier) = float("scaling.yarn_log_multiplier")?.filter(|multiplier| *multiplier != 0.0) {
        return refuse(format!("rope.scaling.yarn_log_multiplier {multiplier}"));
    }
    for key in ["scaling.attn_factor", "scaling.yarn_attn_factor"] {
        if let Some(further) = float(key)?.filter(|further| *further != UNSAID) {
            scaling.attention_factor = (f64::from(scaling.attention_factor) * further) as f32;
        }
    }
    Ok(scaling.unless_plain())
}

/// What positions are divided by; `None` where that is not known. Without a type, llama.cpp takes a factor
/// (or its old spelling) for linear scaling; a zero counts as not said.
fn factor(path: &Path, metadata: &Metadata) -> Result<Option<f32>, FormatError> {
    let float = |key: &str| metadata.float(path, &format!("{ARCHITECTURE}.rope.{key}"));
    let said = float("scaling.factor")?.or(float("scale_linear")?).filter(|factor| *factor != 0.0);
    Ok(match metadata.text(path, SCALING_KEY)? {
        Some("none") => Some(1.0),
        Some("linear") | None => Some(said.unwrap_or(1.0) as f32),
        Some("yarn") => said.map(|factor| factor as f32),
        Some(_) => None,
    })
}

fn yarn(path: &Path, metadata: &Metadata, context: usize) -> Result<Yarn, FormatError> {
    let key = |key: &str| format!("{ARCHITECTURE}.rope.scaling.{key}");
    let original = metadata.number(path, &key("original_context_length"))?;
    let usual = Yarn::new(original.map_or(context, |n| usize::try_from(n).unwrap_or(usize::MAX)));
    let bound = |name: &str, usual: f32| -> Result<f32, FormatError> {
        let said = metadata.float(path, &key(&format!("yarn_{name}")))?.or(metadata.float(path, &key(name))?);
        Ok(said.filter(|bound| *bound != UNSAID).map_or(usual, |bound| bound as f32))
    };
    Ok(Yarn {
        beta_fast: bound("beta_fast", usual.beta_fast)?,
        beta_slow: bound("beta_slow", usual.beta_slow)?,
        ..usual
    })
}
