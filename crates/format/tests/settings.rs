//! What the files beside the weights may say: every accepted form means the same model, and what would
//! split or end text otherwise is refused.

use std::fs;
use std::path::Path;

use hotset_base::{WeightType, limits};
use hotset_format::{Checkpoint, RopeScaling, SpecialTokens, Yarn, open};
use hotset_testkit::{TinyModel, TinyShape};
use serde_json::{Value, json};

fn written() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    TinyModel::random(TinyShape::default(), 30).write_hf(dir.path(), WeightType::BF16, 1).unwrap();
    dir
}

fn change(path: &Path, change: &dyn Fn(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// The model whose file was changed.
fn changed(name: &str, by: &dyn Fn(&mut Value)) -> Result<Checkpoint, String> {
    let dir = written();
    change(&dir.path().join(name), by);
    open(dir.path()).map_err(|error| error.to_string())
}

fn refused(name: &str, by: &dyn Fn(&mut Value), expected: &str) {
    let error = changed(name, by).expect_err(expected);
    assert!(error.contains(expected) && error.contains(name) && !error.contains('\n'), "{error}");
}

#[test]
fn tokenizers_that_would_split_otherwise_are_refused() {
    let refused = |by: &dyn Fn(&mut Value), expected: &str| refused("tokenizer.json", by, expected);
    let pattern = "pre-tokenizer `Split, ByteLevel` is not supported";
    // Without the field the pieces are split again by another pattern, so its absence is a refusal too.
    refused(&|t| t["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = json!(true), pattern);
    refused(
        &|t| drop(t["pre_tokenizer"]["pretokenizers"][1].as_object_mut().unwrap().remove("use_regex")),
        pattern,
    );
    refused(&|t| t["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = json!(true), pattern);
    refused(&|t| t["pre_tokenizer"]["pretokenizers"][0]["invert"] = json!(true), pattern);
    refused(&|t| t["pre_tokenizer"]["pretokenizers"][0]["behavior"] = json!("Removed"), pattern);
    refused(&|t| t["pre_tokenizer"]["pretokenizers"][0]["pattern"] = json!({"String": " "}), pattern);
    refused(&|t| t["pre_tokenizer"]["pretokenizers"].as_array_mut().unwrap().reverse(), "`ByteLevel, Split`");
    refused(&|t| t["pre_tokenizer"] = json!(null), "a vocabulary without a pre-tokenizer");
    refused(&|t| t["pre_tokenizer"] = json!({"type": "Metaspace"}), "the pre-tokenizer `Metaspace`");
    refused(&|t| t["pre_tokenizer"] = json!({"type": "x\u{1b}[31m\n".repeat(1000)}), "the pre-tokenizer `x");
    refused(&|t| t["model"]["byte_fallback"] = json!(true), "the tokenizer setting `byte_fallback`");
    refused(&|t| t["model"]["ignore_merges"] = json!(true), "the tokenizer setting `ignore_merges`");
    refused(&|t| t["model"]["dropout"] = json!(0.1), "the tokenizer setting `dropout`");
    refused(&|t| t["model"]["type"] = json!("WordPiece"), "the tokenizer model `WordPiece`");
    refused(&|t| t["model"]["end_of_word_suffix"] = json!("</w>"), "a prefix or suffix of words");
    refused(&|t| t["post_processor"] = json!({"type": "TemplateProcessing"}), "the post-processor");
    let token = json!({"SpecialToken": {"id": "<|im_end|>", "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    for single in [json!([token, text]), json!([text, token]), json!([text, text]), json!([])] {
        let after = json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}});
        refused(
            &|t| t["post_processor"] = after.clone(),
            "the post-processor `TemplateProcessing`, which may add",
        );
        let after = json!({"type": "Sequence", "processors": [{"type": "ByteLevel"}, after]});
        refused(
            &|t| t["post_processor"] = after.clone(),
            "the post-processor `TemplateProcessing`, which may add",
        );
    }
    refused(
        &|t| t["post_processor"] = json!({"type": "BertProcessing"}),
        "the post-processor `BertProcessing`",
    );
    for kind in ["NFKC", "NFD", "Lowercase", "Replace"] {
        let expected = format!("the normalizer `{kind}`");
        refused(&|t| t["normalizer"] = json!({"type": kind}), &expected);
        let both = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": kind}]});
        refused(&|t| t["normalizer"] = both.clone(), &expected);
    }
    for side in ["lstrip", "rstrip", "single_word"] {
        refused(&|t| t["added_tokens"][0][side] = json!(true), "an added token that takes its surroundings");
    }
}

#[test]
fn what_changes_no_text_is_accepted() {
    let of = |field: &str, value: Value| {
        changed("tokenizer.json", &|t| t[field] = value.clone()).unwrap().tokenizer.uncomposed
    };
    let nfc = json!({"type": "NFC"});
    assert!(!of("normalizer", nfc.clone()));
    assert!(!of("normalizer", json!({"type": "Sequence", "normalizers": [nfc]})));
    assert!(of("normalizer", json!({"type": "Sequence", "normalizers": []})));
    assert!(of("normalizer", json!(null)));
    let template = json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [], "special_tokens": {}});
    let bytes = json!({"type": "ByteLevel", "trim_offsets": false});
    for after in [
        json!(null),
        bytes.clone(),
        template.clone(),
        json!({"type": "Sequence", "processors": [bytes, template]}),
    ] {
        assert!(!of("post_processor", after));
    }
}

#[test]
fn vocabularies_that_contradict_are_refused() {
    let refused = |by: &dyn Fn(&mut Value), expected| refused("tokenizer.json", by, expected);
    refused(&|t| t["model"]["vocab"]["the"] = json!(0), "two tokens have the id 0");
    refused(&|t| t["model"]["vocab"]["far"] = json!(u32::MAX), "token id 4294967295 is beyond");
    refused(&|t| t["model"]["vocab"]["far"] = json!(-1), "not usable JSON");
    refused(&|t| t["model"]["merges"][0] = json!("th"), "a merge of one part");
    refused(&|t| t["model"]["merges"][0] = json!(["t"]), "a merge of fewer than two parts");
    refused(&|t| t["model"]["merges"][0] = json!(["t", "h", "e"]), "a merge of more than two parts");
    refused(&|t| t["model"]["merges"][0] = json!(7), "expected a merge");
    let long = "x".repeat(limits::MAX_TOKEN_BYTES + 1);
    refused(&|t| t["added_tokens"][0]["content"] = json!(long), "longer than any vocabulary's");
}

#[test]
fn both_forms_of_merges_are_the_same() {
    let pairs = changed("tokenizer.json", &|_| {}).unwrap().tokenizer;
    let joined = changed("tokenizer.json", &|t| {
        for merge in t["model"]["merges"].as_array_mut().unwrap() {
            *merge = json!(format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()));
        }
    });
    assert!(!pairs.merges.is_empty());
    assert_eq!(pairs, joined.unwrap().tokenizer);
}

#[test]
fn ids_that_end_an_answer_come_from_every_file() {
    let whole = changed("config.json", &|_| {}).unwrap();
    let stop = &whole.tokenizer.stop;
    assert_eq!(stop.len(), 2);
    let of = |name: &str, value: Value| changed(name, &|c| c["eos_token_id"] = value.clone());
    // The names <|im_end|> and <|endoftext|> count wherever the files are silent.
    for value in [json!(null), json!([]), json!(stop[0]), json!(stop)] {
        assert_eq!(&of("config.json", value.clone()).unwrap().tokenizer.stop, stop);
        assert_eq!(&of("generation_config.json", value).unwrap().tokenizer.stop, stop);
    }
    assert_eq!(of("generation_config.json", json!([7])).unwrap().tokenizer.stop, [&[7], &stop[..]].concat());
    for wrong in [json!(whole.config.vocab), json!([1, u64::MAX])] {
        let error = of("config.json", wrong).unwrap_err();
        assert!(error.contains("which is beyond the vocabulary"), "{error}");
    }
    assert!(of("config.json", json!(-1)).unwrap_err().contains("expected a token id"));
    assert!(of("config.json", json!(vec![1; 5000])).unwrap_err().contains("a list of at most"));
}

#[test]
fn configurations_of_every_generation_are_the_same_model() {
    let plain = changed("config.json", &|_| {}).unwrap().config;
    let of = |by: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        changed("config.json", &|c| by(c.as_object_mut().unwrap()))
    };
    let rename = |c: &mut serde_json::Map<String, Value>, from: &str, to: &str| {
        let value = c.remove(from).unwrap();
        c.insert(to.to_owned(), value);
    };
    let same = |by: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let found = of(by).unwrap();
        let config = hotset_format::ModelConfig { name: plain.name.clone(), ..found.config };
        assert_eq!((config, found.warnings), (plain.clone(), Vec::<String>::new()));
    };
    same(&|c| {
        rename(c, "num_experts", "num_local_experts");
        let theta = c.remove("rope_theta").unwrap();
        c.insert("rope_parameters".to_owned(), json!({"rope_theta": theta, "rope_type": "default"}));
        c.insert("layer_types".to_owned(), json!(["full_attention", "full_attention"]));
    });
    same(&|c| drop(c.insert("num_local_experts".to_owned(), json!(8))));
    for field in ["mlp_only_layers", "decoder_sparse_step", "attention_bias", "rope_scaling", "hidden_act"] {
        same(&|c| drop(c.insert(field.to_owned(), json!(null))));
    }
    for field in ["quantization_config", "use_sliding_window", "rope_parameters", "num_local_experts"] {
        same(&|c| drop(c.insert(field.to_owned(), json!(null))));
    }
    let error = of(&|c| drop(c.insert("num_local_experts".to_owned(), json!(16)))).unwrap_err();
    assert!(error.contains("8 num_experts and 16 num_local_experts"), "{error}");
    for field in ["num_experts", "hidden_size", "num_hidden_layers", "vocab_size", "moe_intermediate_size"] {
        let error = of(&|c| drop(c.insert(field.to_owned(), json!(null)))).unwrap_err();
        assert!(error.contains(&format!("has no {field}")), "{error}");
    }
    let error = of(&|c| drop(c.insert("num_experts".to_owned(), json!("8")))).unwrap_err();
    assert!(error.contains("not usable JSON: `num_experts`: invalid type: string"), "{error}");
    assert!(!of(&|c| drop(c.remove("norm_topk_prob"))).unwrap().config.norm_topk);
}

