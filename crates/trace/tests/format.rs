//! The trace format: round trip, cuts, flipped bits, hostile heads, and what comes back from CSV and Parquet.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use half::f16;
use hotset_base::figures::{HIT_RATE, TOKENS_PER_SECOND};
use hotset_base::limits::MAX_SEQUENCES;
use hotset_base::{Choice, ExpertId, LayerId, Phase, RowKind, SequenceId};
use hotset_outputs::{FileKind, Force, Outputs, PartialFile};
use hotset_trace::{
    CsvTrace, Ending, LayerToken, Pass, Reads, Recorder, Scores, Summary, TraceError, TraceHeader,
    TraceReader, TraceRow, TraceSource, Visit, VisitHead, export_csv, export_parquet,
};
use proptest::prelude::*;

const NAME: &str = "x.trace";

fn header(full_scores: bool) -> TraceHeader {
    TraceHeader {
        model: "a model".to_owned(),
        architecture: "qwen3moe".to_owned(),
        layers: 3,
        experts: 20,
        top_k: 4,
        norm_topk: true,
        full_scores,
        whole_hot_sets: true,
        native_choice: true,
        several_texts: false,
        expert_bytes: vec![1000, 2000, 3000],
        options: [("evict".to_owned(), "lfu".to_owned())].into(),
    }
}

/// `seed` decides everything; weights and probabilities are what f32 and f16 hold exactly.
fn pass(header: &TraceHeader, tokens: usize, seed: u32) -> Pass {
    let number =
        |i: usize, below: usize| (seed as usize).wrapping_mul(7919).wrapping_add(i * 104_729) % below;
    let layer_token = |i: usize| LayerToken {
        chosen: (0..header.top_k)
            .map(|rank| Choice {
                expert: ExpertId(((number(i, header.experts) + rank * 3) % header.experts) as u16),
                weight: 0.5 / (rank + 1) as f32,
            })
            .collect(),
        probabilities: match header.full_scores {
            true => (0..header.experts).map(|e| f16::from_f32(number(i + e, 100) as f32 / 128.0)).collect(),
            false => Vec::new(),
        },
    };
    let visit = |layer: usize| Visit {
        layer: LayerId(layer as u16),
        hot: (0..header.experts).map(|e| number(layer + e, 3) == 0).collect(),
        reads: Reads { demand: number(layer, 5) as u16, late: 1, prefetch: 2 },
        stall: Duration::from_nanos(number(layer, 1 << 40) as u64),
        layer_tokens: (0..tokens).map(|token| layer_token(layer * 1000 + token)).collect(),
    };
    let row = |t: usize| {
        let token = (number(t, 9) > 0).then_some(number(t, 150_000) as u32);
        let of_one = TraceRow::of_one_text(Phase::ALL[number(0, 3)], (number(1, 4000) + t) as u32, token);
        match header.several_texts {
            true => TraceRow {
                sequence: SequenceId(number(t, MAX_SEQUENCES) as u16),
                phase: Phase::ALL[number(t, 3)],
                kind: RowKind::ALL[number(t + 1, 3)],
                ..of_one
            },
            false => of_one,
        }
    };
    Pass { rows: (0..tokens).map(row).collect(), visits: (0..header.layers).map(visit).collect() }
}

/// Rows of one text.
fn rows(phase: Phase, first: u32, tokens: &[Option<u32>]) -> impl ExactSizeIterator<Item = TraceRow> {
    let rows = tokens.iter().zip(first..).map(|(&token, at)| TraceRow::of_one_text(phase, at, token));
    rows.collect::<Vec<_>>().into_iter()
}

fn claim(kind: FileKind, path: &Path) -> PartialFile {
    Outputs::new(Force::NotOffered).claim(kind, path).unwrap()
}

/// The bytes of a trace.
fn write(header: &TraceHeader, passes: &[Pass]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let (mut recorder, file) = Recorder::create(claim(FileKind::Trace, &path), header).unwrap();
    passes.iter().for_each(|pass| recorder.copy(pass));
    drop(recorder);
    let totals = file.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(totals.bytes.0, bytes.len() as u64);
    bytes
}

