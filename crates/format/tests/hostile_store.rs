//! Metadata of a store: what is written is read, records lie by families, and what is hostile or unknown is
//! refused by name.

use std::fs;
use std::path::Path;

use hotset_base::{Architecture, ExpertId, ExpertKey, LayerId, WeightType};
use hotset_format::store::{
    self, DenseShape, PartShape, StoreError, StoreLayout, StoreMetadata, StoreWriter, verify,
};
use hotset_format::{ModelConfig, RopeScaling, SpecialTokens, TokenizerSpec, Yarn, identity};
use hotset_outputs::FileKind;
use hotset_testkit::claim;

const LAYERS: usize = 2;
const EXPERTS: usize = 4;
/// Every width of the model.
const WIDTH: usize = 8;

fn metadata(families: Option<Vec<Vec<u16>>>) -> StoreMetadata {
    StoreMetadata {
        architecture: Architecture::Qwen3Moe,
        config: ModelConfig {
            name: "families".to_owned(),
            layers: LAYERS,
            hidden: WIDTH,
            heads: 1,
            kv_heads: 1,
            head_dim: WIDTH,
            experts: EXPERTS,
            top_k: 2,
            expert_width: WIDTH,
            vocab: WIDTH,
            context: 16,
            rms_eps: 1e-6,
            rope_theta: 1e4,
            rope_scaling: None,
            norm_topk: true,
        },
        tokenizer: TokenizerSpec {
            vocab: (0..WIDTH).map(|i| format!("t{i}")).collect(),
            merges: Vec::new(),
            added: Vec::new(),
            stop: Vec::new(),
            uncomposed: false,
            special: SpecialTokens::default(),
        },
        chat_template: None,
        tied: true,
        suggested_memory: None,
        recipe: "keep".to_owned(),
        families,
    }
}

/// Tensors in the order of a store: embedding, nine of every layer, the last norm.
fn dense() -> Vec<DenseShape> {
    let shape = |name: String, rows| DenseShape { name, ty: WeightType::F32, rows, cols: WIDTH };
    let kinds = [
        ("attn_norm", 1),
        ("attn_q", WIDTH),
        ("attn_k", WIDTH),
        ("attn_v", WIDTH),
        ("attn_output", WIDTH),
        ("attn_q_norm", 1),
        ("attn_k_norm", 1),
        ("ffn_norm", 1),
        ("ffn_gate_inp", EXPERTS),
    ];
    let layer = |i: usize| kinds.map(|(name, rows)| shape(format!("blk.{i}.{name}.weight"), rows));
    let mut all = vec![shape("token_embd.weight".to_owned(), WIDTH)];
    all.extend((0..LAYERS).flat_map(layer));
    all.push(shape("output_norm.weight".to_owned(), 1));
    all
}

/// Writes a store; every weight of an expert is its number.
fn write(path: &Path, families: Option<Vec<Vec<u16>>>) {
    write_with(path, &metadata(families));
}

fn write_with(path: &Path, metadata: &StoreMetadata) {
    let part = PartShape { ty: WeightType::F32, rows: WIDTH, cols: WIDTH };
    let layout = StoreLayout::new(metadata, dense(), vec![[part; 3]; LAYERS * EXPERTS]).unwrap();
    let writer = StoreWriter::create(claim(FileKind::Store, path), layout).unwrap();
    for (i, shape) in dense().iter().enumerate() {
        let mut stream = writer.dense_stream(i);
        stream.push(&vec![0; 4 * shape.rows * shape.cols]).unwrap();
        stream.finish().unwrap();
    }
    for layer in 0..LAYERS as u16 {
        for expert in 0..EXPERTS as u16 {
            let weights = f32::from(expert).to_le_bytes().repeat(WIDTH * WIDTH);
            let key = ExpertKey::new(LayerId(layer), ExpertId(expert));
            (0..3).for_each(|part| writer.write_part(key, part, &weights).unwrap());
        }
    }
    writer.finish().unwrap();
}

/// Experts of a layer in the order of their records.
fn order(path: &Path, layer: usize) -> Vec<usize> {
    let model = store::open(path).unwrap();
    verify(&model, &mut |_| {}).unwrap();
    let mut experts: Vec<usize> = (0..EXPERTS).collect();
    experts.sort_by_key(|expert| model.experts[layer * EXPERTS + expert].gate.extent.offset);
    experts
}

