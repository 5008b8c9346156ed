//! The forms that people have of one model, and of one whose positions are stretched: all compute the same bits, packed
//! too, and those are the architecture's, by comparison with a plain f64 implementation.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use hotset_base::WeightType;
use hotset_format::{RopeScaling, Yarn};
use hotset_testkit::{GgufBuilder, TinyModel, TinyShape, naive};
use serde_json::{Value, json};

fn found(path: &Path) -> Vec<u32> {
    let model = hotset_format::open(path).unwrap();
    let tokens = prompt(model.config.vocab, 24);
    bits(&logits(&mut engine(&model, Arena::Half, 2).unwrap(), &tokens, 7))
}

/// The bits of a model and of the store made of it.
fn with_store(dir: &Path, path: &Path) -> [Vec<u32>; 2] {
    let store = dir.join("x.hotset");
    let _ = fs::remove_file(&store);
    pack_keep(path, &store);
    let ledgers =
        [path, &store].map(|path| hotset_format::identity(&hotset_format::open(path).unwrap()).unwrap());
    assert_eq!(ledgers[0], ledgers[1]);
    [found(path), found(&store)]
}

#[test]
fn every_form_computes_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = TinyModel::random(TinyShape { tied: false, ..TinyShape::default() }, 70);
    let hub = |name: &str, model: &TinyModel| {
        let path = dir.path().join(name);
        model.write_hf(&path, WeightType::BF16, 2).unwrap();
        path
    };
    let expected = found(&hub("plain", &tiny));
    let mut forms = vec![
        hub("fused", &tiny.hub_fused()),
        hub("stacked", &tiny.hub_stacked()),
        hub("prefixed", &tiny.hub_fused().renamed(|name| format!("language_model.{name}"))),
    ];
    for (name, tensors) in [("gate_up", tiny.gguf_gate_up()), ("each", tiny.gguf_per_expert())] {
        let path = dir.path().join(format!("{name}.gguf"));
        fs::write(&path, tiny.gguf_of(&tensors, WeightType::BF16, &|_| {}).unwrap()).unwrap();
        forms.push(path);
    }
    for form in forms {
        let [own, packed] = with_store(dir.path(), &form);
        assert!(own == expected && packed == expected, "{}", form.display());
    }
}

/// A model with settings laid over its config.json, or more pairs in its GGUF file.
struct Stretched<'a> {
    rope: Value,
    pairs: &'a dyn Fn(&mut GgufBuilder),
    expected: RopeScaling,
}

impl Stretched<'_> {
    fn write(&self, dir: &Path, tiny: &TinyModel) -> [PathBuf; 2] {
        let (hub, gguf) = (dir.join("hub"), dir.join("x.gguf"));
        tiny.write_hf(&hub, WeightType::BF16, 1).unwrap();
        let config = hub.join("config.json");
        let mut value: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        value["rope_scaling"] = self.rope.clone();
        fs::write(config, value.to_string()).unwrap();
        fs::write(&gguf, tiny.gguf_of(&tiny.fused(), WeightType::BF16, self.pairs).unwrap()).unwrap();
        [hub, gguf]
    }
}

#[test]
fn stretched_positions_are_those_of_the_definition_in_every_format() {
    let key = |key: &str| format!("qwen3moe.rope.scaling.{key}");
    let linear = |f: &mut GgufBuilder| f.float(&key("factor"), 4.0);
    let yarn = |f: &mut GgufBuilder| {
        f.text(&key("type"), "yarn");
        f.float(&key("factor"), 4.0);
        f.number(&key("original_context_length"), 64);
    };
    let attention =
        RopeScaling { attention_factor: 1.138_629_4 * 0.5, ..RopeScaling::yarn(4.0, Yarn::new(64)) };
    let cases = [
        Stretched {
            rope: json!({"rope_type": "linear", "factor": 4.0}),
            pairs: &linear,
            expected: RopeScaling::linear(4.0),
        },
        Stretched {
            rope: json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}),
            pairs: &yarn,
            expected: RopeScaling::yarn(4.0, Yarn::new(64)),
        },
        Stretched {
            rope: json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64,
                "attention_factor": attention.attention_factor}),
            pairs: &|f| {
                yarn(f);
                f.float(&key("attn_factor"), 0.5);
            },
            expected: attention,
        },
    ];
    let dir = tempfile::tempdir().unwrap();
    let tiny = TinyModel::random(TinyShape::default(), 71);
    let mut all = Vec::new();
    for case in &cases {
        let [hub, gguf] = case.write(dir.path(), &tiny);
        let model = hotset_format::open(&hub).unwrap();
        assert_eq!(model.config.rope_scaling, Some(case.expected));
        let [own, packed] = with_store(dir.path(), &hub);
        assert!(own == packed && own == found(&gguf), "{:?}", case.rope);
        let expected = naive::logits(&model, &prompt(model.config.vocab, 24));
        let scale = expected.iter().flatten().fold(0.0f64, |a, b| a.max(b.abs()));
        let pairs = expected.iter().flatten().zip(own.iter().map(|bits| f64::from(f32::from_bits(*bits))));
        let distance = pairs.map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max);
        assert!(distance < 1e-5, "{:?}: {distance}", case.rope);
        all.push(own);
    }
    let plain = dir.path().join("plain");
    tiny.write_hf(&plain, WeightType::BF16, 1).unwrap();
    all.push(found(&plain));
    let [_, packed] = with_store(dir.path(), &plain);
    assert!(packed == all[3] && (0..4).all(|i| (0..i).all(|j| all[i] != all[j])), "each computes its own");
}

#[test]
fn a_store_of_stretched_positions_is_one_that_earlier_versions_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = TinyModel::random(TinyShape::default(), 72);
    let rope = json!({"rope_type": "linear", "factor": 2.0});
    let case = Stretched { rope, pairs: &|_| {}, expected: RopeScaling::linear(2.0) };
    let [scaled, plain] = case.write(dir.path(), &tiny);
    let version = |source: &Path| {
        let (store, again) = (dir.path().join("a.hotset"), dir.path().join("b.hotset"));
        for path in [&store, &again] {
            let _ = fs::remove_file(path);
        }
        pack_keep(source, &store);
        pack_keep(&store, &again);
        let bytes = fs::read(&store).unwrap();
        assert!(bytes == fs::read(&again).unwrap(), "packing a store keeps what it says");
        bytes[8]
    };
    assert_eq!((version(&scaled), version(&plain)), (3, 2));
}
