//! io_uring: one thread owns a ring, keeps several reads at the kernel, checks what arrives.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::progress::Progress;
use crate::shared::Shared;
use crate::{BufferRange, Completion, MAX_RUNS, ReadError, ReadRequest};

/// `user_data` of the poll of the bell.
const BELL: u64 = u64::MAX;

/// How long the kernel may be short of something before the ring is given up.
const PATIENCE: Duration = Duration::from_millis(500);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(1);

/// A ring that the kernel has granted, its bell, and the memory it knows.
pub(crate) struct Ring {
    ring: IoUring,
    bell: Arc<OwnedFd>,
    /// Registered buffers, by index; empty where the kernel refused (a limit on locked memory).
    registered: Vec<BufferRange>,
}

/// A request at the kernel.
struct Active {
    request: ReadRequest,
    runs: [Progress; MAX_RUNS],
    /// Runs the kernel still works on.
    outstanding: usize,
    failure: Option<ReadError>,
}

/// The thread's state.
struct Worker {
    shared: Arc<Shared>,
    ring: IoUring,
    bell: Arc<OwnedFd>,
    registered: Vec<BufferRange>,
    active: Vec<Option<Active>>,
    /// `user_data` of entries that the kernel may not have taken yet, in order.
    pushed: VecDeque<u64>,
    /// When the kernel began to refuse, if it does.
    refused: Option<Instant>,
    /// Nothing is given to the ring any more.
    left: bool,
}

impl Ring {
    /// Asks the kernel for a ring and tells it about the memory.
    pub fn open(depth: usize, buffers: &[BufferRange]) -> io::Result<Self> {
        let entries = (depth * MAX_RUNS + 1).next_power_of_two() as u32;
        let mut ring = IoUring::new(entries)?;
        try_out(&mut ring)?;
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let vectors: Vec<libc::iovec> = buffers
            .iter()
            .map(|range| libc::iovec { iov_base: range.start().cast(), iov_len: range.bytes() })
            .collect();
        // SAFETY: the ranges stay mapped as long as their owners live, which `registered` holds and
        // the worker drops after the ring.
        let known = unsafe { ring.submitter().register_buffers(&vectors) };
        let registered = if known.is_ok() && !buffers.is_empty() { buffers.to_vec() } else { Vec::new() };
        Ok(Self { ring, bell, registered })
    }

    pub fn name(&self) -> &'static str {
        if self.registered.is_empty() { "io_uring" } else { "io_uring with registered buffers" }
    }

    pub fn bell(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.bell)
    }
}

/// Enters the ring once: a sandbox may grant a ring and refuse its use.
fn try_out(ring: &mut IoUring) -> io::Result<()> {
    let entry = opcode::Nop::new().build();
    // SAFETY: the entry names no memory.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    let start = Instant::now();
    while let Err(error) = ring.submit_and_wait(1) {
        if !is_passing(&error) || start.elapsed() >= PATIENCE {
            return Err(error);
        }
        std::thread::sleep(PAUSE);
    }
    ring.completion().for_each(drop);
    Ok(())
}