fn open(bytes: &[u8]) -> Result<TraceReader, TraceError> {
    TraceReader::new(Cursor::new(bytes.to_vec()), Path::new(NAME))
}

/// All passes, how it ended, and how many tokens were left out.
fn read(bytes: &[u8]) -> Result<(Vec<Pass>, Ending, usize), TraceError> {
    let mut reader = open(bytes)?;
    let mut passes = Vec::new();
    while let Some(pass) = reader.next_pass()? {
        passes.push(pass);
    }
    Ok((passes, reader.ending().expect("it ended"), reader.unfinished()))
}

/// Several blocks' worth, prompts and single tokens.
fn long() -> (TraceHeader, Vec<Pass>) {
    let header = header(true);
    let passes = (0..60).map(|i| pass(&header, if i % 7 == 0 { 40 } else { 1 }, i)).collect();
    (header, passes)
}

/// Where blocks begin, and the end.
fn borders(bytes: &[u8]) -> Vec<usize> {
    let metadata = u32::from_le_bytes(bytes[24..28].try_into().unwrap()) as usize;
    let mut borders = vec![64 + metadata];
    while *borders.last().unwrap() < bytes.len() {
        let at = *borders.last().unwrap();
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        borders.push(at + 20 + length);
    }
    borders
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        sizes in proptest::collection::vec((1usize..30, 0u32..1000), 0..12),
        full_scores in any::<bool>(),
        several_texts in any::<bool>(),
    ) {
        let header = TraceHeader { several_texts, ..header(full_scores) };
        let passes: Vec<Pass> = sizes.iter().map(|&(tokens, seed)| pass(&header, tokens, seed)).collect();
        let bytes = write(&header, &passes);
        let reader = open(&bytes).unwrap();
        prop_assert_eq!(reader.header(), &header);
        prop_assert_eq!(bytes[8], if several_texts { 2 } else { 1 }, "one text is of version 1");
        let (found, ending, unfinished) = read(&bytes).unwrap();
        prop_assert_eq!(found, passes);
        let whole = matches!(ending, Ending::Whole { .. });
        prop_assert!(whole && unfinished == 0);
    }
}

#[test]
fn a_cut_file_is_readable_up_to_its_last_whole_block_and_says_so() {
    let (header, passes) = long();
    let bytes = write(&header, &passes);
    let borders = borders(&bytes);
    assert!(borders.len() > 4, "{borders:?}");
    let near = borders.iter().flat_map(|&at| [at.saturating_sub(1), at, at + 1, at + 19, at + 20, at + 21]);
    let scattered = (0..300).map(|i| i * 7919 % bytes.len());
    let mut shortest = usize::MAX;
    for cut in near.chain(scattered).filter(|&cut| cut < bytes.len()) {
        let result = read(&bytes[..cut]);
        if cut < borders[0] {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("not a trace") || error.contains("cut inside"), "{cut}: {error}");
            continue;
        }
        let (found, ending, unfinished) = result.unwrap();
        let whole = *borders.iter().rfind(|&&border| border <= cut).unwrap();
        assert_eq!(ending, Ending::Cut { readable: whole as u64, lost: (cut - whole) as u64 });
        assert_eq!(found[..], passes[..found.len()], "cut at {cut}");
        assert!(unfinished <= 40);
        shortest = shortest.min(found.len());
    }
    assert_eq!(shortest, 0);
    assert_eq!(read(&bytes).unwrap().0.len(), passes.len());
}

