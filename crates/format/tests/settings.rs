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
    let refused = |by: &dyn Fn(&mut Value), expected| refused("tokenizer.json", by, expected);
    let pattern = "this pre-tokenizer is not supported";
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
    refused(&|t| t["pre_tokenizer"]["pretokenizers"].as_array_mut().unwrap().reverse(), pattern);
    refused(&|t| t["pre_tokenizer"] = json!(null), pattern);
    refused(&|t| t["pre_tokenizer"] = json!({"type": "x\u{1b}[31m\n".repeat(1000)}), pattern);
    refused(&|t| t["model"]["byte_fallback"] = json!(true), "this tokenizer model");
    refused(&|t| t["model"]["ignore_merges"] = json!(true), "this tokenizer model");
    refused(&|t| t["model"]["end_of_word_suffix"] = json!("</w>"), "a prefix or suffix of words");
    refused(&|t| t["post_processor"] = json!({"type": "TemplateProcessing"}), "a post-processor");
    for side in ["lstrip", "rstrip", "single_word"] {
        refused(&|t| t["added_tokens"][0][side] = json!(true), "an added token that takes its surroundings");
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
