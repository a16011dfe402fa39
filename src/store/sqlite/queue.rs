//! The queue of closures that wait for the thread that writes, and how each gets its answer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::monotonic;
use crate::store::{Broken, Tx};

/// Closures that may wait: several times the number of connections there can be. Beyond it a caller gets `Busy` at once.
const LONGEST_QUEUE: usize = 4096;

/// What the writer has done since it started.
#[derive(Default)]
pub(in crate::store) struct Counters {
    pub commits: AtomicU64,
    pub transactions: AtomicU64,
    pub largest_batch: AtomicU64,
    pub void_batches: AtomicU64,
    pub foreign_changes: AtomicU64,
    pub synchronous: u64,
}

/// The queue, and what callers and the thread share.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    write_error: Mutex<Option<Broken>>,
    pub counters: Counters,
}

/// What waits for the thread.
struct Waiting {
    calls: VecDeque<Queued>,
    maintenance: VecDeque<SyncSender<()>>,
    is_open: bool,
    /// The thread has nothing to do and must be woken.
    thread_sleeps: bool,
}

/// A closure in the queue, and until when it may stay there.
pub(super) struct Queued {
    pub call: Box<dyn Call>,
    pub expires: Instant,
}

/// What the thread does next.
pub(super) enum Task {
    Batch,
    Maintain(SyncSender<()>),
    Close,
}

impl Queue {
    pub fn new(synchronous: u64) -> Queue {
        let waiting = Waiting {
            calls: VecDeque::new(),
            maintenance: VecDeque::new(),
            is_open: true,
            thread_sleeps: false,
        };
        Queue {
            waiting: Mutex::new(waiting),
            arrived: Condvar::new(),
            write_error: Mutex::new(None),
            counters: Counters {
                synchronous,
                ..Counters::default()
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No critical section runs anything that can panic halfway.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why writes fail at present, as far as is known.
    pub fn write_error(&self) -> MutexGuard<'_, Option<Broken>> {
        self.write_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a closure, which may wait for `patience`.
    ///
    /// # Errors
    /// [`Broken::Busy`] if [`LONGEST_QUEUE`] closures wait already, [`Broken::Stopped`] if the store is closing.
    pub fn enqueue(&self, call: Box<dyn Call>, patience: Duration) -> Result<(), Broken> {
        let mut waiting = self.lock();
        if !waiting.is_open {
            return Err(Broken::Stopped);
        }
        if waiting.calls.len() >= LONGEST_QUEUE {
            return Err(Broken::Busy);
        }
        // Computed under the lock, so that the queue is in the order of its deadlines.
        let expires = monotonic() + patience;
        waiting.calls.push_back(Queued { call, expires });
        if waiting.thread_sleeps {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Asks for maintenance, which comes before all closures. `done` gets a message when it is over.
    pub fn enqueue_maintenance(&self, done: SyncSender<()>) {
        self.lock().maintenance.push_back(done);
        self.arrived.notify_one();
    }

    /// Refuses new closures from now on.
    pub fn close(&self) {
        self.lock().is_open = false;
        self.arrived.notify_one();
    }

    /// Waits until there is something to do.
    pub fn next_task(&self) -> Task {
        let mut waiting = self.lock();
        loop {
            if let Some(done) = waiting.maintenance.pop_front() {
                return Task::Maintain(done);
            }
            if !waiting.calls.is_empty() {
                return Task::Batch;
            }
            if !waiting.is_open {
                return Task::Close;
            }
            waiting.thread_sleeps = true;
            waiting = self
                .arrived
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
            waiting.thread_sleeps = false;
        }
    }

    /// Takes out the closure that has waited longest.
    pub fn next_call(&self) -> Option<Queued> {
        self.lock().calls.pop_front()
    }

    /// Takes out the closures whose deadline is not after `now`.
    pub fn take_expired(&self, now: Instant) -> Vec<Queued> {
        let mut waiting = self.lock();
        let count = waiting
            .calls
            .partition_point(|queued| queued.expires <= now);
        waiting.calls.drain(..count).collect()
    }

    /// Takes out all closures.
    pub fn take_all(&self) -> Vec<Queued> {
        self.lock().calls.drain(..).collect()
    }

    /// How many closures wait.
    pub fn len(&self) -> usize {
        self.lock().calls.len()
    }
}

/// A caller's closure, without its types.
pub(super) trait Call: Send {
    /// Runs it. Returns whether its changes are to be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;

    /// Gives the caller the closure's result or, with `broken`, the reason why nothing of it remains.
    fn answer(self: Box<Self>, broken: Option<Broken>);
}

/// A closure with its types.
pub(super) struct Closure<F, T, E> {
    work: F,
    outcome: Option<Result<T, E>>,
    answer: SyncSender<Result<T, E>>,
}

impl<F, T, E> Closure<F, T, E> {
    pub fn new(work: F, answer: SyncSender<Result<T, E>>) -> Closure<F, T, E> {
        Closure {
            work,
            outcome: None,
            answer,
        }
    }
}

impl<F, T, E> Call for Closure<F, T, E>
where
    F: Fn(&Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Broken> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        // Nothing of the closure is used after a panic, and its changes are rolled back.
        let outcome = match catch_unwind(AssertUnwindSafe(|| (self.work)(tx))) {
            Ok(outcome) => outcome,
            Err(_) => Err(Broken::Panicked.into()),
        };
        let outcome = match tx.first_error() {
            Some(overlooked) if outcome.is_ok() => Err(overlooked.broken.into()),
            _ => outcome,
        };
        self.outcome.insert(outcome).is_ok()
    }

    fn answer(self: Box<Self>, broken: Option<Broken>) {
        let Closure {
            work,
            outcome,
            answer,
        } = *self;
        let outcome = match (broken, outcome) {
            (None, Some(outcome)) => outcome,
            (Some(broken), _) => Err(broken.into()),
            (None, None) => Err(Broken::Stopped.into()),
        };
        // The closure may own the store. After the answer, the caller may drop the store, and this would be its last owner:
        // the writer's thread would wait for its own end.
        drop(work);
        // The caller waits in `recv`, so it is there.
        let _ = answer.send(outcome);
    }
}