#[test]
fn every_flipped_bit_is_found() {
    let (header, passes) = long();
    let bytes = write(&header, &passes);
    let borders = borders(&bytes);
    let heads = borders[..borders.len() - 1].iter().flat_map(|&at| at..at + 20);
    let payload = (0..400).map(|i| borders[0] + i * 104_729 % (bytes.len() - borders[0]));
    for at in (0..borders[0]).chain(heads).chain(payload) {
        for bit in [0, 3, 7] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(read(&damaged).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn blocks_in_the_wrong_place_and_bytes_behind_the_end_are_found() {
    let (header, passes) = long();
    let bytes = write(&header, &passes);
    let at = borders(&bytes);
    let swapped = [&bytes[..at[0]], &bytes[at[1]..at[2]], &bytes[at[0]..at[1]], &bytes[at[2]..]].concat();
    assert!(read(&swapped).unwrap_err().to_string().contains("block 1 where block 0 belongs"));
    let longer = [&bytes[..], b"x"].concat();
    assert!(read(&longer).unwrap_err().to_string().contains("behind the end"));
}

/// A head with other numbers and true checksums.
fn hostile(change: impl Fn(&mut [u8])) -> String {
    let mut bytes = write(&header(true), &[]);
    change(&mut bytes);
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    read(&bytes).unwrap_err().to_string()
}

#[test]
fn hostile_heads_are_refused_before_anything_is_allocated() {
    let put = |at: usize, value: &'static [u8]| {
        hostile(move |bytes| bytes[at..at + value.len()].copy_from_slice(value))
    };
    assert!(put(0, b"GGUF").contains("not a trace"));
    assert!(put(8, &[3]).contains("version 3; this program reads versions 1 to 2"));
    assert!(put(12, &[1, 2, 3, 4]).contains("byte order"));
    assert!(put(16, &[0xff, 0xff]).contains("65535 layers; 1 to 512"));
    assert!(put(16, &[0, 0]).contains("0 layers"));
    assert!(put(18, &[0xff, 0xff]).contains("65535 experts"));
    assert!(put(20, &[21, 0]).contains("21 experts per token; 1 to 20"));
    assert!(put(22, &[0x80]).contains("reserved"));
    assert!(put(24, &[0xff; 4]).contains("4294967295 bytes of metadata"));
    assert!(put(16, &[4, 0]).contains("sizes of experts for 3 layers, the trace has 4"));
    assert!(read(b"").unwrap_err().to_string().contains("not a trace"));
    assert!(read(b"HOTTRC\r\n").unwrap_err().to_string().contains("cut inside the header"));
}

/// A block with true checksums and this payload, behind a good head.
fn with_payload(payload: &[u8]) -> Vec<u8> {
    with_payload_of(&header(true), payload)
}

fn with_payload_of(header: &TraceHeader, payload: &[u8]) -> Vec<u8> {
    let whole = write(header, &[]);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&0u32.to_le_bytes()), payload);
    let mut block =
        [b"TBLK", &[0; 4][..], &(payload.len() as u32).to_le_bytes(), &crc.to_le_bytes()].concat();
    block.extend(crc32c::crc32c(&block).to_le_bytes());
    [&whole[..borders(&whole)[0]], &block, payload].concat()
}