/// Puts other text of the same length into the metadata and makes every checksum right again.
fn replace(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(path).unwrap();
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let span = |bytes: &[u8], at: usize| u64_at(bytes, at)..u64_at(bytes, at) + u64_at(bytes, at + 8);
    let json = span(&bytes, 56);
    let place = bytes[json.clone()].windows(from.len()).position(|text| text == from.as_bytes());
    let place = json.start + place.expect("the text is in the metadata");
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    let crc = crc32c::crc32c(&bytes[json]);
    bytes[72..76].copy_from_slice(&crc.to_le_bytes());
    let sections = [56, 80, 104].map(|at| span(&bytes, at));
    reseal(&mut bytes, sections);
    fs::write(path, bytes).unwrap();
}

/// The same; gives the refusal.
fn forge(path: &Path, from: &str, to: &str) -> String {
    replace(path, from, to);
    store::open(path).unwrap_err().to_string()
}

/// Store id and checksum of the header.
fn reseal(bytes: &mut [u8], sections: [std::ops::Range<usize>; 3]) {
    let mut id = blake3::Hasher::new();
    for section in sections {
        id.update(&bytes[section]);
    }
    bytes[24..56].copy_from_slice(id.finalize().as_bytes());
    let crc = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
}

fn two() -> Option<Vec<Vec<u16>>> {
    Some(vec![vec![0, 1, 0, 1], vec![0, 0, 1, 2]])
}

#[test]
fn records_lie_by_families_and_without_them_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let (with, without) = (dir.path().join("with"), dir.path().join("without"));
    write(&with, two());
    write(&without, None);
    assert_eq!((order(&with, 0), order(&with, 1)), (vec![0, 2, 1, 3], vec![0, 1, 2, 3]));
    assert_eq!((order(&without, 0), order(&without, 1)), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
    let families = store::open(&with).unwrap().families;
    assert_eq!(families.iter().map(|layer| layer.labels().to_vec()).collect::<Vec<_>>(), two().unwrap());
    assert!(store::open(&without).unwrap().families.is_empty());
    assert_eq!((fs::read(&with).unwrap()[8], fs::read(&without).unwrap()[8]), (2, 1));
}

