//! A fixed crew of threads for regions of some 50 microseconds: they spin for the next region, then
//! park. One region at a time; the caller is one of the crew.
//!
//! A region is open from [`Pool::run`] until the caller finds no task left. Workers join while it is
//! open; a worker that wakes too late finds it closed and nobody has waited for it. So a region never
//! costs more than its tasks, also when a worker is parked or has lost its processor to a read.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hotset_base::Bytes;

use crate::affinity::{allowed, stay_on};
use crate::int8::{BLOCK, TILE, Wide};

/// Workers look for the next region this long before they park.
const SPIN: Duration = Duration::from_micros(20);
/// Tasks per thread of a region, so that a thread that is held up leaves work for the others, and that all end
/// within an eighth of their share.
const TASKS_PER_THREAD: usize = 8;
/// Tasks of each matrix, at least, when matrices may differ in the vectors they meet.
const TASKS_OF_A_MATRIX: usize = 4;
/// Bytes of weights, times vectors, below which a task is not worth taking: about a microsecond.
const LEAST_TASK: usize = 16 << 10;

/// What the crew runs: `task(thread, index)`.
type Task<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// A region's task with its lifetime removed.
#[derive(Clone, Copy)]
struct Region {
    task: *const (dyn Fn(usize, usize) + Sync),
    tasks: usize,
}

// SAFETY: the pointer is dereferenced only by threads that joined the region while it was open, and
// `Pool::run`, which holds the reference it was made from, waits for them; the closure is `Sync`.
unsafe impl Send for Region {}

struct Control {
    /// The open region. Joined and closed under the lock: no one joins a closed one.
    region: Option<Region>,
    /// The first panic of a worker's task.
    panic: Option<Box<dyn Any + Send>>,
    /// Workers asleep: when none is, a region costs no system call.
    parked: usize,
    closing: bool,
}

struct Shared {
    /// Counts regions begun; a worker that sees a new number tries to join.
    epoch: AtomicUsize,
    /// Next task of the region.
    next: AtomicUsize,
    /// Workers that have joined the region and not left it.
    joined: AtomicUsize,
    control: Mutex<Control>,
    wake: Condvar,
    /// One buffer a thread, `max_cols` long: a dequantised row.
    rows: Vec<Mutex<Vec<f32>>>,
    /// One buffer a thread: a tile of vectors of `max_cols` numbers, widened.
    wide: Vec<Mutex<Vec<Wide>>>,
}

/// The crew. Kernels take `&Pool`; two callers at once are served in turn.
///
/// A task must not use its own pool again: it would wait for itself.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a region.
    turn: Mutex<()>,
}

impl Pool {
    /// Starts `threads - 1` workers. Rows of up to `max_cols` weights can be worked on.
    ///
    /// # Errors
    /// What the system says when it refuses a thread; workers already started have ended by then.
    pub fn new(threads: usize, max_cols: usize) -> io::Result<Self> {
        Self::start(threads.max(1), max_cols, &[])
    }

    /// The same, with each worker kept on a processor of its own as far as there are enough. The caller stays
    /// free to move: what is left is where it will be, and threads that it starts later inherit no narrow choice.
    ///
    /// # Errors
    /// As [`Pool::new`].
    pub fn strict(threads: usize, max_cols: usize) -> io::Result<Self> {
        Self::start(threads.max(1), max_cols, &allowed())
    }

