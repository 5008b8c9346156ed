//! GGUF files made to break readers: each is refused in one line, quickly, without taking memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotset_base::WeightType;
use hotset_format::{Checkpoint, FormatError};
use hotset_testkit::{GgufBuilder, Random, TinyModel, TinyShape};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn open_bytes(dir: &Path, bytes: &[u8]) -> Result<Checkpoint, FormatError> {
    let path = dir.join("x.gguf");
    fs::write(&path, bytes).unwrap();
    timed(&path)
}

fn timed(path: &Path) -> Result<Checkpoint, FormatError> {
    let start = Instant::now();
    let result = hotset_format::open(path);
    // A tenth of a second on an idle machine; the margin is for machines that are not.
    assert!(start.elapsed() < Duration::from_millis(1000), "took {:?}", start.elapsed());
    if let Err(error) = &result {
        let line = error.to_string();
        assert!(!line.contains('\n') && line.contains("x.gguf"), "{line}");
    }
    result
}

/// The refusal of these bytes.
fn refusal(bytes: &[u8]) -> String {
    open_bytes(dir().path(), bytes).expect_err("hostile file").to_string()
}

fn sound() -> (TinyModel, GgufBuilder) {
    let tiny = TinyModel::random(TinyShape::default(), 1);
    let mut file = GgufBuilder::new();
    tiny.metadata(&mut file);
    (tiny, file)
}

/// Header bytes: magic, version, tensors, pairs.
fn header(version: u32, tensors: u64, pairs: u64) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(version.to_le_bytes());
    out.extend(tensors.to_le_bytes());
    out.extend(pairs.to_le_bytes());
    out
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

