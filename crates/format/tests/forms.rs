//! Models as people have them: written by other programs and versions, put together otherwise, half downloaded. Each
//! means the same model, or is refused by the name of what it is.

use std::fs;
use std::path::{Path, PathBuf};

use hotset_base::WeightType;
use hotset_format::{Checkpoint, TensorSlice, open, read_extent};
use hotset_testkit::{TinyModel, TinyShape, TinyTensor};
use serde_json::{Value, json};

fn tiny(tied: bool) -> TinyModel {
    TinyModel::random(TinyShape { tied, ..TinyShape::default() }, 60)
}

/// Bytes of every tensor, dense ones first.
fn weights(model: &Checkpoint) -> Vec<Vec<u8>> {
    let read = |tensor: &TensorSlice| {
        let mut bytes = vec![0; tensor.extent.bytes.index()];
        read_extent(&model.files, &tensor.extent, &mut bytes).unwrap();
        bytes
    };
    let dense = model.dense.named();
    let experts = model.experts.iter().flat_map(|expert| expert.in_order());
    dense.iter().map(|(_, tensor)| read(tensor)).chain(experts.map(|part| read(&part))).collect()
}

fn hub(dir: &Path, name: &str, model: &TinyModel) -> PathBuf {
    let path = dir.join(name);
    model.write_hf(&path, WeightType::BF16, 2).unwrap();
    path
}

fn refusal(path: &Path) -> String {
    let error = open(path).expect_err("what cannot be used").to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

/// An error that names what it is and sends nobody to download again what is whole.
fn named(path: &Path, words: &[&str]) {
    let error = refusal(path);
    assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
    assert!(!error.contains("incomplete") && !error.contains("again"), "{error}");
}

fn change(path: &Path, change: impl Fn(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn every_form_of_a_hub_checkpoint_is_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    for tied in [true, false] {
        let plain = tiny(tied);
        let expected = weights(&open(&hub(dir.path(), "plain", &plain)).unwrap());
        let inside = |name: &str| match name.strip_prefix("model.") {
            Some(rest) => format!("model.language_model.{rest}"),
            None => name.to_owned(),
        };
        let bare = |name: &str| name.strip_prefix("model.").unwrap_or(name).to_owned();
        for (form, model) in [
            ("fused", plain.hub_fused()),
            ("stacked", plain.hub_stacked()),
            (
                "fused .weight",
                plain.hub_fused().renamed(|name| name.replace("gate_up_proj", "gate_up_proj.weight")),
            ),
            ("language_model.", plain.renamed(|name| format!("language_model.{name}"))),
            ("model.language_model.", plain.renamed(inside)),
            ("without model.", plain.renamed(bare)),
            ("_orig_mod.", plain.hub_fused().renamed(|name| format!("_orig_mod.{name}"))),
        ] {
            let found = weights(&open(&hub(dir.path(), form, &model)).unwrap());
            assert!(found == expected, "{form}, tied {tied}");
        }
    }
}

#[test]
fn every_form_of_a_gguf_file_is_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = TinyModel::random(TinyShape { layers: 1, experts: 3, ..TinyShape::k_quant() }, 61);
    for ty in [WeightType::F32, WeightType::BF16, WeightType::Q8_0, WeightType::Q4_K] {
        let write = |name: &str, tensors: &[TinyTensor]| {
            let path = dir.path().join(name);
            fs::write(&path, tiny.gguf_of(tensors, ty, &|_| {}).unwrap()).unwrap();
            weights(&open(&path).unwrap())
        };
        let expected = write("plain.gguf", &tiny.fused());
        assert!(write("gate_up.gguf", &tiny.gguf_gate_up()) == expected, "{ty}");
        assert!(write("each.gguf", &tiny.gguf_per_expert()) == expected, "{ty}");
    }
}

#[test]
fn what_has_another_form_is_called_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let plain = tiny(false);
    let mut turned = plain.hub_fused();
    let experts = turned.tensors.iter_mut().filter(|tensor| tensor.name.contains("experts"));
    experts.for_each(|tensor| tensor.shape.swap(1, 2));
    named(&hub(dir.path(), "turned", &turned), &["experts.down_proj`", "rows and columns are exchanged"]);
    let with = |name: &str, to: &str| plain.renamed(|tensor| tensor.replace(name, to));
    for (name, to, form) in [
        ("q_proj.weight", "q_proj.qweight", "GPTQ and AWQ"),
        ("q_proj.weight", "q_proj.weight_packed", "compressed-tensors"),
        ("mlp.experts.0.gate_proj", "mlp.gate_proj", "a layer without experts"),
        ("mlp.experts", "block_sparse_moe.experts", "Mixtral"),
        ("self_attn.q_proj", "linear_attn.in_proj", "linear attention"),
        ("q_proj.weight", "q_proj.lora_A.weight", "adapter"),
        ("self_attn.q_proj", "self_attn.strange", "self_attn.strange"),
    ] {
        named(&hub(dir.path(), "other", &with(name, to)), &["is missing, and there is", form]);
    }
    let mut extra = plain.clone();
    extra.tensors.push(TinyTensor { name: "mtp.fc.weight".to_owned(), ..plain.tensors[0].clone() });
    named(&hub(dir.path(), "extra", &extra), &["mtp.fc.weight", "layers that foretell further tokens"]);
    let mut deeper = plain.clone();
    let name = "model.layers.2.input_layernorm.weight".to_owned();
    deeper.tensors.push(TinyTensor { name, ..plain.tensors[1].clone() });
    named(&hub(dir.path(), "deeper", &deeper), &["layers.2.", "the configuration has 2 layers"]);
    // Where nothing unknown is left over it is right to say so.
    let mut less = plain.hub_fused();
    less.tensors.pop();
    assert!(refusal(&hub(dir.path(), "less", &less)).contains("the checkpoint is incomplete; get it again"));
}