/// Interrupted, or the kernel is short of something, perhaps only for a moment.
fn is_passing(error: &io::Error) -> bool {
    let passing = [Errno::INTR, Errno::AGAIN, Errno::BUSY, Errno::NOMEM];
    passing.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Whether the kernel gives a ring.
///
/// # Errors
/// What it says where it does not: ENOSYS, it is too old; EPERM, it is switched off or a sandbox forbids it.
pub fn probe_io_uring() -> io::Result<()> {
    Ring::open(1, &[]).map(drop)
}

/// Starts the thread.
pub(crate) fn start(shared: Arc<Shared>, ring: Ring) -> io::Result<JoinHandle<()>> {
    let (started, starts) = mpsc::channel();
    let active = (0..shared.depth).map(|_| None).collect();
    let Ring { mut ring, bell, registered } = ring;
    let pushed = VecDeque::with_capacity(ring.submission().capacity() + 1);
    let mut worker = Worker { shared, ring, bell, registered, active, pushed, refused: None, left: false };
    let thread = std::thread::Builder::new().name("read-ring".to_owned()).spawn(move || {
        // Nobody listens only if the caller has failed already.
        let _ = started.send(());
        worker.serve();
    })?;
    // A thread allocates when it first runs: that must not be in the middle of decoding.
    let _ = starts.recv();
    Ok(thread)
}

impl Worker {
    /// Takes requests while there is room, sleeps in the kernel, checks and hands back what arrived.
    fn serve(&mut self) {
        self.listen();
        while self.take_requests() {
            // After an error nothing is lost: what was not submitted is still queued.
            match self.ring.submit_and_wait(1) {
                Ok(_) => self.refused = None,
                Err(error) if is_passing(&error) && self.is_patient() => std::thread::sleep(PAUSE),
                Err(_) => return self.leave(),
            }
            self.reap();
        }
    }

    /// Whether the kernel has not refused for long.
    fn is_patient(&mut self) -> bool {
        self.refused.get_or_insert_with(Instant::now).elapsed() < PATIENCE
    }

    /// Gives the ring up and reads with threads instead, beginning with what it has not read.
    fn leave(&mut self) {
        self.left = true;
        self.forget_taken();
        // What the kernel never took it will not touch.
        for name in std::mem::take(&mut self.pushed).into_iter().filter(|&name| name != BELL) {
            if let Some(active) = &mut self.active[name as usize / MAX_RUNS] {
                active.outstanding -= 1;
            }
        }
        loop {
            (0..self.active.len()).for_each(|index| self.read_on(index));
            if self.active.iter().all(Option::is_none) {
                break;
            }
            // Reads that the kernel has taken end without our help.
            std::thread::sleep(PAUSE);
            self.reap();
        }
        self.shared.serve_with_helpers();
    }

    /// Reads what is missing of a request whose memory the kernel has left.
    fn read_on(&mut self, index: usize) {
        let Some(active) = self.active[index].as_mut().filter(|active| active.outstanding == 0) else {
            return;
        };
        let Active { request, runs, failure, .. } = active;
        for progress in runs.iter_mut().filter(|_| failure.is_none()) {
            if let Err(error) = self.shared.read_run(progress, request.target.as_mut_slice()) {
                *failure = Some(error);
                break;
            }
        }
        self.finish_if_done(index);
    }

    /// Forgets the names of entries that the kernel has taken: it takes them in order.
    fn forget_taken(&mut self) {
        let waiting = self.ring.submission().len();
        self.pushed.drain(..self.pushed.len().saturating_sub(waiting));
    }

    /// Starts requests while the kernel may have more. False when there will be no more and none is
    /// left.
    fn take_requests(&mut self) -> bool {
        while let Some(index) = self.active.iter().position(Option::is_none) {
            let request = {
                let mut queues = self.shared.desk.lock();
                match queues.next() {
                    _ if queues.closing => None,
                    next => next,
                }
            };
            match request {
                Some(request) => self.start(index, request),
                None => break,
            }
        }
        self.active.iter().any(Option::is_some) || !self.shared.desk.lock().closing
    }

    fn start(&mut self, index: usize, request: ReadRequest) {
        let runs = request.runs.map(|run| Progress::new(run, &self.shared.files[run.file.index()]));
        self.active[index] = Some(Active { request, runs, outstanding: 0, failure: None });
        for run in 0..MAX_RUNS {
            self.go_on(index, run);
        }
        self.finish_if_done(index);
    }

    /// Queues the next read of a run, if it needs one.
    fn go_on(&mut self, index: usize, run: usize) {
        let Some(active) = &mut self.active[index] else { return };
        let progress = active.runs[run];
        if self.left || progress.is_complete() || active.failure.is_some() {
            return;
        }
        let file = self.shared.files[progress.run.file.index()].get(progress.direct);
        // The other run of the request may be at the kernel: there is an address, and no slice.
        let range = progress.range();
        let (start, bytes) = (active.request.target.address_of(&range), range.len());
        let fd = types::Fd(file.as_raw_fd());
        let known = self.registered.iter().position(|range| range.holds(start, bytes));
        let entry = match known {
            Some(buffer) => opcode::ReadFixed::new(fd, start, bytes as u32, buffer as u16)
                .offset(progress.offset())
                .build(),
            None => opcode::Read::new(fd, start, bytes as u32).offset(progress.offset()).build(),
        };
        active.outstanding += 1;
        // The memory belongs to the request, which stays in `active` until the kernel has answered.
        self.push(entry.user_data((index * MAX_RUNS + run) as u64));
    }

    /// Waits for the bell, so that a request wakes the thread.
    fn listen(&mut self) {
        let fd = types::Fd(self.bell.as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).build();
        self.push(entry.user_data(BELL));
    }

    fn answer_bell(&mut self) {
        // Silences it; what was asked for is found at the desk. Without a ring it has nothing to tell.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        if !self.left {
            self.listen();
        }
    }

    fn push(&mut self, entry: squeue::Entry) {
        self.forget_taken();
        self.pushed.push_back(entry.get_user_data());
        // SAFETY: the memory an entry names is owned by `active` (whose requests own their targets) and
        // stays until the kernel has answered, for the worker leaves `serve` only when nothing is
        // active.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            // Full: the ring has room for everything active, so submitting makes room.
            let _ = self.ring.submit();
        }
    }

    fn reap(&mut self) {
        loop {
            let Some(entry) = self.ring.completion().next() else { return };
            match entry.user_data() {
                BELL => self.answer_bell(),
                name => self.arrived(name as usize / MAX_RUNS, name as usize % MAX_RUNS, entry.result()),
            }
        }
    }

    /// The kernel has answered one read.
    fn arrived(&mut self, index: usize, run: usize, result: i32) {
        let Some(active) = &mut self.active[index] else { return };
        active.outstanding -= 1;
        let progress = &mut active.runs[run];
        let mut read =
            if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result as usize) };
        if let Some(faults) = &self.shared.faults {
            // SAFETY: this run's read has just come back, and it has no other; the next one is queued below.
            read = faults.disturb(read, unsafe { active.request.target.part(progress.range()) });
        }
        if let Err(source) = progress.advance(read) {
            let (file, offset) = (progress.run.file, progress.run.offset);
            active.failure.get_or_insert(ReadError { file, offset, source });
        }
        self.go_on(index, run);
        self.finish_if_done(index);
    }

    /// Hands a request back when it is read, or has failed, and the kernel has left its memory.
    fn finish_if_done(&mut self, index: usize) {
        let done = |active: &mut Active| {
            let read = active.failure.is_some() || active.runs.iter().all(Progress::is_complete);
            read && active.outstanding == 0
        };
        let Some(active) = self.active[index].take_if(done) else { return };
        for progress in active.runs.iter().filter(|progress| progress.run.bytes > 0) {
            self.shared.after_run(progress);
        }
        let outcome = active.failure.map_or(Ok(()), Err);
        self.shared.desk.finish(Completion::of(active.request, outcome));
    }
}
