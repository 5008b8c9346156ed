//! A sandbox may grant a ring and refuse its use, at once or later: threads read instead.
#![cfg(target_arch = "x86_64")]

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotset_base::FileId;
use hotset_io::*;

const SETUP: u32 = 425;
const ENTER: u32 = 426;

/// Page-aligned memory that is never given back.
struct Pages(*mut u8);

// SAFETY: plain memory; the test hands out disjoint ranges.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    fn new(pages: usize) -> Arc<Self> {
        let layout = std::alloc::Layout::from_size_align(pages * ALIGN, ALIGN).unwrap();
        // SAFETY: the layout is not empty.
        Arc::new(Self(unsafe { std::alloc::alloc_zeroed(layout) }))
    }
}

/// From now on the system call `call` fails with `errno`, in this thread and those it starts, or in all.
fn refuse(call: u32, errno: i32, all_threads: bool) {
    let code = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        code(0x20, 0, 0, 0),
        code(0x15, 0, 1, call),
        code(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        code(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    let flags = if all_threads { libc::SECCOMP_FILTER_FLAG_TSYNC } else { 0 };
    // SAFETY: the filter is a valid program that lives through the call.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &filter)
    };
    assert_eq!(refused, 0);
}

/// Reads the file's pages, a page a request, in turns of eight, and looks at every byte.
fn read_all(reader: &mut Reader, pages: &Arc<Pages>, content: &[u8]) {
    let whole = content.len() / ALIGN;
    for first in (0..whole).step_by(8) {
        for page in first..(first + 8).min(whole) {
            // SAFETY: inside the allocation, one page a request.
            let target = unsafe { ReadTarget::new(pages.0.add(page * ALIGN), ALIGN, Arc::clone(pages) as _) };
            let offset = (page * ALIGN) as u64;
            let run = Run { file: FileId(0), offset, at: 0, bytes: ALIGN, needed: ALIGN };
            reader.submit(ReadRequest {
                ticket: page as u32,
                urgency: Urgency::Demand,
                target,
                runs: [run, Run::NONE],
                checks: [Check::NONE; MAX_CHECKS],
                decided: Instant::now(),
            });
        }
        while let Some(mut done) = reader.complete(true) {
            assert!(done.result.is_ok(), "{:?}", done.result);
            let at = done.ticket as usize * ALIGN;
            assert_eq!(done.target.as_mut_slice(), &content[at..at + ALIGN]);
        }
    }
}

fn open(engine: ReaderKind, content: &[u8]) -> std::io::Result<Reader> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    let file: Arc<File> = Arc::new(file);
    let files = vec![ReadFile::buffered(file)];
    Reader::open(files, &[], &ReadOptions { kind: engine, ..ReadOptions::default() })
}

#[test]
fn a_ring_that_is_refused_is_replaced_by_threads_whenever_that_happens() {
    let content: Vec<u8> = (0..64 * ALIGN).map(|i| (i * 31 % 251) as u8).collect();
    let pages = Pages::new(64);
    for (call, errno) in [
        (SETUP, libc::EPERM),
        (SETUP, libc::ENOSYS),
        (ENTER, libc::EPERM),
        (ENTER, libc::EACCES),
        (ENTER, libc::ENOSYS),
        (ENTER, libc::ENOMEM),
        (ENTER, libc::EBUSY),
        (ENTER, libc::EAGAIN),
    ] {
        let (content, pages) = (content.clone(), Arc::clone(&pages));
        let attempt = std::thread::spawn(move || {
            refuse(call, errno, false);
            assert!(open(ReaderKind::Uring, &content).is_err(), "call {call}, errno {errno}");
            let mut reader = open(ReaderKind::Auto, &content).unwrap();
            assert!(reader.name().starts_with("pread"), "{}", reader.name());
            read_all(&mut reader, &pages, &content);
        });
        attempt.join().unwrap();
    }
    // The kernel may have no ring to give here: then there is none to be refused later.
    let Ok(mut reader) = open(ReaderKind::Uring, &content) else { return };
    read_all(&mut reader, &pages, &content);
    let start = Instant::now();
    refuse(ENTER, libc::EPERM, true);
    for _ in 0..3 {
        read_all(&mut reader, &pages, &content);
    }
    drop(reader);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