#[test]
fn a_tied_head_must_be_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let plain = tiny(true);
    let mut copy = plain.clone();
    copy.tensors.push(TinyTensor { name: "lm_head.weight".to_owned(), ..plain.tensors[0].clone() });
    let path = hub(dir.path(), "copy", &copy);
    assert!(open(&path).unwrap().dense.head.is_none());
    *copy.tensors.last_mut().unwrap().values.last_mut().unwrap() += 1.0;
    named(
        &hub(dir.path(), "other", &copy),
        &["lm_head.weight", "not a copy of the embedding", "tie_word_embeddings"],
    );
    copy.tensors.last_mut().unwrap().shape.swap(0, 1);
    copy.tensors.last_mut().unwrap().values.truncate(64);
    copy.tensors.last_mut().unwrap().shape = vec![1, 64];
    named(&hub(dir.path(), "short", &copy), &["lm_head.weight", "not a copy"]);

    let path = hub(dir.path(), "untold", &plain);
    change(&path.join("config.json"), |c| drop(c.as_object_mut().unwrap().remove("tie_word_embeddings")));
    named(&path, &["lm_head.weight", "does not say tie_word_embeddings"]);
    change(&path.join("config.json"), |c| c["tie_word_embeddings"] = json!(false));
    assert!(refusal(&path).contains("says tie_word_embeddings false"));
}

#[test]
fn what_downloads_leave_is_said_in_those_words() {
    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    const PAGE: &str = "\n<!doctype html><html>Sign in</html>";
    let dir = tempfile::tempdir().unwrap();
    let files = ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"];
    let weights = ["model.safetensors.index.json", "model-00002-of-00002.safetensors"];
    for name in files.into_iter().chain(weights) {
        for (content, words) in [(POINTER, "Git LFS pointer"), (PAGE, "web page (HTML"), ("", "is empty")] {
            let path = hub(dir.path(), "m", &tiny(true));
            fs::write(path.join(name), content).unwrap();
            let error = refusal(&path);
            assert!(error.contains(words) && error.contains(name), "{name}: {error}");
        }
    }
    let whole = tiny(true).gguf_of(&tiny(true).fused(), WeightType::F32, &|_| {}).unwrap();
    let gguf = dir.path().join("x.gguf");
    for (content, words) in [
        (POINTER.as_bytes(), "Git LFS pointer"),
        (PAGE.as_bytes(), "web page (HTML"),
        (b"", "is empty"),
        (b"Entry not found", "begins with `Entry not found`"),
        (&[0; 100], "begins with zeros"),
        (b"PK\x03\x04\0\0\0\0", "ZIP archive"),
        (&whole[..whole.len() / 2], "truncated"),
        (b"GGU", "begins with `GGU`"),
    ] {
        fs::write(&gguf, content).unwrap();
        let error = refusal(&gguf);
        assert!(error.contains(words) && error.contains("x.gguf"), "{error}");
    }
    let path = hub(dir.path(), "m", &tiny(true));
    assert!(refusal(&path.join("config.json")).contains("name the directory it lies in"));
    assert!(
        refusal(&path.join("model-00001-of-00002.safetensors")).contains("name the directory it lies in")
    );
    let half = fs::read_to_string(path.join("tokenizer.json")).unwrap();
    fs::write(path.join("tokenizer.json"), &half[..half.len() / 2]).unwrap();
    assert!(refusal(&path).contains("ends in the middle"));
}