    /// Worker `i` stays on processor `cpus[i]`, if there is one.
    fn start(threads: usize, max_cols: usize, cpus: &[usize]) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            joined: AtomicUsize::new(0),
            control: Mutex::new(Control { region: None, panic: None, parked: 0, closing: false }),
            wake: Condvar::new(),
            rows: (0..threads).map(|_| Mutex::new(vec![0.0; max_cols])).collect(),
            wide: (0..threads).map(|_| Mutex::new(vec![Wide::ZERO; wide_blocks(max_cols)])).collect(),
        });
        let mut pool = Self { shared, workers: Vec::with_capacity(threads - 1), turn: Mutex::new(()) };
        let (started, starts) = mpsc::channel();
        for thread in 1..threads {
            let (shared, started, cpu) =
                (Arc::clone(&pool.shared), started.clone(), cpus.get(thread).copied());
            let worker = std::thread::Builder::new().name(format!("compute-{thread}")).spawn(move || {
                if let Some(cpu) = cpu {
                    stay_on(cpu);
                }
                // Nobody listens only if the constructor has failed already.
                let _ = started.send(());
                shared.work(thread);
            })?;
            pool.workers.push(worker);
        }
        // A thread allocates when it first runs: that must not be in the middle of decoding.
        starts.iter().take(pool.workers.len()).for_each(|()| {});
        Ok(pool)
    }

    /// Threads of the crew, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Rows of a task when `rows` rows of `row_bytes` meet `vectors` vectors, in `matrices` such matrices.
    pub(crate) fn band(&self, rows: usize, row_bytes: usize, vectors: usize, matrices: usize) -> usize {
        // With several vectors, some matrices meet many and some few: none is one task.
        let fewest = if vectors > 1 { TASKS_OF_A_MATRIX } else { 1 };
        let parts = (self.threads() * TASKS_PER_THREAD).div_ceil(matrices.max(1)).max(fewest);
        let least = LEAST_TASK.div_ceil((row_bytes * vectors).max(1));
        // Not 0, so that a matrix without rows is cut into no tasks.
        rows.div_ceil(parts).max(least).min(rows).max(1)
    }

    /// Calls `f(i, chunk)` for every chunk of `chunk_len` elements of `data`; the last may be shorter.
    ///
    /// # Panics
    /// If `chunk_len` is 0; with the panic of `f`, if one panics, when all others have ended.
    pub fn for_each_chunk<T: Send>(
        &self,
        data: &mut [T],
        chunk_len: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        assert!(chunk_len > 0, "chunks have a length");
        let chunks = data.len().div_ceil(chunk_len);
        let data = SharedSlice::new(data);
        self.run(chunks, &|_, i| {
            let range = i * chunk_len..((i + 1) * chunk_len).min(data.len());
            // SAFETY: `run` calls with every `i` once, so no two chunks overlap.
            f(i, unsafe { data.range(range) });
        });
    }

    /// Calls `task(thread, i)` for every `i < tasks`, each once, and returns when all have ended. A
    /// panic of a task is raised again here.
    pub(crate) fn run(&self, tasks: usize, task: Task<'_>) {
        if self.workers.is_empty() || tasks <= 1 {
            (0..tasks).for_each(|i| task(0, i));
            return;
        }
        let _turn = lock(&self.turn);
        // SAFETY: only the lifetime changes; nobody is in the region once `close` has returned, and
        // nothing between here and there can unwind.
        let task: Task<'static> = unsafe { std::mem::transmute::<Task<'_>, Task<'static>>(task) };
        let region = Region { task, tasks };
        self.shared.open(region);
        let mine = self.shared.take_tasks(0, region);
        let theirs = self.shared.close();
        if let Some(panic) = mine.err().or(theirs) {
            resume_unwind(panic);
        }
    }

    /// Memory of [`Pool::new`], stacks apart.
    pub fn planned_bytes(threads: usize, max_cols: usize) -> Bytes {
        let wide = wide_blocks(max_cols) * size_of::<Wide>();
        Bytes((threads.max(1) * (max_cols * size_of::<f32>() + wide)) as u64)
    }

    /// The buffer of a thread for a tile of vectors.
    pub(crate) fn wide(&self, thread: usize) -> MutexGuard<'_, Vec<Wide>> {
        lock(&self.shared.wide[thread])
    }

    /// The row buffer of a thread.
    pub(crate) fn row(&self, thread: usize) -> MutexGuard<'_, Vec<f32>> {
        lock(&self.shared.rows[thread])
    }
}

