//! What is packed is one model, and a store that is packed again stays what it was.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use hotset_base::{Bytes, WeightType};
use hotset_convert::{PackError, PackOptions, Recipe, pack};
use hotset_outputs::FileKind;
use hotset_testkit::{TinyModel, TinyShape, claim};

fn options() -> PackOptions {
    PackOptions { recipe: Recipe::Keep, overrides: Vec::new(), suggested_memory: None }
}

fn gguf(path: &Path) {
    TinyModel::random(TinyShape::k_quant(), 3).write_gguf(path, &|_| WeightType::Q4_K, 1).unwrap();
}

#[test]
fn a_source_that_changes_while_it_is_packed_makes_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("m.gguf"), dir.path().join("m.hotset"));
    let changes: [(&str, &(dyn Fn() + Sync)); 4] = [
        ("one byte", &|| {
            File::options().write(true).open(&source).unwrap().write_all_at(&[7], 9000).unwrap()
        }),
        ("the time set back", &|| {
            let file = File::options().write(true).open(&source).unwrap();
            let before = file.metadata().unwrap().modified().unwrap();
            file.write_all_at(&[8], 9000).unwrap();
            file.set_modified(before).unwrap();
        }),
        ("longer", &|| {
            let file = File::options().write(true).open(&source).unwrap();
            file.set_len(file.metadata().unwrap().len() + 1).unwrap();
        }),
        ("another put in its place", &|| {
            fs::copy(&source, dir.path().join("other")).unwrap();
            fs::rename(dir.path().join("other"), &source).unwrap();
        }),
    ];
    for (what, change) in changes {
        gguf(&source);
        let checkpoint = hotset_format::open(&source).unwrap();
        let once = AtomicBool::new(false);
        let progress = |_| {
            if !once.swap(true, Ordering::Relaxed) {
                change();
            }
        };
        let error = pack(&checkpoint, claim(FileKind::Store, &target), &options(), &progress).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("m.gguf: changed while it was in use"), "{what}: {told}");
        assert!(!target.exists() && !dir.path().join("m.hotset.partial").exists(), "{what}");
    }
}

#[test]
fn a_store_packed_again_is_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    gguf(&at("m.gguf"));
    let from = |source: &str, target: &str, options: &PackOptions| {
        let checkpoint = hotset_format::open(&at(source)).unwrap();
        pack(&checkpoint, claim(FileKind::Store, &at(target)), options, &|_| {}).unwrap();
        hotset_format::open(&at(target)).unwrap()
    };
    let suggested = Some(Bytes::mib(48));
    let first = PackOptions { recipe: "q8_0".parse().unwrap(), suggested_memory: suggested, ..options() };
    from("m.gguf", "a.hotset", &first);
    let again = from("a.hotset", "b.hotset", &options());
    assert_eq!((again.recipe.as_deref(), again.suggested_memory), (Some("q8_0"), suggested));
    assert!(fs::read(at("a.hotset")).unwrap() == fs::read(at("b.hotset")).unwrap());
    // What the user says goes before what the source says.
    let other = PackOptions { suggested_memory: Some(Bytes::mib(50)), ..options() };
    assert_eq!(from("a.hotset", "b.hotset", &other).suggested_memory, Some(Bytes::mib(50)));
}

#[test]
fn a_type_for_a_kind_that_is_not_there_is_refused_and_of_two_the_last_counts() {
    let dir = tempfile::tempdir().unwrap();
    gguf(&dir.path().join("m.gguf"));
    let checkpoint = hotset_format::open(&dir.path().join("m.gguf")).unwrap();
    let with = |kinds: &[(&str, WeightType)]| PackOptions {
        overrides: kinds.iter().map(|&(kind, ty)| (kind.to_owned(), ty)).collect(),
        ..options()
    };
    for kind in ["ffn_donw_exps", "", "blk.0.ffn_down_exps", "attn_norm", "ffn_gate_inp", "FFN_DOWN_EXPS"] {
        let error = with(&[(kind, WeightType::Q8_0)]).check(&checkpoint).unwrap_err();
        assert!(matches!(error, PackError::Kind { .. }));
        assert!(error.to_string().contains("attn_k, attn_output, attn_q, attn_v, ffn_down_exps"), "{error}");
    }
    let two = with(&[("ffn_down_exps", WeightType::Q8_0), ("ffn_down_exps", WeightType::Q4_0)]);
    two.check(&checkpoint).unwrap();
    let packed = two.as_packed(&checkpoint);
    assert_eq!((packed.experts[0].down.ty, packed.experts[0].up.ty), (WeightType::Q4_0, WeightType::Q4_K));
    // The sizes that a plan goes by are those of the store.
    let target = dir.path().join("m.hotset");
    pack(&checkpoint, claim(FileKind::Store, &target), &two, &|_| {}).unwrap();
    let store = hotset_format::open(&target).unwrap();
    assert_eq!(store.expert_bytes(), packed.expert_bytes());
    assert_eq!(store.dense_bytes(), packed.dense_bytes());
}
