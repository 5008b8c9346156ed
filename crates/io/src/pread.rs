//! Positioned reads on a small pool of threads: works everywhere, the slow twin of io_uring.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use crate::progress::Progress;
use crate::shared::Shared;
use crate::{Completion, ReadError, ReadRequest};

/// Starts one thread for every read that may be at the kernel at once.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let (started, starts) = mpsc::channel();
    let mut threads = Vec::new();
    for i in 0..shared.depth {
        let (shared, started) = (Arc::clone(shared), started.clone());
        let thread = std::thread::Builder::new().name(format!("read-{i}")).spawn(move || {
            // Nobody listens only if the caller has failed already.
            let _ = started.send(());
            shared.serve();
        })?;
        threads.push(thread);
    }
    // A thread allocates when it first runs: that must not be in the middle of decoding.
    starts.iter().take(threads.len()).for_each(|()| {});
    Ok(threads)
}

impl Shared {
    /// One thread's life: take a request, read it, hand it back.
    fn serve(&self) {
        while let Some(mut request) = self.wait_for_request() {
            let outcome = self.read_runs(&mut request);
            self.desk.finish(Completion::of(request, outcome));
        }
    }

    fn wait_for_request(&self) -> Option<ReadRequest> {
        let mut queues = self.desk.lock();
        loop {
            if queues.closing {
                return None;
            }
            if let Some(request) = queues.next() {
                return Some(request);
            }
            queues = self.desk.work.wait(queues).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// The same by a thread that has other work behind it, with as many others as the system gives.
    pub(crate) fn serve_with_helpers(self: &Arc<Self>) {
        let helpers = start(self).unwrap_or_default();
        self.serve();
        for helper in helpers {
            // A thread that panicked has nothing left to give back.
            let _ = helper.join();
        }
    }

    fn read_runs(&self, request: &mut ReadRequest) -> Result<(), ReadError> {
        let memory = request.target.as_mut_slice();
        for run in request.runs.iter().filter(|run| run.bytes > 0) {
            let mut progress = Progress::new(*run, &self.files[run.file.index()]);
            self.read_run(&mut progress, memory)?;
            self.after_run(&progress);
        }
        Ok(())
    }
}