#[test]
fn settings_that_would_compute_something_else_are_refused_by_name_and_value() {
    let with = |field: &str, value: Value| changed("config.json", &|c| c[field] = value.clone());
    for (field, value, expected) in [
        ("hidden_act", json!("relu"), "hidden_act `relu`"),
        ("use_sliding_window", json!(true), "use_sliding_window true"),
        ("layer_types", json!(["full_attention", "sliding_attention"]), "layer_types (a list of 2)"),
        ("dual_chunk_attention_config", json!({"chunk_size": 4096}), "dual_chunk_attention_config"),
        ("attn_logit_softcapping", json!(50.0), "attn_logit_softcapping 50"),
        ("routed_scaling_factor", json!(2.5), "routed_scaling_factor 2.5"),
        ("scoring_func", json!("sigmoid"), "scoring_func `sigmoid`"),
        ("shared_expert_intermediate_size", json!(32), "shared_expert_intermediate_size 32"),
        ("use_qk_norm", json!(false), "use_qk_norm false"),
        ("attention_bias", json!("yes\n"), "attention_bias `yes\\n`"),
        ("partial_rotary_factor", json!(0.5), "partial_rotary_factor 0.5"),
        ("model_type", json!("qwen2_moe"), "model_type `qwen2_moe`"),
        ("quantization", json!({"bits": 4}), "quantised with MLX (quantization)"),
        ("quantization_config", json!({"load_in_4bit": true}), "quantised with bitsandbytes"),
        ("compression_config", json!({"format": "pack-quantized"}), "quantised with pack-quantized"),
        ("quantization_config", json!({"quant_method": "gguf\n"}), "quantised with gguf\\n"),
        ("quantization_config", json!({"quant_algo": "NVFP4"}), "quantised with NVFP4"),
        ("compression_config", json!({}), "compression_config"),
    ] {
        let error = with(field, value).unwrap_err();
        assert!(error.contains(expected) && error.contains("is not supported; supported:"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    for (field, value) in [
        ("hidden_act", json!("swish")),
        ("sliding_window", json!(4096)),
        ("routed_scaling_factor", json!(1.0)),
        ("n_shared_experts", json!(0)),
        ("use_qk_norm", json!(true)),
        ("partial_rotary_factor", json!(1.0)),
        ("no_rope_layers", json!([])),
    ] {
        assert!(with(field, value.clone()).is_ok(), "{field} {value}");
    }
    assert!(with("attention_bias", json!(null)).is_ok());
    // A number that no program can read is not passed over.
    let dir = written();
    let path = dir.path().join("config.json");
    let text =
        fs::read_to_string(&path).unwrap().replace("\"attention_bias\":false", "\"attention_bias\":1e999");
    fs::write(&path, text).unwrap();
    assert!(open(dir.path()).unwrap_err().to_string().contains("not usable JSON"));
}

#[test]
fn what_generation_config_asks_for_and_does_not_get_is_said() {
    let of =
        |field: &str, value: Value| changed("generation_config.json", &|c| c[field] = value.clone()).unwrap();
    assert!(of("temperature", json!(0.7)).warnings.is_empty());
    assert!(of("suppress_tokens", json!([])).warnings.is_empty());
    let warnings = of("suppress_tokens", json!([1, 2])).warnings;
    assert_eq!(warnings, ["generation_config.json sets suppress_tokens, which is not used"]);
}

#[test]
fn rotary_settings_of_both_generations() {
    let of = |by: &dyn Fn(&mut Value)| changed("config.json", by);
    let new = |rope: Value| {
        of(&|c| {
            c.as_object_mut().unwrap().remove("rope_theta");
            c["rope_parameters"] = rope.clone();
        })
    };
    assert_eq!(new(json!({"rope_theta": 5e5, "rope_type": "default"})).unwrap().config.rope_theta, 5e5);
    assert!(new(json!({"rope_theta": 5e5, "rope_type": "default", "type": "default"})).is_ok());
    let unequal = |c: &mut Value| c["rope_parameters"] = json!({"rope_theta": 5e5, "rope_type": "default"});
    let error = of(&unequal).unwrap_err();
    assert!(error.contains("rope_theta 10000 beside another rope_theta 500000"), "{error}");
    assert!(new(json!({})).unwrap_err().contains("has no rope_theta"));
}

#[test]
fn scaled_positions_are_read_in_every_spelling() {
    let of = |field: &str, rope: Value| {
        changed("config.json", &|c| c[field] = rope.clone()).map(|model| model.config)
    };
    let yarn = |rope: Value| of("rope_scaling", rope).unwrap().rope_scaling.unwrap();
    let usual = yarn(json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}));
    assert_eq!(usual, RopeScaling::yarn(4.0, Yarn::new(64)));
    assert!((usual.attention_factor - 1.138_629_4).abs() < 1e-6);
    for rope in [
        json!({"type": "yarn", "factor": 4, "original_max_position_embeddings": 64, "beta_fast": 0}),
        json!({"type": "yarn", "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "truncate": null}),
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "mscale": 1.0, "mscale_all_dim": 0}),
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64.0, "rope_theta": 1e4}),
    ] {
        assert_eq!(yarn(rope.clone()), usual, "{rope}");
        assert_eq!(of("rope_parameters", rope).unwrap().rope_scaling, Some(usual));
    }
    // Without it, the original context is the model's; what is said is taken.
    let own = yarn(
        json!({"rope_type": "yarn", "factor": 2.0, "beta_fast": 16, "beta_slow": 2, "truncate": false, "attention_factor": 1.5}),
    );
    let bounds = Yarn { original_context: 256, beta_fast: 16.0, beta_slow: 2.0, truncate: false };
    assert_eq!(own, RopeScaling { factor: 2.0, attention_factor: 1.5, yarn: Some(bounds) });
    let ratio = yarn(json!({"rope_type": "yarn", "factor": 40.0, "mscale": 1.0, "mscale_all_dim": 0.5}));
    let expected = (0.1 * 40f64.ln() + 1.0) / (0.05 * 40f64.ln() + 1.0);
    assert!((f64::from(ratio.attention_factor) - expected).abs() < 1e-6);
    // The positions that a stretched model is good for.
    let card = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 200});
    assert_eq!(of("rope_scaling", card).unwrap().context, 800);
    let linear = of("rope_scaling", json!({"type": "linear", "factor": 4.0})).unwrap();
    assert_eq!((linear.rope_scaling, linear.context), (Some(RopeScaling::linear(4.0)), 256));
    for rope in [
        json!({"rope_type": "linear", "factor": 1.0}),
        json!({"rope_type": "yarn", "factor": 1.0}),
        json!({"rope_type": "default", "factor": 4.0}),
        json!({"type": "default", "mrope_section": [2, 3, 3]}),
        json!({"factor": 1.0}),
        json!({}),
    ] {
        assert_eq!(of("rope_scaling", rope.clone()).unwrap().rope_scaling, None, "{rope}");
    }
}

