//! GGUF metadata that would change what is computed, and files of every supported kind.

use std::fs;

use hotset_base::WeightType;
use hotset_format::{Checkpoint, open};
use hotset_testkit::{GgufBuilder, TinyModel, TinyShape};

/// A whole model with changed metadata; its tensors are F32.
fn with(change: &dyn Fn(&mut GgufBuilder)) -> Result<Checkpoint, String> {
    let tiny = TinyModel::random(TinyShape::default(), 40);
    let mut file = GgufBuilder::new();
    tiny.metadata(&mut file);
    change(&mut file);
    for tensor in tiny.fused() {
        let dims: Vec<u64> = tensor.shape.iter().rev().map(|&n| n as u64).collect();
        let bytes: Vec<u8> = tensor.values.iter().flat_map(|x| x.to_le_bytes()).collect();
        file.tensor(&tensor.name, &dims, WeightType::F32, &bytes);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    fs::write(&path, file.bytes()).unwrap();
    open(&path).map_err(|error| error.to_string())
}

/// The same without a key: it is renamed, so that nobody reads it.
fn without(key: &str) -> Result<Checkpoint, String> {
    let tiny = TinyModel::random(TinyShape::default(), 40);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    tiny.write_gguf(&path, &|_| WeightType::F32, 1).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(key.len()).position(|window| window == key.as_bytes()).unwrap();
    bytes[at] = b'X';
    fs::write(&path, bytes).unwrap();
    open(&path).map_err(|error| error.to_string())
}

#[test]
fn positions_that_would_differ_are_refused() {
    let refused = |change: &dyn Fn(&mut GgufBuilder), expected: &str| {
        let error = with(change).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    };
    assert!(with(&|_| {}).is_ok());
    assert!(with(&|f| f.text("qwen3moe.rope.scaling.type", "none")).is_ok());
    assert!(with(&|f| f.float("qwen3moe.rope.scaling.factor", 1.0)).is_ok());
    assert!(with(&|f| f.number("qwen3moe.rope.dimension_count", 16)).is_ok());
    refused(&|f| f.text("qwen3moe.rope.scaling.type", "linear"), "rope scaling `linear`");
    refused(&|f| f.float("qwen3moe.rope.scaling.factor", 4.0), "rope.scaling.factor 4");
    refused(&|f| f.float("qwen3moe.rope.scale_linear", 2.0), "rope.scale_linear 2");
    refused(&|f| f.number("qwen3moe.rope.dimension_count", 8), "rotary embedding of 8 of the 16");
    refused(&|f| f.number("tokenizer.ggml.eot_token_id", u32::MAX), "token 4294967295, which is beyond");
    let extra: fn(&mut GgufBuilder) = |f| f.tensor("blk.0.attn_q.bias", &[64], WeightType::F32, &[0; 256]);
    refused(&extra, "`blk.0.attn_q.bias` is not a part of the Qwen3-MoE architecture");
}

#[test]
fn keys_that_are_needed() {
    for key in [
        "qwen3moe.block_count",
        "qwen3moe.expert_used_count",
        "qwen3moe.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.pre",
        "tokenizer.ggml.model",
        "general.architecture",
    ] {
        let error = without(key).expect_err(key);
        assert!(error.contains(key), "{key}: {error}");
    }
    for key in ["general.name", "tokenizer.chat_template", "tokenizer.ggml.eos_token_id"] {
        assert!(without(key).is_ok(), "{key}");
    }
    assert_eq!(without("qwen3moe.attention.key_length").unwrap().config.head_dim, 16);
}

#[test]
fn the_architecture_is_named_before_its_weight_types() {
    let mut file = GgufBuilder::new();
    file.text("general.architecture", "gpt-oss");
    file.entry("blk.0.ffn_up_exps.weight", &[32], 39, 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    fs::write(&path, file.bytes()).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("architecture `gpt-oss` is not supported"), "{error}");
}

#[test]
fn long_strings_nobody_reads_are_passed_over() {
    let long = "x".repeat(3 << 20);
    assert!(with(&|f| f.text("general.license.text", &long)).is_ok());
    assert!(with(&|f| f.text("general.tags", "\u{1b}")).is_ok());
}

#[test]
fn names_for_people_are_safe_to_print() {
    let tiny = TinyModel::random(TinyShape::default(), 41);
    let mut file = GgufBuilder::new();
    tiny.metadata(&mut file);
    // The name `tiny` has four bytes: so have these.
    let bytes = file.bytes();
    let at = bytes.windows(4).position(|window| window == b"tiny").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    tiny.write_gguf(&path, &|_| WeightType::F16, 1).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[at..at + 4].copy_from_slice(b"\x1b[m\n");
    fs::write(&path, bytes).unwrap();
    assert_eq!(open(&path).unwrap().config.name, "\u{fffd}[m\u{fffd}");
}

#[test]
fn every_weight_type_and_version_2_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    let tiny = TinyModel::random(TinyShape { layers: 1, experts: 2, ..TinyShape::k_quant() }, 42);
    for ty in WeightType::all() {
        if tiny.write_gguf(&path, &|_| ty, 1).is_err() {
            continue; // a type that the test kit cannot quantise to
        }
        let model = open(&path).unwrap();
        let shape = &model.config;
        let row = |cols: usize| ty.row_bytes(cols).unwrap().0;
        let expert =
            2 * shape.expert_width as u64 * row(shape.hidden) + shape.hidden as u64 * row(shape.expert_width);
        assert!(model.experts.iter().all(|e| e.bytes().0 == expert), "{ty}");
        assert_eq!(model.dense.embedding.ty, ty);
        let mut bytes = fs::read(&path).unwrap();
        bytes[4] = 2;
        fs::write(&path, bytes).unwrap();
        assert_eq!(open(&path).unwrap().experts, model.experts);
    }
}
