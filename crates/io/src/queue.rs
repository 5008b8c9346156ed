//! The desk between the pager and the threads that read: requests by urgency one way, completions the
//! other.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

use hotset_base::limits::MAX_READS_IN_FLIGHT;

use crate::{Completion, ReadRequest, Urgency};

/// Shared by one pager and its reading threads.
pub(crate) struct Desk {
    queues: Mutex<Queues>,
    /// Told when there is a request, or no more will come.
    pub work: Condvar,
    done: Condvar,
}

/// All queues have their full capacity from the start and never grow.
pub(crate) struct Queues {
    demand: VecDeque<ReadRequest>,
    prefetch: VecDeque<ReadRequest>,
    completions: VecDeque<Completion>,
    pub closing: bool,
}

impl Queues {
    /// The next request to start.
    pub fn next(&mut self) -> Option<ReadRequest> {
        self.demand.pop_front().or_else(|| self.prefetch.pop_front())
    }
}

impl Desk {
    pub fn new() -> Self {
        let queue = || VecDeque::with_capacity(MAX_READS_IN_FLIGHT);
        let queues = Queues {
            demand: queue(),
            prefetch: queue(),
            completions: VecDeque::with_capacity(MAX_READS_IN_FLIGHT),
            closing: false,
        };
        Self { queues: Mutex::new(queues), work: Condvar::new(), done: Condvar::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, Queues> {
        // The queues are consistent between any two statements, so a poisoned lock is still good.
        self.queues.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn put(&self, request: ReadRequest) {
        let mut queues = self.lock();
        match request.urgency {
            Urgency::Demand => queues.demand.push_back(request),
            Urgency::Prefetch => queues.prefetch.push_back(request),
        }
    }

    /// A prefetch that has not started becomes a demand.
    pub fn hurry(&self, ticket: u32) {
        let mut queues = self.lock();
        if let Some(request) = queues.take_prefetch(ticket) {
            queues.demand.push_back(ReadRequest { urgency: Urgency::Demand, ..request });
        }
    }

    /// Takes back prefetches, all or, if one has started, none.
    pub fn cancel(&self, tickets: &[u32], mut back: impl FnMut(ReadRequest)) -> bool {
        let mut queues = self.lock();
        let waits = |ticket: &u32| queues.prefetch.iter().any(|request| request.ticket == *ticket);
        if !tickets.iter().all(waits) {
            return false;
        }
        tickets.iter().filter_map(|&ticket| queues.take_prefetch(ticket)).for_each(&mut back);
        true
    }

    pub fn finish(&self, completion: Completion) {
        self.lock().completions.push_back(completion);
        self.done.notify_one();
    }

    /// The next completion. With `wait`, something must be in flight.
    pub fn collect(&self, wait: bool) -> Option<Completion> {
        let mut queues = self.lock();
        while wait && queues.completions.is_empty() {
            queues = self.done.wait(queues).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        queues.completions.pop_front()
    }
}

impl Queues {
    fn take_prefetch(&mut self, ticket: u32) -> Option<ReadRequest> {
        let at = self.prefetch.iter().position(|request| request.ticket == ticket)?;
        self.prefetch.remove(at)
    }
}
