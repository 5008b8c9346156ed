//! Files that cost their maker nothing must not cost their reader memory or time.
//!
//! One test in a process of its own: what it measures is the process's own peak.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hotset_base::{Bytes, WeightType, limits};
use hotset_testkit::{TinyModel, TinyShape};
use serde_json::json;

/// Peak of resident memory so far.
fn peak() -> Bytes {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    Bytes(kib * 1024)
}

/// A refusal, by what it says, within time and memory.
fn refused(path: &Path, expected: &str, most: Bytes) {
    let (start, before) = (Instant::now(), peak());
    let error = hotset_format::open(path).expect_err(expected).to_string();
    let (took, grew) = (start.elapsed(), peak().saturating_sub(before));
    assert!(error.contains(expected), "{error}");
    // About one second on an idle machine for the slowest; the margin is for machines that are not.
    assert!(took < Duration::from_secs(8), "{error}: took {took:?}");
    assert!(grew < most, "{error}: took {grew}");
}

/// A GGUF file of `pairs` pairs, each `value` and then a hole.
fn sparse(path: &Path, pairs: u64, value: &[u8], hole: u64) {
    let mut file = File::create(path).unwrap();
    file.write_all(b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    file.write_all(&pairs.to_le_bytes()).unwrap();
    for i in 0..pairs {
        let key = format!("key{i}");
        file.write_all(&(key.len() as u64).to_le_bytes()).unwrap();
        file.write_all(&[key.as_bytes(), value].concat()).unwrap();
        file.seek(SeekFrom::Current(hole as i64)).unwrap();
    }
    let end = file.stream_position().unwrap();
    file.set_len(end + 4096).unwrap();
}

#[test]
fn what_costs_nothing_to_make_costs_little_to_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    let small = Bytes::mib(16);
    let bytes = |parts: &[&[u8]]| parts.concat();

    let text = bytes(&[&8u32.to_le_bytes(), &(1u64 << 20).to_le_bytes()]);
    sparse(&path, 1000, &text, 1 << 20);
    refused(&path, "would make the header longer than", small);
    sparse(&path, 100, &text, 1 << 20);
    refused(&path, "no general.architecture", small);

    // Of arrays and of strings, all empty: every element costs a read.
    let most = limits::MAX_VOCAB as u64;
    for (kind, each) in [(9u32, 12), (8, 8)] {
        let array = bytes(&[&9u32.to_le_bytes(), &kind.to_le_bytes(), &most.to_le_bytes()]);
        sparse(&path, 200, &array, most * each);
        refused(&path, "would make the header longer than", small);
    }
    let array = bytes(&[&9u32.to_le_bytes(), &8u32.to_le_bytes(), &(1u64 << 31).to_le_bytes()]);
    sparse(&path, 1, &array, 1 << 35);
    refused(&path, "would make the header longer than", small);

    // JSON whose tree would be many times the file.
    let hub = dir.path().join("hub");
    TinyModel::random(TinyShape::default(), 50).write_hf(&hub, WeightType::BF16, 1).unwrap();
    let tokenizer = hub.join("tokenizer.json");
    let whole: serde_json::Value = serde_json::from_slice(&fs::read(&tokenizer).unwrap()).unwrap();
    let numbers = format!("[{}0]", "0,".repeat(4 << 20));
    for (place, expected) in [
        (json!({"pre_tokenizer": {"type": "Sequence", "more": "HERE"}}), "pre-tokenizer"),
        (json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": "HERE"}}), "not usable JSON"),
        (json!({"model": {"merges": "HERE"}}), "expected a merge"),
        (json!({"added_tokens": "HERE"}), "not usable JSON"),
    ] {
        let mut file = whole.clone();
        file.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        fs::write(&tokenizer, file.to_string().replace("\"HERE\"", &numbers)).unwrap();
        refused(&hub, expected, Bytes(2 * numbers.len() as u64 + small.0));
    }
    fs::write(&tokenizer, whole.to_string()).unwrap();
    let config = hub.join("generation_config.json");
    fs::write(config, format!("{{\"eos_token_id\":{numbers}}}")).unwrap();
    refused(&hub, "at most", Bytes(2 * numbers.len() as u64 + small.0));
}
