//! The shape of a model at its limits and one past them.

use hotset_base::limits::{MAX_EXPERTS, MAX_HEADS, MAX_LAYERS, MAX_TOP_K, MAX_VOCAB, MAX_WIDTH};
use hotset_format::ModelConfig;

/// As large as a model may be.
fn largest() -> ModelConfig {
    ModelConfig {
        name: "largest".to_owned(),
        layers: MAX_LAYERS,
        hidden: MAX_WIDTH,
        heads: MAX_HEADS,
        kv_heads: MAX_HEADS,
        head_dim: MAX_WIDTH,
        experts: MAX_EXPERTS,
        top_k: MAX_TOP_K,
        expert_width: MAX_WIDTH,
        vocab: MAX_VOCAB,
        context: 16,
        rms_eps: 1e-6,
        rope_theta: 1e4,
        rope_scaling: None,
        norm_topk: true,
    }
}

#[test]
fn a_model_may_be_as_large_as_the_limits_and_no_larger() {
    assert_eq!(largest().check(), Ok(()));
    type Field = fn(&mut ModelConfig) -> &mut usize;
    let fields: [(Field, &str); 9] = [
        (|c| &mut c.layers, "number of layers is 513, it must be from 1 to 512"),
        (|c| &mut c.hidden, "hidden size is 262145"),
        (|c| &mut c.heads, "number of attention heads is 1025"),
        (|c| &mut c.kv_heads, "number of key/value heads is 1025"),
        (|c| &mut c.head_dim, "head size is 262145"),
        (|c| &mut c.experts, "number of experts is 1025"),
        (|c| &mut c.top_k, "number of experts per token is 65"),
        (|c| &mut c.expert_width, "expert width is 262145"),
        (|c| &mut c.vocab, "vocabulary is 2097153"),
    ];
    for (field, refusal) in fields {
        let mut config = largest();
        *field(&mut config) += 1;
        let error = config.check().unwrap_err();
        assert!(error.starts_with(refusal), "{error}");
        *field(&mut config) = 0;
        assert!(config.check().unwrap_err().contains(" is 0, it must be from 1"));
    }
}