#[test]
fn hostile_families_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hotset");
    let cases = [
        ("[[0,1,0,1],", "[[0,2,0,1],", "families of layer 0: E1 is in family 2"),
        ("[[0,1,0,1],", "[[9,1,0,1],", "families of layer 0: E0 is in family 9"),
        ("[0,1,0,1],[0,0,1,2]", "[0,1,0,1,0],[0,0,2]", "families are not those of 2 layers of 4 experts"),
        ("[0,1,0,1],[0,0,1,2]", "[0,1,0,1,0,0,1,222]", "families are not those of 2 layers of 4 experts"),
        ("[0,1,0,1],[0,0,1,2]", "[0,1,0,1],[0,0,1,-]", "metadata"),
        ("[0,1,0,1],[0,0,1,2]", "[0,1,0,1],[99999,1]", "invalid value"),
        // Sound families, but the records lie otherwise.
        ("[[0,1,0,1],", "[[0,0,1,1],", "is out of place"),
        ("\"families\":", "\"familiar\":", "a store has families from format version 2 on"),
    ];
    for (from, to, message) in cases {
        write(&path, two());
        let error = forge(&path, from, to);
        assert!(error.contains(message), "{to}: {error}");
        assert!(error.contains("x.hotset") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_version_that_does_not_go_with_the_families_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hotset");
    for (families, version, message) in [
        (two(), 1u8, "a store has families from format version 2 on"),
        (None, 2, "a store has families from format version 2 on"),
        (two(), 3, "belong to format version 3"),
        (two(), 4, "format version 4 is for other architectures"),
        (None, 5, "format version 5 is not supported; this hotset reads 4"),
        (None, 0, "format version 0 is not supported"),
    ] {
        write(&path, families);
        let mut bytes = fs::read(&path).unwrap();
        bytes[8] = version;
        let crc = crc32c::crc32c(&bytes[..4092]);
        bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let error = store::open(&path).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn scaled_positions_go_with_their_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hotset");
    let mut scaled = metadata(two());
    scaled.config.rope_scaling = Some(RopeScaling::yarn(4.0, Yarn::new(64)));
    write_with(&path, &scaled);
    assert_eq!(fs::read(&path).unwrap()[8], 3);
    assert_eq!(store::open(&path).unwrap().config.rope_scaling, scaled.config.rope_scaling);
    for (from, to, message) in [
        ("\"factor\":4.0", "\"factor\":0.5", "rope scaling by the factor 0.5 makes no sense"),
        ("\"beta_slow\":1.0", "\"beta_slow\":0.0", "beta_slow 0 makes no sense"),
        ("\"original_context\":64", "\"original_context\":-1", "invalid value"),
        ("\"rope_scaling\"", "\"rope_scalinG\"", "belong to format version 3"),
    ] {
        write_with(&path, &scaled);
        let error = forge(&path, from, to);
        assert!(error.contains(message), "{to}: {error}");
    }
    write_with(&path, &scaled);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(store::open(&path).unwrap_err().to_string().contains("belong to format version 3"));
}

#[test]
fn texts_that_are_not_composed_go_with_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hotset");
    let mut uncomposed = metadata(two());
    uncomposed.tokenizer.uncomposed = true;
    write_with(&path, &uncomposed);
    assert_eq!(fs::read(&path).unwrap()[8], 3);
    assert!(store::open(&path).unwrap().tokenizer.uncomposed);
    let error = forge(&path, "\"uncomposed\":true", "\"uncomposeD\":true");
    assert!(error.contains("belong to format version 3"), "{error}");
}

#[test]
fn a_store_says_its_architecture() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hotset");
    for (families, version) in [(two(), 2), (None, 1)] {
        write(&path, families);
        let bytes = fs::read(&path).unwrap();
        let says = b"{\"architecture\":\"qwen3moe\"";
        assert!(bytes[4096..].starts_with(says), "the first thing in the metadata");
        assert_eq!(bytes[8], version, "earlier readers take it for what it is");
        assert_eq!(store::open(&path).unwrap().architecture, Architecture::Qwen3Moe);
    }
}

#[test]
fn an_unknown_architecture_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hotset");
    for version in [2u8, 4] {
        write(&path, two());
        let mut bytes = fs::read(&path).unwrap();
        bytes[8] = version;
        fs::write(&path, bytes).unwrap();
        forge(&path, "\"qwen3moe\"", "\"\\nllamas\"");
        let error = store::open(&path).unwrap_err();
        assert!(
            matches!(&error, StoreError::Architecture { found, .. } if found == "\\nllamas"),
            "version {version}: {error}"
        );
        let error = error.to_string();
        assert!(error.contains("x.hotset: architecture `\\nllamas` is not supported"), "{error}");
        assert!(error.ends_with("this hotset runs qwen3moe"), "{error}");
    }
    write(&path, two());
    let error = forge(&path, "\"qwen3moe\"", "[\"qwen3\" ]");
    assert!(error.contains("the metadata is damaged"), "{error}");
}

/// A trust ledger goes by the identity of its model: that must be what it was before stores said this.
#[test]
fn an_older_store_is_read_as_ever_and_is_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let (new, old) = (dir.path().join("new"), dir.path().join("old"));
    write(&new, two());
    write(&old, two());
    // Without the word, as it was written before: a key that nobody reads.
    replace(&old, "\"architecture\"", "\"no_such_word\"");
    let [new, old] = [new, old].map(|path| store::open(&path).unwrap());
    assert_eq!(old.architecture, Architecture::Qwen3Moe);
    assert_eq!(identity(&old).unwrap(), identity(&new).unwrap());
    assert_ne!(old.store_id, new.store_id);
    // The model that ships, and what its trust ledgers have been for since they exist.
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo/demo.hotset");
    let shipped = hotset_format::open(&shipped).unwrap();
    assert_eq!(shipped.architecture, Architecture::Qwen3Moe);
    let known = blake3::Hash::from(identity(&shipped).unwrap()).to_hex();
    assert_eq!(known.as_str(), "7cc7117f7a6106c56cf23b79efccf98b2e5d347249f5cd2fa20b59908e837421");
}