#[test]
fn scaled_positions_that_are_not_computed_are_refused_by_name() {
    for (rope, expected) in [
        (json!({"factor": 4.0}), "rope scaling with a factor and no rope_type"),
        (
            json!({"original_max_position_embeddings": 64}),
            "original_max_position_embeddings and no rope_type",
        ),
        (json!({"short_factor": [1.0]}), "short_factor and no rope_type"),
        (json!({"rope_type": "yarn"}), "rope scaling `yarn` without a factor"),
        (json!({"rope_type": "linear"}), "rope scaling `linear` without a factor"),
        (json!({"rope_type": "dynamic", "factor": 4.0}), "rope scaling `dynamic`"),
        (json!({"rope_type": "longrope", "factor": 4.0}), "rope scaling `longrope`"),
        (json!({"rope_type": "llama3", "factor": 4.0}), "rope scaling `llama3`"),
        (json!({"rope_type": "YaRN\n", "factor": 4.0}), "rope scaling `YaRN\\n`"),
        (json!({"rope_type": "yarn", "type": "linear", "factor": 4.0}), "rope scaling of two types"),
        (json!({"full_attention": {"rope_type": "yarn", "factor": 4.0}}), "rope settings by kind of layer"),
        (json!({"rope_type": "default", "llama_4_scaling_beta": 0.1}), "llama_4_scaling_beta"),
        (
            json!("yarn"),
            "`rope_scaling`: invalid type: string \"yarn\", expected an object of rotary settings",
        ),
        (json!({"rope_type": "yarn", "factor": "4"}), "`factor`: invalid type"),
        (
            json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 0.5}),
            "embeddings 0.5",
        ),
        (json!({"rope_type": "yarn", "factor": 4.0, "attn_factor": 2.0}), "YaRN with the attn_factor 2"),
        (
            json!({"rope_type": "yarn", "factor": 4.0, "partial_rotary_factor": 0.5}),
            "partial_rotary_factor 0.5",
        ),
        (json!({"rope_type": "linear", "factor": 0.5}), "factor 0.5 makes no sense"),
        (json!({"rope_type": "linear", "factor": 0}), "factor 0 makes no sense"),
        (
            json!({"rope_type": "yarn", "factor": 4.0, "attention_factor": -1.0}),
            "attention factor -1 makes no sense",
        ),
        (json!({"rope_type": "yarn", "factor": 4.0, "beta_fast": -3.0}), "beta_fast -3 makes no sense"),
    ] {
        refused("config.json", &|c| c["rope_scaling"] = rope.clone(), expected);
    }
    let both = |c: &mut Value| {
        c["rope_scaling"] = json!({"rope_type": "yarn", "factor": 4.0});
        c["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 1e4});
    };
    refused("config.json", &both, "rope_scaling that differs from rope_parameters");
}

