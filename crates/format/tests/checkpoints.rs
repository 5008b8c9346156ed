//! Invariant 3: a complete model or none. Checkpoints with one thing wrong are refused by the name of
//! what is wrong, in both source formats.

use std::fs;
use std::path::Path;

use hotset_base::WeightType;
use hotset_testkit::{Random, TinyModel, TinyShape, TinyTensor};

fn tiny(seed: u64) -> TinyModel {
    TinyModel::random(TinyShape { tied: false, ..TinyShape::default() }, seed)
}

fn refusal(path: &Path) -> String {
    let error = hotset_format::open(path).expect_err("a damaged checkpoint").to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

/// Every third tensor: all kinds, many experts.
fn some_tensors(model: &TinyModel) -> impl Iterator<Item = (usize, TinyTensor)> + '_ {
    model.tensors.iter().cloned().enumerate().step_by(3)
}

#[test]
fn a_missing_tensor_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let whole = tiny(1);
    for (i, tensor) in some_tensors(&whole) {
        let mut model = whole.clone();
        model.tensors.remove(i);
        for shards in [1, 3] {
            let path = dir.path().join(format!("{i}-{shards}"));
            model.write_hf(&path, WeightType::BF16, shards).unwrap();
            let error = refusal(&path);
            assert!(error.contains(&format!("`{}` is missing", tensor.name)), "{error}");
        }
        let path = dir.path().join("x.gguf");
        model.write_gguf(&path, &|_| WeightType::BF16, 1).unwrap();
        let error = refusal(&path);
        assert!(error.contains("is missing") || error.contains("has shape"), "{}: {error}", tensor.name);
    }
}

#[test]
fn a_misshapen_tensor_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let whole = tiny(2);
    for (i, tensor) in some_tensors(&whole) {
        let mut model = whole.clone();
        let shape = &mut model.tensors[i].shape;
        // A row less, or the same bytes in another arrangement.
        let rows = shape[0];
        if i % 2 == 0 {
            shape[0] -= 1;
            model.tensors[i].values.truncate(tensor.values.len() / rows * (rows - 1));
        } else {
            shape.insert(0, 1);
        }
        let path = dir.path().join(format!("{i}"));
        model.write_hf(&path, WeightType::F16, 2).unwrap();
        let error = refusal(&path);
        assert!(error.contains(&format!("`{}` has shape", tensor.name)), "{error}");
    }
}

#[test]
fn a_repeated_or_unknown_tensor_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let whole = tiny(3);
    for (i, tensor) in some_tensors(&whole) {
        let mut model = whole.clone();
        model.tensors.insert((i + 1).min(model.tensors.len()), tensor.clone());
        let path = dir.path().join(format!("twice-{i}"));
        model.write_hf(&path, WeightType::BF16, 2).unwrap();
        let error = refusal(&path);
        assert!(error.contains(&format!("`{}`", tensor.name)), "{error}");

        let mut model = whole.clone();
        model.tensors[i].name.push_str(".bias");
        let path = dir.path().join(format!("renamed-{i}"));
        model.write_hf(&path, WeightType::BF16, 1).unwrap();
        let error = refusal(&path);
        assert!(error.contains(&tensor.name), "{error}");
    }
    let mut model = whole;
    let mut extra = model.tensors[0].clone();
    extra.name = "model.layers.0.self_attn.q_proj.bias".to_owned();
    model.tensors.push(extra);
    model.write_hf(&dir.path().join("extra"), WeightType::BF16, 1).unwrap();
    assert!(refusal(&dir.path().join("extra")).contains("q_proj.bias` is not a part of the Qwen3-MoE"));
}

#[test]
fn a_name_that_a_header_repeats_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    tiny(4).write_hf(dir.path(), WeightType::BF16, 1).unwrap();
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    // A JSON map would silently keep the last of the two.
    let renamed = header.replace("layers.1.mlp.experts.3.up_proj", "layers.1.mlp.experts.2.up_proj");
    assert_eq!(renamed.len(), header.len());
    fs::write(&path, [&bytes[..8], renamed.as_bytes(), &bytes[8 + length..]].concat()).unwrap();
    let error = refusal(dir.path());
    assert!(error.contains("`model.layers.1.mlp.experts.2.up_proj.weight` is there twice"), "{error}");
}