/// Blocks of a tile of vectors of `cols` numbers.
fn wide_blocks(cols: usize) -> usize {
    TILE * cols.div_ceil(BLOCK)
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let mut control = lock(&self.shared.control);
            control.closing = true;
            self.shared.epoch.fetch_add(1, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // Workers catch panics; a failed join has nothing to tell.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Lets workers join `region`.
    fn open(&self, region: Region) {
        self.next.store(0, Ordering::Relaxed);
        let parked = {
            // The number changes under the lock: a worker about to park either sees it or is woken.
            let mut control = lock(&self.control);
            control.region = Some(region);
            self.epoch.fetch_add(1, Ordering::Release);
            control.parked
        };
        if parked > 0 {
            self.wake.notify_all();
        }
    }

    /// Lets no further worker join and waits for those who have; their panic, if one panicked. It
    /// does not park: what remains is at most one task a worker.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        lock(&self.control).region = None;
        let all_left = || self.joined.load(Ordering::Acquire) == 0;
        while !spin_until(all_left) {
            std::thread::yield_now();
        }
        lock(&self.control).panic.take()
    }

    /// A worker's life: wait for a region, help with it, leave it.
    fn work(&self, thread: usize) {
        let mut seen = 0;
        loop {
            seen = self.wait_for_region(seen);
            let region = {
                let control = lock(&self.control);
                if control.closing {
                    return;
                }
                let Some(region) = control.region else { continue };
                self.joined.fetch_add(1, Ordering::Relaxed);
                region
            };
            if let Err(panic) = self.take_tasks(thread, region) {
                lock(&self.control).panic.get_or_insert(panic);
            }
            self.joined.fetch_sub(1, Ordering::Release);
        }
    }

    /// Returns the number of a region later than `seen`.
    fn wait_for_region(&self, seen: usize) -> usize {
        let changed = || self.epoch.load(Ordering::Acquire) != seen;
        if !spin_until(changed) {
            let mut control = lock(&self.control);
            control.parked += 1;
            while !changed() {
                control = self.wake.wait(control).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
            control.parked -= 1;
        }
        self.epoch.load(Ordering::Acquire)
    }

    /// Takes tasks until none is left; after a panic the thread takes no more.
    fn take_tasks(&self, thread: usize, region: Region) -> Result<(), Box<dyn Any + Send>> {
        catch_unwind(AssertUnwindSafe(|| {
            loop {
                let i = self.next.fetch_add(1, Ordering::Relaxed);
                if i >= region.tasks {
                    return;
                }
                // SAFETY: see `Region`: the caller of `run` waits for us, or is us.
                unsafe { (*region.task)(thread, i) };
            }
        }))
    }
}

/// Polls for [`SPIN`]; whether `done` became true.
fn spin_until(done: impl Fn() -> bool) -> bool {
    // Reading the clock costs about as much as this many polls.
    const POLLS: usize = 16;
    let start = Instant::now();
    loop {
        for _ in 0..POLLS {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() >= SPIN {
            return false;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Tasks run outside the locks that guard state, and a row buffer is overwritten before use.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A slice that tasks write disjoint ranges of.
pub(crate) struct SharedSlice<'a, T> {
    start: *mut T,
    len: usize,
    _borrow: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: the slice is borrowed exclusively for our lifetime; `range` makes its callers promise
// disjointness, so sharing us gives each thread its own elements.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), _borrow: std::marker::PhantomData }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// # Safety
    /// No two ranges in use at a time may overlap.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the slice (just checked) and not aliased (the caller's promise).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_visited_once_over_thousands_of_regions() {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads, 1).unwrap();
            let mut data = vec![0u32; 37];
            for round in 0..10_000u32 {
                pool.for_each_chunk(&mut data, 5, |_, chunk| chunk.iter_mut().for_each(|x| *x += 1));
                assert!(data.iter().all(|&x| x == round + 1));
            }
        }
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(2, 1).unwrap();
        for failing in 0..8 {
            let mut data = [0; 8];
            let attempt = catch_unwind(AssertUnwindSafe(|| {
                pool.for_each_chunk(&mut data, 1, |i, _| assert_ne!(i, failing));
            }));
            assert!(attempt.is_err());
            pool.for_each_chunk(&mut data, 1, |i, x| x[0] = i);
            assert_eq!(data, [0, 1, 2, 3, 4, 5, 6, 7]);
        }
    }

    #[test]
    fn ten_thousand_empty_regions_end() {
        let pool = Pool::new(3, 1).unwrap();
        let visits = AtomicUsize::new(0);
        for _ in 0..10_000 {
            pool.run(2, &|_, _| _ = visits.fetch_add(1, Ordering::Relaxed));
            pool.run(0, &|_, _| unreachable!("no tasks"));
        }
        assert_eq!(visits.into_inner(), 20_000);
    }

    #[test]
    fn callers_on_several_threads_are_served_in_turn() {
        let pool = Pool::new(2, 1).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut data = [0; 16];
                    (0..500).for_each(|_| {
                        pool.for_each_chunk(&mut data, 3, |_, x| x.iter_mut().for_each(|x| *x += 1))
                    });
                    assert_eq!(data, [500; 16]);
                });
            }
        });
    }

    #[test]
    fn parked_workers_wake() {
        let pool = Pool::new(2, 1).unwrap();
        for _ in 0..5 {
            std::thread::sleep(std::time::Duration::from_millis(5));
            let mut data = [0; 64];
            pool.for_each_chunk(&mut data, 1, |_, x| x[0] = 1);
            assert_eq!(data, [1; 64]);
        }
    }
}
