//! Safetensors files and indices made to break readers, and checkpoints whose parts disagree.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotset_base::WeightType;
use hotset_testkit::{TinyModel, TinyShape};
use serde_json::{Map, Value, json};

const VICTIM: &str = "model.layers.1.mlp.experts.3.up_proj.weight";

fn written(shards: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    TinyModel::random(TinyShape::default(), 20).write_hf(dir.path(), WeightType::BF16, shards).unwrap();
    dir
}

fn refusal(dir: &Path) -> String {
    let start = Instant::now();
    let error = hotset_format::open(dir).expect_err("a hostile checkpoint").to_string();
    // A tenth of a second on an idle machine; the margin is for machines that are not.
    assert!(start.elapsed() < Duration::from_millis(1000), "took {:?}", start.elapsed());
    assert!(!error.contains(char::is_control), "{error:?}");
    error
}

/// Rewrites the header of a file and leaves its data as it is.
fn with_header(path: &Path, change: &dyn Fn(&mut Map<String, Value>)) {
    let bytes = fs::read(path).unwrap();
    let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Map<String, Value> = serde_json::from_slice(&bytes[8..data]).unwrap();
    change(&mut header);
    let json = serde_json::to_vec(&header).unwrap();
    fs::write(path, [&(json.len() as u64).to_le_bytes(), &json[..], &bytes[data..]].concat()).unwrap();
}

#[test]
fn entries_that_lie_are_named() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 13] = [
        ("8 bits", |t| t["dtype"] = json!("F8_E4M3"), "has dtype F8_E4M3; supported are BF16, F16 and F32"),
        ("integers", |t| t["dtype"] = json!("I64"), "has dtype I64"),
        ("escapes", |t| t["dtype"] = json!("\u{1b}[31m\n"), "has dtype \\u{1b}[31m\\n"),
        ("twice the bytes", |t| t["dtype"] = json!("F32"), "does not fit its bytes"),
        ("backwards", |t| t["data_offsets"] = json!([64, 0]), "does not fit its bytes 64 to 0"),
        ("wraps", |t| t["shape"] = json!([1u64 << 32, 1u64 << 32]), "does not fit its bytes"),
        ("wraps in bytes", |t| t["shape"] = json!([1u64 << 62, 2]), "does not fit its bytes"),
        ("five dimensions", |t| t["shape"] = json!([32, 64, 1, 1, 1]), "does not fit its bytes"),
        ("overlap", |t| shift(t, -2), "overlaps the one before it"),
        ("hole", |t| shift(t, 2), "leaves a hole before it"),
        ("past the end", |t| shift(t, 1 << 40), "ends at byte"),
        ("offset wraps", |t| t["data_offsets"] = json!([u64::MAX - 4095, u64::MAX]), "does not fit"),
        ("empty", |t| (t["shape"], t["data_offsets"]) = (json!([0, 64]), json!([0, 0])), "`"),
    ];
    for (name, change, expected) in cases {
        let dir = written(1);
        with_header(&dir.path().join("model.safetensors"), &|header| change(&mut header[VICTIM]));
        let error = refusal(dir.path());
        assert!(error.contains("tensor `model.layers.") && error.contains(expected), "{name}: {error}");
    }
}

/// Moves a tensor's bytes by some.
fn shift(tensor: &mut Value, by: i64) {
    let moved: Vec<i64> =
        tensor["data_offsets"].as_array().unwrap().iter().map(|at| at.as_i64().unwrap() + by).collect();
    tensor["data_offsets"] = json!(moved);
}

#[test]
fn headers_that_are_none() {
    let dir = written(1);
    let path = dir.path().join("model.safetensors");
    let file = |length: u64, json: &[u8]| [&length.to_le_bytes(), json].concat();
    let deep = |n: usize| [b"{\"a\":".repeat(n), b"[".repeat(n)].concat();
    let cases = [
        ("empty", vec![], "is empty"),
        ("seven bytes", vec![0; 7], "too short"),
        ("no header", file(0, b""), "declares no header"),
        ("2^63", file(1 << 63, b"{}"), "more than the format allows"),
        ("2^64-1", file(u64::MAX, b"{}"), "more than the format allows"),
        ("longer than the file", file(3, b"{}"), "the header ends at byte 11"),
        ("a list", file(2, b"[]"), "an object of tensors"),
        ("nested", file(60_000, &deep(10_000)), "not usable JSON"),
        ("not UTF-8", file(9, b"{\"\xff\xfe\":1} "), "not usable JSON"),
        ("no tensors", file(2, b"{}"), "`model.embed_tokens.weight` is missing"),
        ("a tensor of nothing", file(8, b"{\"a\":{}}"), "missing field"),
        ("negative", file(58, br#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}   "#), "-1"),
        ("data alone", file(2, b"{}data"), "belong to nothing"),
    ];
    for (name, bytes, expected) in cases {
        fs::write(&path, bytes).unwrap();
        let error = refusal(dir.path());
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn an_index_that_disagrees_with_its_shards_is_refused() {
    const FIRST: &str = "model-00001-of-00002.safetensors";
    const SECOND: &str = "model-00002-of-00002.safetensors";
    let other = |shard: &Value| if shard == FIRST { json!(SECOND) } else { json!(FIRST) };
    let refused = |change: &dyn Fn(&mut Map<String, Value>), expected: &str| {
        let dir = written(2);
        let path = index(dir.path());
        let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(index["weight_map"].as_object_mut().unwrap());
        fs::write(path, index.to_string()).unwrap();
        let error = refusal(dir.path());
        assert!(error.contains(expected), "{error}");
    };
    refused(&|map| drop(map.remove(VICTIM)), &format!("`{VICTIM}` is not listed in"));
    refused(&|map| map[VICTIM] = other(&map[VICTIM]), &format!("`{VICTIM}` is also listed in"));
    refused(
        &|map| drop(map.insert("model.layers.1.more.weight".to_owned(), json!(FIRST))),
        "`model.layers.1.more.weight` is missing although the index lists it",
    );
    refused(&|map| map[VICTIM] = json!("gone.safetensors"), "gone.safetensors: shard 1 of 3 is missing");
    refused(&|map| map[VICTIM] = json!("config.json"), "config.json: ");
    refused(&|map| map[VICTIM] = json!("a\n\u{1b}[31m"), "`a\\n\\u{1b}[31m`, which is not a plain file name");
    refused(&|map| map.clear(), "`model.embed_tokens.weight` is missing");

    let dir = written(2);
    let text = fs::read_to_string(index(dir.path())).unwrap();
    let again = format!("\"{VICTIM}\":\"{FIRST}\",\"model.norm.weight\":");
    fs::write(index(dir.path()), text.replace("\"model.norm.weight\":", &again)).unwrap();
    let error = refusal(dir.path());
    assert!(error.contains(&format!("`{VICTIM}` is listed twice")), "{error}");
}

fn index(dir: &Path) -> PathBuf {
    dir.join("model.safetensors.index.json")
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    for name in ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"] {
        let dir = written(1);
        let path = dir.path().join(name);
        fs::remove_file(&path).unwrap();
        if !std::process::Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success()) {
            return; // a machine without pipes that have names
        }
        // A pipe for config.json is no config.json, so the directory is none of a checkpoint.
        let expected = if name == "config.json" { "without config.json" } else { "not a regular file" };
        let error = refusal(dir.path());
        assert!(error.contains(expected), "{name}: {error}");
    }
}