#[test]
fn weights_that_are_not_there_are_told_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let with = |name: Option<&str>, keep_index: bool| {
        let path = dir.path().join("m");
        let _ = fs::remove_dir_all(&path);
        tiny(true).write_hf(&path, WeightType::BF16, if keep_index { 3 } else { 1 }).unwrap();
        if !keep_index {
            fs::remove_file(path.join("model.safetensors")).unwrap();
        }
        if let Some(name) = name {
            fs::write(path.join(name), "x").unwrap();
        }
        path
    };
    for (name, words) in [
        (None, "has no weights: model.safetensors is missing"),
        (Some("pytorch_model.bin"), "only `pytorch_model.bin`"),
        (Some("pytorch_model-00001-of-00002.bin"), "weights in that form is not supported"),
        (Some("model.safetensors.incomplete"), "a download that did not finish"),
        (Some("model.fp16.safetensors"), "only `model.fp16.safetensors`, which neither names"),
        (Some("adapter_model.safetensors"), "an adapter (LoRA)"),
        (Some("model-00001-of-00002.safetensors"), "model.safetensors.index.json: is missing"),
    ] {
        let error = refusal(&with(name, false));
        assert!(error.contains(words), "{error}");
    }
    let path = with(None, true);
    fs::remove_file(path.join("model-00002-of-00003.safetensors")).unwrap();
    assert!(refusal(&path).contains("model-00002-of-00003.safetensors: shard 2 of 3 is missing: download"));
    std::os::unix::fs::symlink("../blobs/0", path.join("model-00002-of-00003.safetensors")).unwrap();
    assert!(refusal(&path).contains("a link to a file that is not there"));
    fs::remove_file(path.join("model-00003-of-00003.safetensors")).unwrap();
    assert!(refusal(&path).contains("shard 2 of 3 and 1 more of the shards"));
}

#[test]
fn a_directory_without_a_model_is_called_by_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for name in ["README.md", "model.pth", "x.gguf.part", "model.safetensors", "adapter_config.json"] {
        fs::write(dir.path().join(name), "x").unwrap();
        said.push(refusal(dir.path()));
    }
    let expected = [
        "a directory without config.json, .gguf or .hotset file; hotset reads",
        "only `model.pth`",
        "only `x.gguf.part`, a download that did not finish",
        "with `model.safetensors` but without config.json",
        "an adapter (LoRA) without its model",
    ];
    assert!(said.iter().zip(expected).all(|(said, expected)| said.contains(expected)), "{said:#?}");
}

#[test]
fn a_config_json_beside_a_gguf_file_does_not_hide_it() {
    let dir = tempfile::tempdir().unwrap();
    tiny(true).write_hf(dir.path(), WeightType::BF16, 1).unwrap();
    tiny(true).write_gguf(&dir.path().join("x.gguf"), &|_| WeightType::F16, 2).unwrap();
    assert_eq!(open(dir.path()).unwrap().origin, hotset_format::Origin::HuggingFace);
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    assert_eq!(open(dir.path()).unwrap().origin, hotset_format::Origin::Gguf);
}

#[test]
fn weight_types_that_are_not_supported_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    for (id, name) in [
        (4, "Q4_2"),
        (16, "IQ2_XXS"),
        (31, "Q4_0_4_4"),
        (33, "Q4_0_8_8"),
        (36, "IQ4_NL_4_4"),
        (39, "MXFP4"),
        (40, "NVFP4"),
        (41, "Q1_0"),
        (42, "Q2_0"),
        (139, "id 139 (one of ik_llama.cpp's own)"),
        (77, "weight type id 77,"),
        (u32::MAX, "weight type id 4294967295,"),
    ] {
        let add: &dyn Fn(&mut hotset_testkit::GgufBuilder) =
            &|file| file.entry("blk.0.ffn_down_exps.weight", &[256, 256], id, 0);
        fs::write(&path, tiny(true).gguf_of(&[], WeightType::F32, add).unwrap()).unwrap();
        named(&path, &[name, "blk.0.ffn_down_exps.weight"]);
    }
}
