//! Every engine gives every byte, whatever the disk does, or says what went wrong.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use hotset_base::FileId;
use hotset_base::limits::MAX_READS_IN_FLIGHT;
use hotset_io::*;

const TARGET: usize = 8 * ALIGN;

/// Page-aligned memory.
struct Pages(*mut u8);

// SAFETY: plain memory; each test hands out disjoint ranges once.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

fn layout(targets: usize) -> Layout {
    Layout::from_size_align(targets * TARGET, ALIGN).unwrap()
}

impl Pages {
    fn new() -> Arc<Self> {
        // SAFETY: the layout is not empty.
        Arc::new(Self(unsafe { alloc_zeroed(layout(MAX_READS_IN_FLIGHT)) }))
    }

    fn target(self: &Arc<Self>, i: usize) -> ReadTarget {
        assert!(i < MAX_READS_IN_FLIGHT);
        // SAFETY: inside the allocation; a test uses each index for one request at a time.
        unsafe { ReadTarget::new(self.0.add(i * TARGET), TARGET, Arc::clone(self) as Arc<_>) }
    }

    fn range(self: &Arc<Self>) -> BufferRange {
        // SAFETY: the allocation lives as long as the owner.
        unsafe { BufferRange::new(self.0, MAX_READS_IN_FLIGHT * TARGET, Arc::clone(self) as Arc<_>) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout.
        unsafe { dealloc(self.0, layout(MAX_READS_IN_FLIGHT)) }
    }
}

fn content() -> Vec<u8> {
    (0..40 * ALIGN + 777).map(|i| (i * 31 % 251) as u8).collect()
}

/// A file in the working directory: direct reads are refused where temporary files live in memory.
fn file(content: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    file.write_all(content).unwrap();
    file.sync_all().unwrap();
    Arc::new(file)
}

fn request(pages: &Arc<Pages>, i: usize, urgency: Urgency) -> ReadRequest {
    let page = i % 33;
    let run = |at: usize, offset: usize, bytes: usize| Run {
        file: FileId(0),
        offset: (offset * ALIGN) as u64,
        at: at * ALIGN,
        bytes: bytes * ALIGN,
        needed: bytes * ALIGN - 100,
    };
    ReadRequest {
        ticket: i as u32,
        urgency,
        target: pages.target(i),
        runs: [run(0, page, 3), run(3, page + 4, 4)],
        checks: [
            Check { at: 5, bytes: 3000, seed: 7 },
            Check { at: 3 * ALIGN, bytes: 99, seed: 9 },
            Check::NONE,
        ],
        decided: Instant::now(),
    }
}

fn check(content: &[u8], done: &mut Completion) {
    let page = done.ticket as usize % 33;
    let sums = done.result.as_ref().unwrap();
    let memory = done.target.as_mut_slice();
    let first = &content[page * ALIGN..(page + 3) * ALIGN - 100];
    assert_eq!(&memory[..3 * ALIGN - 100], first, "ticket {}", done.ticket);
    let second = &content[(page + 4) * ALIGN..(page + 8) * ALIGN - 100];
    assert_eq!(&memory[3 * ALIGN..7 * ALIGN - 100], second, "ticket {}", done.ticket);
    assert_eq!(sums[0], crc32c::crc32c_append(7, &first[5..3005]));
    assert_eq!(sums[1], crc32c::crc32c_append(9, &second[..99]));
}

/// Every engine that this machine has, direct and not, with these faults.
fn readers(file: &Arc<File>, pages: &Arc<Pages>, faults: Option<FaultPlan>) -> Vec<Reader> {
    let mut readers = Vec::new();
    for engine in [ReaderKind::Uring, ReaderKind::Pread] {
        for direct in [true, false] {
            let file = match direct {
                true => ReadFile::direct_if_possible(Arc::clone(file)),
                false => ReadFile::buffered(Arc::clone(file)),
            };
            let options =
                ReadOptions { kind: engine, faults: faults.clone(), depth: 3, ..ReadOptions::default() };
            match Reader::open(vec![file], &[pages.range()], &options) {
                Ok(reader) => readers.push(reader),
                // A kernel or a container without io_uring: the other engine is tested alone.
                Err(error) => assert_eq!(engine, ReaderKind::Uring, "{error}"),
            }
        }
    }
    readers
}

#[test]
fn every_read_comes_back_whole_and_checksummed() {
    let (content, pages) = (content(), Pages::new());
    for mut reader in readers(&file(&content), &pages, None) {
        for i in 0..MAX_READS_IN_FLIGHT {
            reader.submit(request(&pages, i, [Urgency::Demand, Urgency::Prefetch][i % 2]));
        }
        let mut seen = [false; MAX_READS_IN_FLIGHT];
        while let Some(mut done) = reader.complete(true) {
            check(&content, &mut done);
            seen[done.ticket as usize] = true;
        }
        assert!(seen.iter().all(|&seen| seen), "{}", reader.name());
    }
}

#[test]
fn short_slow_and_interrupted_reads_change_nothing() {
    let (content, pages) = (content(), Pages::new());
    let file = file(&content);
    for seed in 0..50 {
        let plan = format!("seed={seed},short=400,interrupted=200,slow=2");
        for mut reader in readers(&file, &pages, Some(plan.parse().unwrap())) {
            (0..12).for_each(|i| reader.submit(request(&pages, i, Urgency::Demand)));
            while let Some(mut done) = reader.complete(true) {
                check(&content, &mut done);
            }
        }
    }
}

#[test]
fn a_dead_disk_is_an_error_of_every_read_and_never_a_hang() {
    let (content, pages) = (content(), Pages::new());
    for mut reader in readers(&file(&content), &pages, Some("dead-from=1".parse().unwrap())) {
        (0..12).for_each(|i| reader.submit(request(&pages, i, Urgency::Demand)));
        let mut failed = 0;
        while let Some(done) = reader.complete(true) {
            assert_eq!(done.result.unwrap_err().source.raw_os_error(), Some(5));
            failed += 1;
        }
        assert_eq!(failed, 12);
    }
}

#[test]
fn a_file_that_ends_early_is_an_error_that_says_where() {
    let (content, pages) = (content(), Pages::new());
    for mut reader in readers(&file(&content[..4 * ALIGN + 10]), &pages, None) {
        reader.submit(request(&pages, 0, Urgency::Demand));
        let error = reader.complete(true).unwrap().result.unwrap_err();
        assert_eq!(
            (error.offset, error.source.kind()),
            (4 * ALIGN as u64, std::io::ErrorKind::UnexpectedEof)
        );
        assert!(reader.complete(true).is_none());
    }
}

#[test]
fn a_prefetch_can_be_taken_back_until_it_starts() {
    let (content, pages) = (content(), Pages::new());
    for mut reader in readers(&file(&content), &pages, Some("rate=1MB".parse().unwrap())) {
        (0..40).for_each(|i| reader.submit(request(&pages, i, Urgency::Prefetch)));
        reader.hurry(38);
        let mut back = Vec::new();
        assert!(!reader.cancel(&[37, 38], |ticket, _| back.push(ticket)), "somebody waits for 38");
        assert!(
            reader.cancel(&[39, 36], |ticket, _| back.push(ticket)),
            "the last of forty have not started"
        );
        assert!(!reader.cancel(&[39], |ticket, _| back.push(ticket)));
        assert_eq!((back, reader.in_flight()), (vec![39, 36], 38));
        while reader.in_flight() > 30 {
            check(&content, &mut reader.complete(true).unwrap());
        }
        // Dropped with reads in flight: their memory outlives them.
    }
}

#[test]
fn a_fault_plan_is_read_from_text() {
    let plan: FaultPlan = "seed=7,short=50,dead-from=900,rate=1GB".parse().unwrap();
    assert_eq!((plan.seed, plan.short_per_mille, plan.dead_from), (7, 50, Some(900)));
    for wrong in ["sed=1", "short", "short=x", "rate=0", "rate=fast"] {
        assert!(wrong.parse::<FaultPlan>().is_err(), "{wrong}");
    }
}