#[test]
fn chat_templates_in_every_form() {
    let of = |value: Value| changed("tokenizer_config.json", &|c| c["chat_template"] = value.clone());
    assert_eq!(of(json!("one")).unwrap().chat_template.as_deref(), Some("one"));
    assert_eq!(of(json!(null)).unwrap().chat_template, None);
    let named = |name: &str, text: &str| json!({"name": name, "template": text});
    let several = json!([named("tool_use", "a"), named("default", "b")]);
    assert_eq!(of(several).unwrap().chat_template.as_deref(), Some("b"));
    assert!(of(json!([named("default", "a"), named("default", "b")])).unwrap_err().contains("named default"));
    // None is taken that nobody named; whoever renders it is told.
    for nameless in [json!([named("rag", "a"), named("tool_use", "b")]), json!({"rag": "a", "tool_use": "b"})]
    {
        let template = of(nameless).unwrap().chat_template.unwrap();
        assert!(template.contains("raise_exception") && template.contains("(rag, tool_use)"), "{template}");
    }
    assert_eq!(of(json!({"default": "b", "rag": "a"})).unwrap().chat_template.as_deref(), Some("b"));
    let hostile = of(json!([named("') }}{{ 7", "a")])).unwrap().chat_template.unwrap();
    assert!(hostile.contains("(7)"), "{hostile}");
    let limit = limits::MAX_TEMPLATE.index();
    assert!(of(json!("x".repeat(limit))).is_ok());
    assert!(of(json!("x".repeat(limit + 1))).unwrap_err().contains("longer than"));

    let dir = written();
    fs::remove_file(dir.path().join("tokenizer_config.json")).unwrap();
    assert_eq!(open(dir.path()).unwrap().chat_template, None);
    fs::create_dir(dir.path().join("additional_chat_templates")).unwrap();
    fs::write(dir.path().join("additional_chat_templates/rag.jinja"), "a").unwrap();
    assert!(open(dir.path()).unwrap().chat_template.unwrap().contains("(rag)"));
    fs::write(dir.path().join("chat_template.json"), "{\"chat_template\": \"processor\"}").unwrap();
    assert_eq!(open(dir.path()).unwrap().chat_template.as_deref(), Some("processor"));
    let jinja = dir.path().join("chat_template.jinja");
    fs::write(&jinja, "file").unwrap();
    assert_eq!(open(dir.path()).unwrap().chat_template.as_deref(), Some("file"));
    fs::write(&jinja, vec![b'x'; limit + 1]).unwrap();
    assert!(open(dir.path()).unwrap_err().to_string().contains("longer than"));
}