#[test]
fn hostile_records_are_refused() {
    let refused = |payload: &[u8], expected: &str| {
        let error = read(&with_payload(payload)).unwrap_err().to_string();
        assert!(error.contains(expected), "{payload:?}: {error}");
    };
    let pass = [1, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0, 0];
    let visit = [&pass[..], &[2, 0, 0], &[0; 14], &[0; 3]].concat();
    refused(&[9], "unknown kind 9");
    refused(&[1, 0], "longer than its block");
    refused(&[1, 3, 1, 0, 0, 0, 0, 0], "phase 3");
    refused(&[1, 0, 0, 0, 0, 0, 0, 0], "a pass of 0 tokens");
    refused(&[1, 0, 0xff, 0xff, 0, 0, 0, 0], "a pass of 65535 tokens");
    refused(&[&[1, 0, 1, 0], &[0xff; 4][..], &[0; 4]].concat(), "a pass that ends at position 4294967296");
    refused(&[&pass[..8], &[0xfe, 0xff, 0xff, 0xff]].concat(), "token 4294967294");
    refused(
        &[&pass[..], &[2, 0, 0], &[0; 6], &[0xff; 8], &[0; 3]].concat(),
        "a stall of 18446744073709551615 ns",
    );
    refused(&visit[12..], "a visit without a pass");
    refused(&[3, 0], "a layer-token without a pass");
    refused(&[&pass[..], &[3, 0]].concat(), "a layer-token without a visit");
    refused(&[&pass[..], &[2, 1, 0], &[0; 17]].concat(), "layer L1 where 0 is next");
    refused(&[&pass[..], &[2, 3, 0], &[0; 17]].concat(), "layer L3 of 3");
    refused(&[&visit[..], &[3, 5]].concat(), "5 chosen experts");
    refused(&[&visit[..], &[3, 1, 20, 0, 0, 0, 0, 0]].concat(), "expert E20 of 20");
    let twice = [3, 2, 7, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0];
    refused(&[&visit[..], &twice].concat(), "expert E7 is chosen twice");
    refused(&[&visit[..], &[3, 1, 7, 0, 0, 0, 0xc0, 0x7f]].concat(), "weight NaN");
    let scores = [&visit[..], &[3, 1, 7, 0, 0, 0, 0, 0], &[0xff; 40]].concat();
    refused(&scores, "a probability is not between 0 and 1");
    refused(&[&[4][..], &[0; 24], &[4], &[0; 24]].concat(), "behind the end");
    refused(&[&[5, 1, 0][..], &[0; 12]].concat(), "unknown kind 5");
    let several = TraceHeader { several_texts: true, ..header(true) };
    let refused = |row: [u8; 12], expected: &str| {
        let payload = [&[5, 1, 0], &row[..]].concat();
        let error = read(&with_payload_of(&several, &payload)).unwrap_err().to_string();
        assert!(error.contains(expected), "{row:?}: {error}");
    };
    let row = |sequence: u8, phase: u8, kind: u8, position: u8, token: u8| {
        [sequence, 0, phase, kind, 0, 0, 0, position, 0, 0, token, 0]
    };
    refused(row(MAX_SEQUENCES as u8, 0, 0, 0, 0), "sequence 64");
    refused(row(0, 3, 0, 0, 0), "phase 3");
    refused(row(0, 0, 3, 0, 0), "kind 3");
    refused(row(0, 0, 0, 0x80, 0), "position 2147483648");
    refused(row(0, 0, 0, 0, 0x20), "token 2097152");
    let mut large = with_payload(&[]);
    let at = large.len() - 20;
    large[at + 8..at + 12].copy_from_slice(&[0xff; 4]);
    let crc = crc32c::crc32c(&large[at..at + 16]);
    large[at + 16..].copy_from_slice(&crc.to_le_bytes());
    assert!(read(&large).unwrap_err().to_string().contains("4294967295 bytes, more than 1.00 MiB"));
}

#[test]
fn passes_that_were_not_finished_are_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let header = header(true);
    let (mut recorder, file) = Recorder::create(claim(FileKind::Trace, &path), &header).unwrap();
    let (first, last) = (pass(&header, 2, 1), pass(&header, 3, 2));
    recorder.copy(&first);
    recorder.pass(rows(Phase::Setup, 0, &[Some(1), Some(2)]));
    let hot = vec![false; header.experts];
    recorder.visit(&VisitHead {
        layer: LayerId(0),
        hot: &hot,
        reads: Reads::default(),
        stall: Duration::ZERO,
    });
    recorder.copy(&last);
    recorder.pass(rows(Phase::Setup, 0, &[None]));
    drop(recorder);
    file.finish().unwrap();
    let (found, _, unfinished) = read(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((found, unfinished), (vec![first, last], 3));
}

#[test]
fn scores_are_recorded_as_their_softmax() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let header = TraceHeader { layers: 1, expert_bytes: vec![1], ..header(true) };
    let logits: Vec<f32> = (0..header.experts).map(|e| (e as f32 * 1.7).sin() * 6.0).collect();
    let chosen = [Choice { expert: ExpertId(3), weight: 0.25 }];
    let (mut recorder, file) = Recorder::create(claim(FileKind::Trace, &path), &header).unwrap();
    recorder.pass(rows(Phase::Narration, 5, &[Some(77)]));
    let hot = vec![true; header.experts];
    recorder.visit(&VisitHead {
        layer: LayerId(0),
        hot: &hot,
        reads: Reads::default(),
        stall: Duration::ZERO,
    });
    recorder.layer_token(&chosen, Scores::Logits(&logits));
    drop(recorder);
    file.finish().unwrap();
    let (found, ..) = read(&fs::read(&path).unwrap()).unwrap();
    let layer_token = &found[0].visits[0].layer_tokens[0];
    let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
    for (p, &logit) in layer_token.probabilities.iter().zip(&logits) {
        let exact = f64::from(logit).exp() / sum;
        assert!((p.to_f64() - exact).abs() <= exact / 2000.0 + 3e-8, "{p} is not {exact}");
    }
    assert_eq!(layer_token.chosen, chosen);
}

