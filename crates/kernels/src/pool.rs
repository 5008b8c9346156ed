//! A fixed crew of threads for regions of some 50 microseconds: they spin for the next region, then
//! park. One region at a time; the caller is one of the crew.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Looks for the next region this often before parking: some 20 microseconds.
const SPINS: usize = 4_000;
/// Tasks per thread of a region, so that a thread that is held up leaves work for the others.
pub(crate) const TASKS_PER_THREAD: usize = 4;

/// What the crew runs: `task(thread, index)`.
type Task<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// A region's task with its lifetime removed.
#[derive(Clone, Copy)]
struct Region {
    task: *const (dyn Fn(usize, usize) + Sync),
    tasks: usize,
}

// SAFETY: the pointer is dereferenced only while `Pool::run`, which holds the reference it was made
// from, waits for the region to end; the closure is `Sync`.
unsafe impl Send for Region {}

struct Control {
    region: Option<Region>,
    panic: Option<Box<dyn Any + Send>>,
    closing: bool,
}

struct Shared {
    /// Counts regions begun; a worker that sees a new number joins that region.
    epoch: AtomicUsize,
    /// Next task of the region.
    next: AtomicUsize,
    /// Workers that have not finished the region.
    busy: AtomicUsize,
    control: Mutex<Control>,
    wake: Condvar,
    /// One buffer a thread, `max_cols` long: a dequantised row.
    rows: Vec<Mutex<Vec<f32>>>,
}

/// See the module's text.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a region: a pool shared by two callers serves them in turn.
    turn: Mutex<()>,
}

impl Pool {
    /// Starts `threads - 1` workers. Rows of up to `max_cols` weights can be worked on.
    pub fn new(threads: usize, max_cols: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            control: Mutex::new(Control { region: None, panic: None, closing: false }),
            wake: Condvar::new(),
            rows: (0..threads).map(|_| Mutex::new(vec![0.0; max_cols])).collect(),
        });
        let mut pool = Self { shared, workers: Vec::new(), turn: Mutex::new(()) };
        for thread in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let worker = std::thread::Builder::new()
                .name(format!("compute-{thread}"))
                .spawn(move || shared.work(thread))?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Threads of the crew, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `f(i, chunk)` for every chunk of `chunk_len` elements of `data`.
    pub fn for_each_chunk<T: Send>(
        &self,
        data: &mut [T],
        chunk_len: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let chunk_len = chunk_len.max(1);
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
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes; the region ends before this function does (below), and
        // nothing keeps the pointer after that.
        let task: Task<'static> = unsafe { std::mem::transmute::<Task<'_>, Task<'static>>(task) };
        shared.next.store(0, Ordering::Relaxed);
        shared.busy.store(self.workers.len(), Ordering::Relaxed);
        {
            // The number changes under the lock: a worker about to park either sees it or is woken.
            let mut control = lock(&shared.control);
            control.region = Some(Region { task, tasks });
            shared.epoch.fetch_add(1, Ordering::Release);
        }
        shared.wake.notify_all();
        shared.take_tasks(0, Region { task, tasks });
        shared.wait_for_workers();
        let panic = lock(&shared.control).panic.take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// The row buffer of a thread.
    pub(crate) fn row(&self, thread: usize) -> MutexGuard<'_, Vec<f32>> {
        lock(&self.shared.rows[thread])
    }
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
    /// A worker's life: wait for a region, help with it, say so.
    fn work(&self, thread: usize) {
        let mut seen = 0;
        loop {
            seen = self.wait_for_region(seen);
            let region = {
                let control = lock(&self.control);
                if control.closing {
                    return;
                }
                control.region
            };
            if let Some(region) = region {
                self.take_tasks(thread, region);
            }
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    /// Returns the number of a region later than `seen`.
    fn wait_for_region(&self, seen: usize) -> usize {
        for _ in 0..SPINS {
            let epoch = self.epoch.load(Ordering::Acquire);
            if epoch != seen {
                return epoch;
            }
            std::hint::spin_loop();
        }
        let mut control = lock(&self.control);
        loop {
            let epoch = self.epoch.load(Ordering::Acquire);
            if epoch != seen {
                return epoch;
            }
            control = self.wake.wait(control).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// The caller's wait at a region's end. It does not park: what remains is one task a worker.
    fn wait_for_workers(&self) {
        let mut spins = 0;
        while self.busy.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }

    fn take_tasks(&self, thread: usize, region: Region) {
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let i = self.next.fetch_add(1, Ordering::Relaxed);
                if i >= region.tasks {
                    return;
                }
                // SAFETY: see `Region`: the caller of `run` is still waiting for us.
                unsafe { (*region.task)(thread, i) };
            }
        }));
        if let Err(panic) = result {
            lock(&self.control).panic.get_or_insert(panic);
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
