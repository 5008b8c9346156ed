//! Shapes that can be asked for by name.

use hotset_format::ModelConfig;

/// The names of [`preset`].
pub const PRESETS: [&str; 4] = ["qwen3-30b-a3b", "half-width", "demo-shape", "tiny"];

/// What the names of synthetic models begin with; the seed follows.
const NAME: &str = "synthetic-";
const SEED: &str = "-seed-";
/// Fewer tokens leave no room for words beside bytes, syllables and control tokens.
const LEAST_VOCAB: usize = 1024;
/// Narrower residual streams do not hold the planted parts apart.
const LEAST_HIDDEN: usize = 128;

/// A shape by its name: `qwen3-30b-a3b` has exactly that model's; `half-width` its layers and experts
/// in narrower matrices, `demo-shape` the shape of the model that ships with a head of its own, `tiny`
/// what a test can afford.
pub fn preset(name: &str) -> Option<ModelConfig> {
    let large = ModelConfig {
        name: name.to_owned(),
        layers: 48,
        hidden: 2048,
        heads: 32,
        kv_heads: 4,
        head_dim: 128,
        experts: 128,
        top_k: 8,
        expert_width: 768,
        vocab: 151_936,
        context: 40_960,
        rms_eps: 1e-6,
        rope_theta: 1e6,
        rope_scaling: None,
        norm_topk: true,
    };
    let demo = ModelConfig {
        layers: 6,
        hidden: 512,
        heads: 8,
        kv_heads: 2,
        head_dim: 64,
        expert_width: 64,
        vocab: 12_288,
        context: 4096,
        ..large.clone()
    };
    Some(match name {
        "qwen3-30b-a3b" => large,
        "half-width" => {
            ModelConfig { hidden: 1024, heads: 16, kv_heads: 2, expert_width: 512, vocab: 32_768, ..large }
        }
        "demo-shape" => demo,
        "tiny" => ModelConfig {
            layers: 4,
            hidden: 256,
            heads: 4,
            experts: 16,
            top_k: 4,
            expert_width: 256,
            vocab: 2048,
            context: 1024,
            ..demo
        },
        _ => return None,
    })
}

/// The name a synthetic model carries: it says what the weights are and how to make them again.
pub(super) fn synthetic_name(config: &ModelConfig, seed: u64) -> String {
    format!("{NAME}{}{SEED}{seed}", config.name)
}

/// The seed of a synthetic model, from the name it carries; `None` for any other model.
pub fn seed_of(config: &ModelConfig) -> Option<u64> {
    let (_, seed) = config.name.strip_prefix(NAME)?.rsplit_once(SEED)?;
    seed.parse().ok()
}

/// Checks what a synthetic model needs beside what every model needs; a phrase for the user.
pub(super) fn check(config: &ModelConfig) -> Result<(), String> {
    config.check()?;
    for (what, value, least) in
        [("vocabulary", config.vocab, LEAST_VOCAB), ("hidden size", config.hidden, LEAST_HIDDEN)]
    {
        if value < least {
            return Err(format!("{what} is {value}, a synthetic model needs at least {least}"));
        }
    }
    let widths = [config.hidden, config.expert_width, config.heads * config.head_dim];
    if widths.iter().any(|width| !width.is_multiple_of(32)) {
        return Err(format!(
            "hidden size, expert width and heads x head size are {widths:?}: quantised rows need multiples of 32"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_sound_and_named_so_that_their_seed_comes_back() {
        for name in PRESETS {
            let mut config = preset(name).unwrap();
            check(&config).unwrap();
            assert_eq!(seed_of(&config), None);
            config.name = synthetic_name(&config, 42);
            assert_eq!(seed_of(&config), Some(42));
        }
        assert_eq!(preset("qwen4"), None);
    }

    #[test]
    fn shapes_without_room_are_refused_by_the_number_that_is_wrong() {
        let tiny = preset("tiny").unwrap();
        assert!(
            check(&ModelConfig { vocab: 1023, ..tiny.clone() }).unwrap_err().contains("vocabulary is 1023")
        );
        check(&ModelConfig { vocab: 1024, ..tiny.clone() }).unwrap();
        assert!(
            check(&ModelConfig { hidden: 64, ..tiny.clone() }).unwrap_err().contains("hidden size is 64")
        );
        assert!(check(&ModelConfig { expert_width: 48, ..tiny }).unwrap_err().contains("multiples of 32"));
    }
}