#[test]
fn shards_cut_anywhere_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    tiny(5).write_hf(dir.path(), WeightType::BF16, 3).unwrap();
    let shard = dir.path().join("model-00002-of-00003.safetensors");
    let whole = fs::read(&shard).unwrap();
    let seed = Random::fresh_seed();
    let mut random = Random::new(seed);
    for _ in 0..300 {
        let end = random.below(whole.len());
        fs::write(&shard, &whole[..end]).unwrap();
        assert!(refusal(dir.path()).contains("model-00002"), "seed {seed}: cut at {end}");
    }
    fs::write(&shard, [&whole[..], b"x"].concat()).unwrap();
    assert!(refusal(dir.path()).contains("belong to nothing"));
    fs::remove_file(&shard).unwrap();
    assert!(refusal(dir.path()).contains("model-00002-of-00003.safetensors: shard 2 of 3 is missing"));
}

#[test]
fn headers_flipped_anywhere_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    tiny(6).write_hf(dir.path(), WeightType::BF16, 1).unwrap();
    let seed = Random::fresh_seed();
    let mut random = Random::new(seed);
    for name in ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        for _ in 0..300 {
            let mut bytes = whole.clone();
            let at = random.below(bytes.len().min(12_000));
            bytes[at] ^= 1 << random.below(8);
            fs::write(&path, &bytes).unwrap();
            if let Ok(model) = hotset_format::open(dir.path()) {
                let fits = model.experts.iter().all(|e| {
                    e.in_order().iter().all(|t| t.extent.end() <= model.file(t.extent.file).bytes.0)
                });
                assert!(fits, "seed {seed}: {name}, byte {at}");
            }
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn configurations_that_would_compute_something_else_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    tiny(7).write_hf(dir.path(), WeightType::BF16, 1).unwrap();
    let path = dir.path().join("config.json");
    let whole = fs::read_to_string(&path).unwrap();
    let cases = [
        (
            "\"Qwen3MoeForCausalLM\"",
            "\"MixtralForCausalLM\"",
            "architecture `MixtralForCausalLM` is not supported",
        ),
        ("\"attention_bias\":false", "\"attention_bias\":true", "attention_bias"),
        ("\"silu\"", "\"gelu\"", "hidden_act `gelu` is not supported"),
        (
            "\"mlp_only_layers\":[]",
            "\"mlp_only_layers\":[0]",
            "mlp_only_layers (a list of 1) is not supported; supported: experts in every layer",
        ),
        ("\"rope_scaling\":null", "\"rope_scaling\":{\"rope_type\":\"longrope\"}", "rope scaling `longrope`"),
        ("\"rope_scaling\":null", "\"quantization_config\":{}", "quantization_config"),
        ("\"num_experts_per_tok\":2", "\"num_experts_per_tok\":9", "9 experts per token but has only 8"),
        ("\"num_hidden_layers\":2", "\"num_hidden_layers\":100000", "number of layers is 100000"),
        ("\"num_key_value_heads\":2", "\"num_key_value_heads\":3", "4 heads do not share 3"),
        ("\"hidden_size\":64", "\"hidden_size\":-1", "not usable JSON"),
        ("\"rope_theta\":10000.0", "\"rope_theta\":0.0", "rotary base 0"),
    ];
    for (from, to, expected) in cases {
        let changed = whole.replace(from, to);
        assert_ne!(changed, whole, "{from}");
        fs::write(&path, changed).unwrap();
        let error = refusal(dir.path());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn tokenizers_that_would_split_otherwise_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    tiny(8).write_hf(dir.path(), WeightType::BF16, 1).unwrap();
    let path = dir.path().join("tokenizer.json");
    let whole = fs::read_to_string(&path).unwrap();
    let cases = [
        ("\\\\s+(?!\\\\S)", "(a+)+", "pre-tokenizer `Split, ByteLevel` is not supported"),
        ("\"BPE\"", "\"Unigram\"", "the tokenizer model `Unigram`"),
        ("\"NFC\"", "\"NFKC\"", "the normalizer `NFKC`"),
        ("\"id\":299", "\"id\":2999", "token id 2999 is beyond"),
        ("[\"t\",\"h\"]", "[\"t\",\"zzz\"]", "`zzz`, which is not in the vocabulary"),
    ];
    for (from, to, expected) in cases {
        let changed = whole.replace(from, to);
        assert_ne!(changed, whole, "{from}");
        fs::write(&path, changed).unwrap();
        let error = refusal(dir.path());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn shard_names_cannot_leave_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    tiny(9).write_hf(dir.path(), WeightType::BF16, 2).unwrap();
    let path = dir.path().join("model.safetensors.index.json");
    let whole = fs::read_to_string(&path).unwrap();
    for name in ["../x.safetensors", "/etc/passwd", "a/b", "a\\\\b", "..", ""] {
        fs::write(&path, whole.replace("model-00001-of-00002.safetensors", name)).unwrap();
        let error = refusal(dir.path());
        assert!(error.contains("not a plain file name"), "{error}");
    }
}

#[test]
fn a_huge_header_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    tiny(10).write_hf(dir.path(), WeightType::BF16, 1).unwrap();
    let path = dir.path().join("model.safetensors");
    for (length, expected) in
        [(100_000_001u64, "more than the format allows"), (100_000_000, "the header ends at")]
    {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend([b'['; 4096]);
        fs::write(&path, bytes).unwrap();
        let error = refusal(dir.path());
        assert!(error.contains(expected), "{error}");
    }
    let mut bytes = 4096u64.to_le_bytes().to_vec();
    bytes.extend([b'['; 4096]);
    fs::write(&path, bytes).unwrap();
    assert!(refusal(dir.path()).contains("not usable JSON"));
}

#[test]
fn both_formats_of_a_model_describe_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    for tied in [true, false] {
        let tiny = TinyModel::random(TinyShape { tied, ..TinyShape::default() }, 11);
        let (hf, gguf) = (dir.path().join(format!("hf-{tied}")), dir.path().join(format!("{tied}.gguf")));
        tiny.write_hf(&hf, WeightType::BF16, 3).unwrap();
        tiny.write_gguf(&gguf, &|_| WeightType::BF16, 1).unwrap();
        let (hf, gguf) = (hotset_format::open(&hf).unwrap(), hotset_format::open(&gguf).unwrap());
        assert_eq!(hf.tokenizer, gguf.tokenizer);
        assert_eq!(hf.chat_template, gguf.chat_template);
        assert_eq!(hf.expert_bytes(), gguf.expert_bytes());
        let shape =
            |c: &hotset_format::ModelConfig| hotset_format::ModelConfig { name: String::new(), ..c.clone() };
        assert_eq!(shape(&hf.config), shape(&gguf.config));
        assert_eq!(hf.dense.head.is_none(), tied);
        assert_eq!(gguf.dense.head.is_none(), tied);
    }
}

