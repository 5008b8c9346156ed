//! GGUF metadata that would change what is computed, and files of every supported kind.

use std::fs;

use hotset_base::WeightType;
use hotset_format::{Checkpoint, RopeScaling, Yarn, open};
use hotset_testkit::{GgufBuilder, TinyModel, TinyShape};

/// A whole model with changed metadata; its tensors are F32.
fn with(change: &dyn Fn(&mut GgufBuilder)) -> Result<Checkpoint, String> {
    let tiny = TinyModel::random(TinyShape::default(), 40);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    fs::write(&path, tiny.gguf_of(&tiny.fused(), WeightType::F32, change).unwrap()).unwrap();
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
    refused(&|f| f.text("qwen3moe.rope.scaling.type", "longrope"), "rope scaling `longrope`");
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
fn special_tokens_are_those_of_the_ids() {
    let special = with(&|_| {}).unwrap().tokenizer.special;
    assert_eq!((special.bos_token, special.pad_token, special.unk_token), (None, None, None));
    assert_eq!(special.eos_token.as_deref(), Some("<|im_end|>"));
    let first = TinyModel::random(TinyShape::default(), 40).first_special() as u32;
    let special = with(&|file| {
        file.number("tokenizer.ggml.bos_token_id", first);
        file.number("tokenizer.ggml.padding_token_id", first + 1);
        file.number("tokenizer.ggml.unknown_token_id", u32::MAX); // names none
    });
    let special = special.unwrap().tokenizer.special;
    assert_eq!(special.bos_token.as_deref(), Some("<|endoftext|>"));
    assert_eq!((special.pad_token.as_deref(), special.unk_token), (Some("<|im_start|>"), None));
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

#[test]
fn scaled_positions_are_read_as_llama_cpp_reads_them() {
    let of = |change: &dyn Fn(&mut GgufBuilder)| with(change).unwrap().config;
    let kind = |f: &mut GgufBuilder, kind: &str| f.text("qwen3moe.rope.scaling.type", kind);
    let factor = |f: &mut GgufBuilder, factor: f32| f.float("qwen3moe.rope.scaling.factor", factor);
    let linear = Some(RopeScaling::linear(4.0));
    assert_eq!(of(&|f| (kind(f, "linear"), factor(f, 4.0)).0).rope_scaling, linear);
    assert_eq!(of(&|f| factor(f, 4.0)).rope_scaling, linear);
    assert_eq!(of(&|f| f.float("qwen3moe.rope.scale_linear", 4.0)).rope_scaling, linear);
    let amplitude = of(&|f| f.float("qwen3moe.rope.scaling.attn_factor", 0.5)).rope_scaling;
    assert_eq!(amplitude, Some(RopeScaling { attention_factor: 0.5, ..RopeScaling::linear(1.0) }));
    assert_eq!(of(&|f| (kind(f, "none"), factor(f, 4.0)).0).rope_scaling, None);
    let yarn = |more: &dyn Fn(&mut GgufBuilder)| {
        of(&|f| {
            kind(f, "yarn");
            factor(f, 4.0);
            more(f);
        })
    };
    let strength = with(&|f| f.float("qwen3moe.rope.scaling.yarn_ext_factor", 1.0)).unwrap_err();
    assert!(strength.contains("rope.scaling.yarn_ext_factor 1 with no type"), "{strength}");
    let original = |f: &mut GgufBuilder| f.number("qwen3moe.rope.scaling.original_context_length", 100);
    let usual = yarn(&original);
    assert_eq!((usual.rope_scaling, usual.context), (Some(RopeScaling::yarn(4.0, Yarn::new(100))), 400));
    assert_eq!(yarn(&|_| {}).rope_scaling, Some(RopeScaling::yarn(4.0, Yarn::new(256))));
    let further = yarn(&|f| {
        f.float("qwen3moe.rope.scaling.attn_factor", 2.0);
        f.float("qwen3moe.rope.scaling.yarn_beta_fast", 16.0);
        f.float("qwen3moe.rope.scaling.yarn_beta_slow", 2.0);
        f.float("qwen3moe.rope.scaling.yarn_ext_factor", 1.0);
        f.float("qwen3moe.rope.scaling.yarn_log_multiplier", 0.0);
    });
    let scaling = further.rope_scaling.unwrap();
    assert!((scaling.attention_factor - 2.0 * 1.138_629_4).abs() < 1e-6);
    assert_eq!(scaling.yarn, Some(Yarn { beta_fast: 16.0, beta_slow: 2.0, ..Yarn::new(256) }));
    for (key, value, expected) in [
        ("yarn_ext_factor", 0.5, "YaRN with the scaling.yarn_ext_factor 0.5"),
        ("yarn_log_multiplier", 0.1, "rope.scaling.yarn_log_multiplier 0.1"),
        ("attn_factor", 0.0, "attention factor 0 makes no sense"),
    ] {
        let error = with(&|f| {
            kind(f, "yarn");
            factor(f, 4.0);
            f.float(&format!("qwen3moe.rope.scaling.{key}"), value);
        });
        assert!(error.as_ref().is_err_and(|error| error.contains(expected)), "{error:?}");
    }
}

#[test]
fn keys_that_would_compute_something_else_are_refused_and_unknown_ones_told() {
    let number = |key: &'static str, value| with(&|f| f.number(&format!("qwen3moe.{key}"), value));
    let float = |key: &'static str, value| with(&|f| f.float(&format!("qwen3moe.{key}"), value));
    for (found, expected) in [
        (number("expert_gating_func", 2), "`qwen3moe.expert_gating_func` = 2"),
        (number("expert_shared_count", 1), "`qwen3moe.expert_shared_count` = 1"),
        (number("leading_dense_block_count", 1), "leading_dense_block_count"),
        (number("nextn_predict_layers", 1), "nextn_predict_layers"),
        (number("pooling_type", 3), "pooling_type"),
        (number("attention.sliding_window", 128), "attention.sliding_window"),
        (number("expert_group_count", 8), "expert_group_count"),
        (float("expert_weights_scale", 2.5), "`qwen3moe.expert_weights_scale` = 2.5"),
        (float("attention.scale", 0.5), "attention.scale"),
        (float("attention.clamp_kqv", 8.0), "attention.clamp_kqv"),
        (float("final_logit_softcapping", 30.0), "final_logit_softcapping"),
        (float("residual_scale", 0.2), "residual_scale"),
        (float("embedding_scale", 12.0), "embedding_scale"),
        (float("logit_scale", 0.1), "logit_scale"),
        (with(&|f| f.text("qwen3moe.hidden_act", "gelu")), "`qwen3moe.hidden_act` = `gelu`"),
        (with(&|f| f.numbers("qwen3moe.swiglu_clamp_exp", &[1])), "swiglu_clamp_exp"),
        (with(&|f| f.flag("qwen3moe.attention.causal", false)), "attention.causal"),
        (with(&|f| f.flag("tokenizer.ggml.add_eos_token", true)), "add_eos_token"),
        (with(&|f| f.flag("tokenizer.ggml.add_bos_token", true)), "BOS"),
        (with(&|f| f.text("general.type", "adapter")), "a file of type `adapter`"),
    ] {
        let error = found.expect_err(expected);
        assert!(error.contains(expected) && error.contains("is not supported; supported:"), "{error}");
    }
    for harmless in [
        number("expert_gating_func", 1),
        number("expert_shared_count", 0),
        number("vocab_size", 307),
        float("expert_weights_scale", 1.0),
        float("attention.scale", 0.25),
        with(&|f| f.numbers("qwen3moe.rope.dimension_sections", &[2, 3, 3, 0])),
        with(&|f| f.flag("qwen3moe.rope.scaling.finetuned", true)),
        with(&|f| f.text("general.type", "model")),
        with(&|f| f.flag("qwen3moe.expert_weights_norm", true)),
    ] {
        let model = harmless.unwrap();
        assert!(model.warnings.is_empty() && model.config.norm_topk, "{:?}", model.warnings);
    }
    assert!(!with(&|f| f.flag("qwen3moe.expert_weights_norm", false)).unwrap().config.norm_topk);
    let warnings = with(&|f| f.number("qwen3moe.new\n", 1)).unwrap().warnings;
    assert_eq!(warnings, ["metadata key `qwen3moe.new\\n` is not known and not used"]);
    let templates = with(&|f| f.text("tokenizer.chat_template.rag", "a")).unwrap();
    assert!(templates.chat_template.unwrap().starts_with("{% for"), "the one without a name is there");
}

/// The vocabulary of a file in which these tokens, from the first special one on, have these types and texts.
fn typed(types: &[i32], texts: &[&str], more: &dyn Fn(&mut GgufBuilder)) -> Checkpoint {
    let tiny = TinyModel::random(TinyShape::default(), 40);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    let (tokens, kinds) = tiny.gguf_tokens();
    let first = tiny.first_special();
    let (mut new_tokens, mut new_kinds) = (tokens.clone(), kinds.clone());
    new_kinds[first..first + types.len()].copy_from_slice(types);
    for (place, text) in new_tokens[first..].iter_mut().zip(texts) {
        (*text).clone_into(place);
    }
    let bytes = tiny.gguf_of(&tiny.fused(), WeightType::F32, more).unwrap();
    let pair = |tokens: &[String], kinds: &[i32]| {
        let mut pairs = GgufBuilder::new();
        pairs.texts("tokenizer.ggml.tokens", tokens);
        pairs.numbers("tokenizer.ggml.token_type", kinds);
        let whole = pairs.bytes();
        // Behind magic, version and two counts; the zeros that fill up are not of the pairs.
        let end = 24
            + 2 * (8 + 4 + 4 + 8)
            + "tokenizer.ggml.tokenstokenizer.ggml.token_type".len()
            + tokens.iter().map(|token| 8 + token.len()).sum::<usize>()
            + 4 * kinds.len();
        whole[24..end].to_vec()
    };
    let (from, to) = (pair(&tokens, &kinds), pair(&new_tokens, &new_kinds));
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    assert_eq!(from.len(), to.len(), "texts of the same length keep the tensors in their places");
    fs::write(&path, [&bytes[..at], &to, &bytes[at + from.len()..]].concat()).unwrap();
    open(&path).unwrap()
}

#[test]
fn special_tokens_that_are_typed_as_text_are_found_by_other_evidence() {
    let right = typed(&[3, 3, 3], &[], &|_| {});
    assert!(right.warnings.is_empty());
    let special = |model: &Checkpoint| -> Vec<(String, bool)> {
        model.tokenizer.added.iter().map(|token| (token.content.clone(), token.special)).collect()
    };
    for kind in [0, 1, 2, 5, 6, 9] {
        let model = typed(&[kind, kind, kind], &[], &|_| {});
        assert_eq!(model.tokenizer, right.tokenizer, "type {kind}");
        let warning = model.warnings.concat();
        assert!(warning.contains("types 3 special token(s) as text (`<|endoftext|>`, "), "{warning}");
    }
    // A user's own tokens stay what they are, and are printed.
    let users = typed(&[4, 3, 3], &["<think>      "], &|_| {});
    assert!(special(&users).contains(&("<think>      ".to_owned(), false)) && users.warnings.is_empty());
    // A name in angle brackets that no merge makes is as good as that; what merges make is text.
    let tag = typed(&[1, 3, 3], &["<tool_call-1>"], &|_| {});
    assert!(special(&tag).contains(&("<tool_call-1>".to_owned(), false)));
    let text = typed(&[1, 3, 3], &["<not a tag..>"], &|_| {});
    assert_eq!((special(&text).len(), text.warnings.len()), (2, 0));
    let wide = typed(&[1, 3, 3], &["<\u{ff5c}User\u{ff5c}> "], &|_| {});
    assert!(wide.warnings.is_empty(), "a name is exact");
    let wide = typed(&[1, 3, 3], &["<\u{ff5c}Users\u{ff5c}>"], &|_| {});
    assert!(special(&wide).contains(&("<\u{ff5c}Users\u{ff5c}>".to_owned(), true)));
    // What the metadata names is control, whatever it looks like, unless it is a word.
    let named = |id: u32| move |f: &mut GgufBuilder| f.number("tokenizer.ggml.bos_token_id", id);
    let bos = typed(&[1, 3, 3], &["[beginning--]"], &named(299));
    assert!(special(&bos).contains(&("[beginning--]".to_owned(), true)));
    let word = with(&named(298)).unwrap();
    assert_eq!((special(&word).len(), word.warnings.len()), (3, 0), "`the` is made by a merge");
}

#[test]
fn every_key_of_an_end_ends_an_answer() {
    let plain = with(&|_| {}).unwrap().tokenizer.stop;
    for key in ["eot", "eom", "fim_pad", "fim_rep", "fim_sep"] {
        let key = format!("tokenizer.ggml.{key}_token_id");
        assert_eq!(
            with(&|f| f.number(&key, 7)).unwrap().tokenizer.stop,
            [&[7], &plain[..]].concat(),
            "{key}"
        );
    }
    let several = |f: &mut GgufBuilder| f.numbers("tokenizer.ggml.eos_token_ids", &[7, 9]);
    assert_eq!(with(&several).unwrap().tokenizer.stop, [&[7, 9], &plain[..]].concat());
    let beyond = with(&|f| f.numbers("tokenizer.ggml.eos_token_ids", &[-1])).unwrap_err();
    assert!(beyond.contains("token 4294967295, which is beyond"), "{beyond}");
    let fim = typed(&[1, 3, 3], &["<|repo_name|>"], &|_| {});
    assert_eq!(fim.tokenizer.stop, [299, 301]);
    let sep = typed(&[1, 3, 3], &["<|file_sep|> "], &|_| {}).tokenizer.stop;
    assert_eq!(sep.len(), 1, "a name is exact");
}