#[test]
fn headers_that_lie() {
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("empty", vec![], "is empty: nothing of it was downloaded"),
        ("magic only", b"GGUF".to_vec(), "truncated"),
        ("no counts", header(3, 0, 0)[..12].to_vec(), "truncated"),
        ("version 0", header(0, 0, 0), "GGUF version 0"),
        ("version 1", header(1, 0, 0), "GGUF version 1 is not supported"),
        ("version 99", header(99, 0, 0), "GGUF version 99"),
        ("big endian", header(3u32.swap_bytes(), 0, 0), "big-endian"),
        ("2^63 pairs", header(3, 0, 1 << 63), "overflows"),
        ("2^32 tensors", header(3, 1 << 32, 0), "the tensor table ends at"),
    ];
    for (name, bytes, expected) in cases {
        let error = refusal(&bytes);
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn metadata_that_lies() {
    let with = |tail: &[u8]| [header(3, 0, 1), tail.to_vec(), vec![0; 64]].concat();
    let key = string(b"k");
    let typed = |kind: u32, value: &[u8]| with(&[&key[..], &kind.to_le_bytes(), value].concat());
    let array = |kind: u32, count: u64| typed(9, &[&kind.to_le_bytes()[..], &count.to_le_bytes()].concat());
    let deep: Vec<u8> = std::iter::repeat_n([&9u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat(), 10_000)
        .flatten()
        .collect();
    let cases = [
        ("key of 2^40 bytes", with(&(1u64 << 40).to_le_bytes()), "a metadata key ends at"),
        ("key not UTF-8", with(&string(&[0xff, 0xfe])), "not UTF-8"),
        ("string of 2^64-1 bytes", typed(8, &u64::MAX.to_le_bytes()), "a metadata value"),
        ("unknown value type", typed(77, &[]), "unknown metadata value type 77"),
        ("array of 2^62 numbers", array(4, 1 << 62), "overflows"),
        ("array of 2^40 strings", array(8, 1 << 40), "an array ends at"),
        ("array of unknown type", array(99, 1), "unknown metadata value type 99"),
        ("arrays 10,000 deep", typed(9, &deep), "nested more than"),
        ("no architecture", [header(3, 0, 0), vec![0; 64]].concat(), "no general.architecture"),
    ];
    for (name, bytes, expected) in cases {
        let error = refusal(&bytes);
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn keys_that_contradict() {
    let refused = |change: &dyn Fn(&mut GgufBuilder), expected: &str| {
        let (_, mut file) = sound();
        change(&mut file);
        let error = refusal(&file.bytes());
        assert!(error.contains(expected), "{error}");
    };
    refused(&|f| f.number("qwen3moe.block_count", 2), "is there twice");
    for bad in [0, 3, 1 << 30] {
        refused(&move |f| f.number("general.alignment", bad), "general.alignment is");
    }
    refused(&|f| f.text("general.alignment", "32"), "is not a whole number");
    refused(
        &|f| f.text("qwen3moe.rope.scaling.type", "yarn"),
        "rope scaling `yarn` without a factor is not supported",
    );
    let mut other = GgufBuilder::new();
    other.text("general.architecture", "llama\u{1b}[31m");
    let error = refusal(&other.bytes());
    assert!(
        error.contains("architecture `llama\\u{1b}[31m` is not supported; supported: qwen3moe"),
        "{error}"
    );
}

#[test]
fn tensor_tables_that_lie() {
    let f32_id = WeightType::F32.ggml_id();
    let q8 = WeightType::Q8_0.ggml_id();
    type Change = Box<dyn Fn(&mut GgufBuilder)>;
    let entry = |dims: &'static [u64], kind: u32, offset: u64| -> Change {
        Box::new(move |f| f.entry("t", dims, kind, offset))
    };
    let twice: Change = Box::new(move |f| {
        f.tensor("t", &[8], WeightType::F32, &[0; 32]);
        f.entry("t", &[8], f32_id, 0);
    });
    let overlapping: Change = Box::new(move |f| {
        f.tensor("t", &[16], WeightType::F32, &[0; 64]);
        f.entry("u", &[8], f32_id, 32);
    });
    let not_utf8: Change = Box::new(|f| {
        f.raw_table(&string(&[0xc3, 0x28]));
        f.tensors += 1;
        f.raw_table(&[0; 40]);
    });
    let cases: [(&str, Change, &str); 13] = [
        ("no dimensions", entry(&[], f32_id, 0), "has 0 dimensions"),
        ("five dimensions", entry(&[1, 1, 1, 1, 1], f32_id, 0), "has 5 dimensions"),
        ("empty", entry(&[0, 8], f32_id, 0), "empty shape"),
        ("product wraps to 0", entry(&[32, 1 << 32, 1 << 32], f32_id, 0), "overflows"),
        ("product wraps in bytes", entry(&[1 << 40, 1 << 22], f32_id, 0), "overflows"),
        ("negative", entry(&[u64::MAX], f32_id, 0), "`t`"),
        ("not whole blocks", entry(&[33], q8, 0), "not whole Q8_0 blocks"),
        ("past the end", entry(&[64], f32_id, 1 << 20), "ends at byte"),
        ("offset wraps", entry(&[8], f32_id, u64::MAX - 31), "tensor `t`"),
        ("unaligned", entry(&[8], f32_id, 4), "not a multiple of 32"),
        ("there twice", twice, "tensor `t` is there twice"),
        ("overlapping", overlapping, "tensor `u` overlaps `t`"),
        ("name not UTF-8", not_utf8, "a tensor name is not UTF-8"),
    ];
    for (name, change, expected) in cases {
        let (_, mut file) = sound();
        change(&mut file);
        let error = refusal(&file.bytes());
        assert!(error.contains(expected), "{name}: {error}");
    }
    let (_, mut file) = sound();
    file.entry("t", &[256], 16, 0);
    let error = refusal(&file.bytes());
    assert!(error.contains("IQ2_XXS (id 16)") && error.contains("Q4_K"), "{error}");
}

#[test]
fn a_sparse_terabyte_is_refused_without_reading_it() {
    let dir = dir();
    let path = dir.path().join("x.gguf");
    fs::write(&path, header(3, 1 << 20, 1 << 15)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    if file.set_len(1 << 40).is_err() {
        return; // a file system without sparse files of this size
    }
    assert!(timed(&path).is_err());
}

/// Every declared extent of an opened model lies inside its file.
fn extents_fit(model: &Checkpoint) -> bool {
    let dense = model.dense.named().into_iter().map(|(_, tensor)| tensor);
    let experts = model.experts.iter().flat_map(|expert| expert.in_order());
    dense.chain(experts).all(|t| t.extent.end() <= model.file(t.extent.file).bytes.0)
}

#[test]
fn random_cuts_and_flips_never_panic() {
    let dir = dir();
    let path = dir.path().join("whole.gguf");
    TinyModel::random(TinyShape::default(), 2).write_gguf(&path, &|_| WeightType::Q8_0, 1).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(extents_fit(&open_bytes(dir.path(), &whole).unwrap()));
    let seed = Random::fresh_seed();
    let mut random = Random::new(seed);
    for _ in 0..200 {
        let end = random.below(whole.len());
        assert!(open_bytes(dir.path(), &whole[..end]).is_err(), "seed {seed}: cut at {end}");
    }
    for _ in 0..800 {
        let mut bytes = whole.clone();
        // The header of this file is its first 12 KB or so; weights have no checksum in this format.
        let at = random.below(12_000);
        bytes[at] ^= 1 << random.below(8);
        if let Ok(model) = open_bytes(dir.path(), &bytes) {
            assert!(extents_fit(&model), "seed {seed}: byte {at}");
        }
    }
}

#[test]
fn split_sets_are_whole_or_refused() {
    let dir = dir();
    let tiny = TinyModel::random(TinyShape::default(), 3);
    tiny.write_gguf(&dir.path().join("x.gguf"), &|_| WeightType::BF16, 3).unwrap();
    let part = |n: usize| -> PathBuf { dir.path().join(format!("x-{n:05}-of-00003.gguf")) };
    for n in 1..=3 {
        let model = hotset_format::open(&part(n)).unwrap();
        assert_eq!((model.files.len(), model.experts.len()), (3, 16));
    }
    let third = fs::read(part(3)).unwrap();
    fs::remove_file(part(3)).unwrap();
    let error = hotset_format::open(&part(1)).unwrap_err().to_string();
    assert!(error.contains("part 3 of 3 is missing"), "{error}");
    fs::copy(part(2), part(3)).unwrap();
    let error = hotset_format::open(&part(1)).unwrap_err().to_string();
    assert!(error.contains("parts were mixed up"), "{error}");
    fs::write(part(3), third).unwrap();
    fs::rename(part(2), dir.path().join("x-2-of-3.gguf")).unwrap();
    let error = hotset_format::open(&dir.path().join("x-2-of-3.gguf")).unwrap_err().to_string();
    assert!(error.contains("not named like one"), "{error}");
}