const CSV: &str = "# route_trace v1
# model=m arch=qwen3moe n_layer=2 n_expert=8 n_expert_used=2
# layer=0 expert_bytes=10 dense_bytes=3
# layer=1 expert_bytes=20
turn,phase,step,layer,slot,expert,weight,residency
0,1,1,0,0,3,0.75,1
0,1,1,0,1,5,0.25,0
0,1,1,1,0,7,0.5,0
0,0,0,0,0,2,0.5,0
0,0,0,0,1,3,0.5,0
0,0,0,1,0,1,1,0
";

fn import(text: &str) -> Result<CsvTrace, TraceError> {
    CsvTrace::parse(text, Path::new("x.csv"))
}

#[test]
fn csv_is_put_in_order_and_may_have_gaps() {
    let mut csv = import(CSV).unwrap();
    assert_eq!((csv.header().layers, csv.header().expert_bytes.clone()), (2, vec![10, 20]));
    assert_eq!(csv.header().architecture, "qwen3moe");
    assert!(!csv.header().full_scores && !csv.header().whole_hot_sets);
    let (prompt, answer) = (csv.next_pass().unwrap(), csv.next_pass().unwrap());
    assert!(csv.next_pass().is_none());
    assert_eq!(prompt.rows, [TraceRow::of_one_text(Phase::Setup, 0, None)]);
    assert_eq!(answer.rows, [TraceRow::of_one_text(Phase::Narration, 1, None)]);
    let picks: Vec<usize> = answer.visits.iter().map(|visit| visit.layer_tokens[0].chosen.len()).collect();
    assert_eq!(picks, [2, 1]);
    assert!(answer.visits[0].is_hot(ExpertId(3)) && !answer.visits[0].is_hot(ExpertId(5)));
    assert_eq!(answer.visits[0].reads.demand, 1);
    let none = import(&CSV.replace("0,0,0,1,0,1,1,0\n", "")).unwrap().next_pass().unwrap();
    assert!(none.visits[1].layer_tokens[0].chosen.is_empty());
}

#[test]
fn csv_errors_name_the_line() {
    let refused = |from: &str, to: &str, expected: &str| {
        let error = import(&CSV.replacen(from, to, 1)).err().unwrap().to_string();
        assert!(error.contains(expected), "{to}: {error}");
    };
    refused("# route", "# rout", "x.csv: line 1: `# route_trace v1` is missing");
    refused("n_layer=2 ", "n_layer=x ", "line 2: `x` is no n_layer");
    refused("n_layer=2 ", "n_layer=4000000000 ", "line 2: n_layer=4000000000; 1 to 512");
    refused("n_expert=8 ", "", "line 2: no n_expert");
    refused("n_expert_used=2", "n_expert_used=9", "line 2: n_expert_used=9; 1 to 8");
    refused("# layer=1", "# layer=2", "line 4: layer 2 is not one of n_layer");
    refused("residency", "hot", "line 5: no column `residency`");
    refused("0,1,1,0,0,3,", "0,1,1,0,0,8,", "line 6: expert 8; it must be below 8");
    refused("0,1,1,0,0,3,", "0,1,1,2,0,3,", "line 6: layer 2; it must be below 2");
    refused("0,1,1,0,0,3,", "0,2,1,0,0,3,", "line 6: phase 2; it must be below 2");
    refused("0.75", "much", "line 6: `much` is no weight");
    refused("0.75", "-1", "line 6: expert E3 has the weight -1");
    refused("0.75,1", "0.75", "line 6: no value for `residency`");
    refused("0,1,1,0,1,5", "0,1,1,0,1,3", "line 6: expert E3 is chosen twice");
    refused("0,1,1,0,1,5", "0,1,1,0,0,5", "line 7: slot 0 where 1 belongs");
    refused("0,1,1,1,0,7", "0,1,1,1,1,7", "line 8: slot 1 where 0 belongs");
    refused("n_layer=2", "n_layers=2", "line 3: layer 0 is not one of n_layer");
    refused("0,1,1,0,1,5", "# n_layer=2 n_expert=4 n_expert_used=2\n0,1,1,0,1,5", "line 7: a second line");
    assert!(import("").is_err());
}

