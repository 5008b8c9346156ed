//! What the files beside the weights may say: every accepted form means the same model, and what would
//! split or end text otherwise is refused.

use std::fs;
use std::path::Path;

use hotset_base::{WeightType, limits};
use hotset_format::{Checkpoint, open};
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
    for key in ["rope_type", "type"] {
        let error = new(json!({"rope_theta": 5e5, key: "linear", "factor": 4.0})).unwrap_err();
        assert!(error.contains("rope scaling `linear` is not supported"), "{error}");
    }
    assert!(new(json!({})).unwrap_err().contains("has no rope_theta"));
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
    let limit = limits::MAX_TEMPLATE.index();
    assert!(of(json!("x".repeat(limit))).is_ok());
    assert!(of(json!("x".repeat(limit + 1))).unwrap_err().contains("longer than"));

    let dir = written();
    let jinja = dir.path().join("chat_template.jinja");
    fs::write(&jinja, "file").unwrap();
    assert_eq!(open(dir.path()).unwrap().chat_template.as_deref(), Some("file"));
    fs::write(&jinja, vec![b'x'; limit + 1]).unwrap();
    assert!(open(dir.path()).unwrap_err().to_string().contains("more than the limit"));
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
