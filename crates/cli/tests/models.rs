//! Model files as people have them, met through the program: what it warns of, shows and refuses.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use hotset_base::WeightType;
use hotset_testkit::{TinyModel, TinyShape};
use serde_json::{Value, json};

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotset"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOTSET_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output and the warnings of a run that must succeed.
fn succeed(args: &[&str]) -> (String, Vec<String>) {
    let output = run(args);
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    let warnings = errors.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned);
    (text(&output.stdout), warnings.collect())
}

/// The last line on standard error of a run that must fail.
fn fail(args: &[&str]) -> String {
    let output = run(args);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
    errors.lines().last().unwrap_or_default().to_owned()
}

fn change(path: &Path, change: impl Fn(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// A model that says nothing but `<|im_end|>`: every layer adds nothing, and only that row of the head is not zero.
fn silent() -> TinyModel {
    let mut tiny = TinyModel::random(TinyShape { tied: false, ..TinyShape::default() }, 80);
    let (hidden, end) = (tiny.shape.hidden, tiny.first_special() + 2);
    for tensor in &mut tiny.tensors {
        let fill = |values: &mut Vec<f32>, x: f32| values.iter_mut().for_each(|value| *value = x);
        match tensor.name.as_str() {
            "model.embed_tokens.weight" | "model.norm.weight" => fill(&mut tensor.values, 1.0),
            "lm_head.weight" => {
                fill(&mut tensor.values, 0.0);
                tensor.values[end * hidden..(end + 1) * hidden].fill(1.0);
            }
            name if name.contains("o_proj") || name.contains("down_proj") => fill(&mut tensor.values, 0.0),
            _ => {}
        }
    }
    tiny
}

#[test]
fn a_chat_stops_at_a_control_token_that_is_typed_as_text_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    let tiny = silent();
    let bytes = tiny.gguf_of(&tiny.fused(), WeightType::F32, &|_| {}).unwrap();
    // The three special tokens are the only ones of type 3, and lie side by side.
    let controls = [3i32, 3, 3].map(i32::to_le_bytes).concat();
    let places: Vec<usize> = (0..bytes.len() - 12).filter(|&at| bytes[at..at + 12] == controls).collect();
    assert_eq!(places.len(), 1);
    for kind in [3u8, 1, 2, 6] {
        let mut bytes = bytes.clone();
        (0..3).for_each(|i| bytes[places[0] + 4 * i] = kind);
        fs::write(&path, &bytes).unwrap();
        let (file, store) = (path.to_str().unwrap(), dir.path().join("x.hotset"));
        let _ = fs::remove_file(&store);
        let chat = ["-p", "Hi", "--chat", "-n", "8", "--temp", "0", "--json", "--repeat-penalty", "1"];
        let (out, warnings) = succeed(&[&["run", "-m", file][..], &chat].concat());
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&report["finish"], &report["text"]), (&json!("stop"), &json!("")), "type {kind}: {out}");
        assert_eq!(warnings.len(), usize::from(kind != 3), "{warnings:?}");
        let expected = format!("warning: {file}: the file types 3 special token(s) as text");
        assert!(warnings.iter().all(|warning| warning.starts_with(&expected)), "{warnings:?}");
        // A store keeps what was found out and has nothing to warn of.
        let (_, warnings) = succeed(&["pack", file, store.to_str().unwrap(), "--quant", "keep"]);
        assert_eq!(warnings.len(), usize::from(kind != 3), "{warnings:?}");
        let (out, warnings) = succeed(&[&["run", "-m", store.to_str().unwrap()][..], &chat].concat());
        assert!(out.contains("\"finish\":\"stop\"") && warnings.is_empty(), "{out} {warnings:?}");
    }
}