#[test]
fn picks_survive_csv_and_everything_is_in_parquet() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    let dir = tempfile::tempdir().unwrap();
    let [trace, csv, columns] = ["t.trace", "t.csv", "t.parquet"].map(|name| dir.path().join(name));
    let header = TraceHeader { architecture: "another moe".to_owned(), ..header(true) };
    let passes: Vec<Pass> = (0..5).map(|i| pass(&header, 1 + i as usize % 2, i)).collect();
    fs::write(&trace, write(&header, &passes)).unwrap();
    let tokens: usize = passes.iter().map(|pass| pass.rows.len()).sum();
    assert_eq!(
        export_csv(&mut TraceSource::open(&trace).unwrap(), claim(FileKind::RoutingCsv, &csv)).unwrap(),
        tokens as u64
    );
    let mut imported = TraceSource::open(&csv).unwrap();
    assert_eq!(imported.header().architecture, "another_moe");
    for pass in &passes {
        for token in 0..pass.rows.len() {
            let found = imported.next_pass().unwrap().unwrap();
            for (visit, found) in pass.visits.iter().zip(&found.visits) {
                let chosen = &visit.layer_tokens[token].chosen;
                assert_eq!(&found.layer_tokens[0].chosen, chosen);
                assert!(chosen.iter().all(|c| visit.is_hot(c.expert) == found.is_hot(c.expert)));
            }
        }
    }
    assert!(imported.next_pass().unwrap().is_none());

    assert_eq!(
        export_parquet(&mut TraceSource::open(&trace).unwrap(), claim(FileKind::Parquet, &columns)).unwrap(),
        tokens as u64
    );
    let reader = SerializedFileReader::new(fs::File::open(&columns).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), tokens * header.layers);
    let last = rows.last().unwrap();
    let visit = passes.last().unwrap().visits.last().unwrap();
    assert_eq!(last.get_long(0).unwrap(), tokens as i64 - 1);
    assert_eq!(last.get_int(4).unwrap(), i32::from(visit.layer.0));
    let layer_token = visit.layer_tokens.last().unwrap();
    let experts = last.get_list(9).unwrap();
    assert_eq!(experts.len(), header.top_k);
    let text = format!("{experts:?}");
    assert!(text.contains(&format!("Int({})", layer_token.chosen[0].expert.0)), "{text}");
    assert_eq!(last.get_list(12).unwrap().len(), header.experts);
    assert_eq!(last.get_int(13).unwrap(), 0);
}

#[test]
fn a_summary_counts_what_was_seen_before() {
    // One layer: {0, 1}, {1, 2}, {2, 3}: half of each token's picks are the one's before.
    let rows = [(0, [0, 1]), (1, [1, 2]), (2, [2, 3])];
    let mut text = CSV.split("turn").next().unwrap().to_owned();
    text.push_str("turn,phase,step,layer,slot,expert,weight,residency\n");
    for (step, picks) in rows {
        for (slot, expert) in picks.iter().enumerate() {
            text.push_str(&format!("0,1,{step},0,{slot},{expert},0.5,{}\n", u8::from(slot == 0)));
        }
    }
    let mut csv = import(&text).unwrap();
    let mut summary = Summary::new(csv.header(), false);
    while let Some(pass) = csv.next_pass() {
        summary.add(&pass);
    }
    let totals = summary.totals();
    assert_eq!((summary.all_tokens(), totals.routing.routed_picks), (3, 6));
    assert_eq!((totals.get(&HIT_RATE), totals.get(&TOKENS_PER_SECOND)), (Some(0.5), None));
    assert_eq!(summary.seen_within()[0], Some(0.5));
    assert_eq!(summary.seen_within()[1], None, "no token has four before it");
    assert_eq!(summary.distinct().collect::<Vec<_>>(), [4, 0]);
}