#[test]
fn files_of_another_writer_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = tiny(12);
    tiny.write_hf(dir.path(), WeightType::F32, 1).unwrap();
    let key = hotset_base::ExpertKey::new(hotset_base::LayerId(1), hotset_base::ExpertId(2));
    let read = |model: &hotset_format::Checkpoint| {
        let extent = model.expert(key).down.extent;
        let mut out = vec![0; extent.bytes.index()];
        hotset_format::read_extent(&model.files, &extent, &mut out).unwrap();
        out
    };
    let expected = read(&hotset_format::open(dir.path()).unwrap());
    let bytes: Vec<Vec<u8>> =
        tiny.tensors.iter().map(|t| t.values.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tiny.tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, tensor.shape.clone(), bytes);
        (tensor.name.clone(), view.unwrap())
    });
    let path = dir.path().join("model.safetensors");
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    let found = hotset_format::open(dir.path()).unwrap();
    assert!(expected == read(&found));
}

#[test]
fn an_identity_is_the_models_and_not_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let identity = |name: &str, model: &TinyModel, shards| {
        let path = dir.path().join(name);
        model.write_hf(&path, WeightType::F32, shards).unwrap();
        hotset_format::identity(&hotset_format::open(&path).unwrap()).unwrap()
    };
    let own = identity("a", &tiny(8), 1);
    assert_eq!(own, identity("renamed", &tiny(8), 3));
    assert_ne!(own, identity("c", &tiny(9), 1), "same shape, other weights");
}