#[test]
fn scaled_positions_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m");
    TinyModel::random(TinyShape::default(), 81).write_hf(&path, WeightType::BF16, 1).unwrap();
    let show = |rope: Value| {
        change(&path.join("config.json"), |c| c["rope_scaling"] = rope.clone());
        let of = |more: &[&str]| succeed(&[&["show", path.to_str().unwrap()][..], more].concat()).0;
        let json: Value = serde_json::from_str(&of(&["--json"])).unwrap();
        (of(&[]), json["rope_scaling"].clone())
    };
    let (text, json) =
        show(json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}));
    assert!(text.contains("rope base 10000, YaRN 4 times 64 positions, amplitude 1.139"), "{text}");
    assert_eq!((&json["factor"], &json["yarn"]["original_context"]), (&json!(4.0), &json!(64)));
    let (text, _) = show(json!({"rope_type": "linear", "factor": 2.0}));
    assert!(text.contains("rope base 10000, positions divided by 2\n"), "{text}");
    let (text, json) = show(json!(null));
    assert!(text.contains("rope base 10000\n") && json.is_null(), "{text}");
}

#[test]
fn a_template_that_nobody_chose_is_not_replaced_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m");
    TinyModel::random(TinyShape::default(), 82).write_hf(&path, WeightType::BF16, 1).unwrap();
    let named = json!([{"name": "rag", "template": "x"}, {"name": "tool_use", "template": "y"}]);
    change(&path.join("tokenizer_config.json"), |c| c["chat_template"] = named.clone());
    let model = path.to_str().unwrap();
    succeed(&["run", "-m", model, "-p", "Hi", "-n", "1"]);
    let error = fail(&["run", "-m", model, "-p", "Hi", "-n", "1", "--chat"]);
    assert!(
        error.contains("chat templates by name (rag, tool_use)") && error.contains("--chat-template-file"),
        "{error}"
    );
    let own = dir.path().join("own.jinja");
    fs::write(&own, "{{ messages[0].content }}").unwrap();
    let file = own.to_str().unwrap();
    succeed(&["run", "-m", model, "-p", "Hi", "-n", "1", "--chat", "--chat-template-file", file]);
}

/// Another name of the same length in the metadata, which are the first section, and all checksums right again.
fn rename_architecture(store: &Path) {
    let mut bytes = fs::read(store).unwrap();
    let at = |bytes: &[u8], place: usize| {
        usize::try_from(u64::from_le_bytes(bytes[place..place + 8].try_into().unwrap())).unwrap()
    };
    let section = |bytes: &[u8], place: usize| at(bytes, place)..at(bytes, place) + at(bytes, place + 8);
    let json = section(&bytes, 56);
    let name = bytes[json.clone()].windows(8).position(|text| text == b"qwen3moe").unwrap();
    bytes[json.start + name..][..8].copy_from_slice(b"llamamoe");
    let mut id = blake3::Hasher::new();
    for place in [56, 80, 104] {
        id.update(&bytes[section(&bytes, place)]);
    }
    bytes[24..56].copy_from_slice(id.finalize().as_bytes());
    let crc = crc32c::crc32c(&bytes[json]);
    bytes[72..76].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
    fs::write(store, bytes).unwrap();
}

#[test]
fn a_packed_store_says_its_architecture_and_another_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [model, store] = ["m", "m.hotset"].map(|name| dir.path().join(name));
    TinyModel::random(TinyShape::default(), 83).write_hf(&model, WeightType::BF16, 1).unwrap();
    let [file, packed] = [&model, &store].map(|path| path.to_str().unwrap());
    succeed(&["pack", file, packed, "--quant", "keep"]);
    for path in [file, packed] {
        let shown: Value = serde_json::from_str(&succeed(&["show", path, "--json"]).0).unwrap();
        assert_eq!(shown["architecture"], "qwen3moe");
    }
    rename_architecture(&store);
    for command in [&["show", packed][..], &["verify", packed], &["run", "-m", packed, "-p", "Hi", "-n", "1"]]
    {
        let error = fail(command);
        assert!(error.contains("architecture `llamamoe` is not supported"), "{error}");
    }
}

#[test]
fn a_cause_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m");
    TinyModel::random(TinyShape::default(), 83).write_hf(&path, WeightType::BF16, 1).unwrap();
    let weights = path.join("model.safetensors");
    fs::remove_file(&weights).unwrap();
    std::os::unix::fs::symlink(&weights, &weights).unwrap();
    let error = fail(&["run", "-m", path.to_str().unwrap(), "-p", "Hi"]);
    assert_eq!(error.matches("os error").count(), 1, "{error}");
}