#[test]
fn special_tokens_as_transformers_reads_them() {
    let of = |config: Value, map: Option<Value>| {
        let dir = written();
        fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        if let Some(map) = map {
            fs::write(dir.path().join("special_tokens_map.json"), map.to_string()).unwrap();
        }
        open(dir.path()).map(|model| model.tokenizer.special).map_err(|error| error.to_string())
    };
    let named = |special: &SpecialTokens| {
        special.named().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" ")
    };
    let object = json!({"__type": "AddedToken", "content": "<s>", "lstrip": false, "special": true});
    let config = json!({"bos_token": object, "eos_token": "</s>", "pad_token": null});
    let special = of(config.clone(), None).unwrap();
    assert_eq!(named(&special), "bos_token=<s> eos_token=</s>");
    // The map goes first, and its null takes a token away, unless the other file lists its added tokens.
    let map = json!({"eos_token": {"content": "<end>"}, "bos_token": null, "unk_token": "<u>"});
    assert_eq!(named(&of(config.clone(), Some(map.clone())).unwrap()), "eos_token=<end> unk_token=<u>");
    let mut listed = config;
    listed["added_tokens_decoder"] = json!({"0": {"content": "<s>"}});
    assert_eq!(of(listed, Some(map.clone())).unwrap(), special);
    assert_eq!(named(&of(json!({}), Some(map)).unwrap()), "eos_token=<end> unk_token=<u>");
    let token = |bytes: usize| json!({"bos_token": "x".repeat(bytes)});
    assert!(of(token(limits::MAX_TOKEN_BYTES), None).is_ok());
    assert!(of(token(limits::MAX_TOKEN_BYTES + 1), None).unwrap_err().contains("bos_token is longer"));
    assert!(of(json!({"bos_token": 1}), None).unwrap_err().contains("tokenizer_config.json"));
}

#[test]
fn a_directory_with_one_model_file_is_that_model() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = || open(dir.path()).unwrap_err().to_string();
    assert!(refusal().contains("a directory without config.json"), "{}", refusal());
    let tiny = TinyModel::random(TinyShape::default(), 31);
    tiny.write_gguf(&dir.path().join("a.gguf"), &|_| WeightType::F16, 3).unwrap();
    fs::write(dir.path().join("README.md"), "x").unwrap();
    fs::create_dir(dir.path().join("b.gguf")).unwrap();
    assert_eq!(open(dir.path()).unwrap().files.len(), 3);
    tiny.write_gguf(&dir.path().join("c.gguf"), &|_| WeightType::F16, 1).unwrap();
    let error = refusal();
    assert!(error.contains("several models, `a-*-of-00003.gguf` and `c.gguf`: name one"), "{error}");
}
