//! Where closures wait for the thread that writes, and how each gets its answer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::monotonic;
use crate::store::error::Broken;
use crate::store::tx::Tx;

/// Closures that may wait. More than there can be connections, several times over; beyond, `Busy` at once.
const LONGEST_QUEUE: usize = 4096;

/// What the writer has done since it started.
#[derive(Default)]
pub(in crate::store) struct Tallies {
    pub commits: AtomicU64,
    pub transactions: AtomicU64,
    pub largest_batch: AtomicU64,
    pub void_batches: AtomicU64,
    pub foreign_changes: AtomicU64,
    pub synchronous: u64,
}

/// The queue, and what both of its ends know.
pub(in crate::store) struct Queue {
    line: Mutex<Line>,
    arrived: Condvar,
    write_error: Mutex<Option<Broken>>,
    pub tallies: Tallies,
}

/// Who waits for the thread.
struct Line {
    calls: VecDeque<Queued>,
    chores: VecDeque<SyncSender<()>>,
    is_open: bool,
    /// The thread has nothing to do and must be woken.
    is_awaited: bool,
}

/// A closure in the queue, and how long it may stay there.
pub(in crate::store) struct Queued {
    pub call: Box<dyn Call>,
    pub expires: Instant,
}

/// What the thread is to do next.
pub(in crate::store) enum Task {
    Batch,
    Chore(SyncSender<()>),
    Close,
}

impl Queue {
    pub fn new(synchronous: u64) -> Queue {
        let line = Line {
            calls: VecDeque::new(),
            chores: VecDeque::new(),
            is_open: true,
            is_awaited: false,
        };
        Queue {
            line: Mutex::new(line),
            arrived: Condvar::new(),
            write_error: Mutex::new(None),
            tallies: Tallies {
                synchronous,
                ..Tallies::default()
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // No critical section runs anything that may panic halfway.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What keeps writes from succeeding, as far as is known.
    pub fn write_error(&self) -> MutexGuard<'_, Option<Broken>> {
        self.write_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a closure.
    ///
    /// # Errors
    /// [`Broken::Busy`] if too many wait already.
    pub fn enqueue(&self, call: Box<dyn Call>, patience: Duration) -> Result<(), Broken> {
        let mut line = self.lock();
        if !line.is_open {
            return Err(Broken::Stopped);
        }
        if line.calls.len() >= LONGEST_QUEUE {
            return Err(Broken::Busy);
        }
        // Taken under the lock, so that the queue is in the order of its deadlines.
        let expires = monotonic() + patience;
        line.calls.push_back(Queued { call, expires });
        if line.is_awaited {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Queues housekeeping, which goes before all closures; `done` hears when it is over.
    pub fn enqueue_chore(&self, done: SyncSender<()>) {
        self.lock().chores.push_back(done);
        self.arrived.notify_one();
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.lock().is_open = false;
        self.arrived.notify_one();
    }

    /// Waits until there is something to do.
    pub fn next_task(&self) -> Task {
        let mut line = self.lock();
        loop {
            if let Some(done) = line.chores.pop_front() {
                return Task::Chore(done);
            }
            if !line.calls.is_empty() {
                return Task::Batch;
            }
            if !line.is_open {
                return Task::Close;
            }
            line.is_awaited = true;
            line = self
                .arrived
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
            line.is_awaited = false;
        }
    }

    /// The closure that has waited longest.
    pub fn next_call(&self) -> Option<Queued> {
        self.lock().calls.pop_front()
    }

    /// Takes out those who have waited too long by `now`.
    pub fn take_expired(&self, now: Instant) -> Vec<Queued> {
        let mut line = self.lock();
        let count = line.calls.partition_point(|queued| queued.expires <= now);
        line.calls.drain(..count).collect()
    }

    /// Takes out everybody.
    pub fn take_all(&self) -> Vec<Queued> {
        self.lock().calls.drain(..).collect()
    }

    /// How many closures wait.
    pub fn len(&self) -> usize {
        self.lock().calls.len()
    }
}

/// One caller's closure, whatever its types.
pub(in crate::store) trait Call: Send {
    /// Runs it; whether its changes are to be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;

    /// Hands over what came of it, or why nothing did.
    fn answer(self: Box<Self>, broken: Option<Broken>);
}

/// A closure with its types.
pub(in crate::store) struct Closure<F, T, E> {
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
        let outcome = match (broken, self.outcome) {
            (None, Some(outcome)) => outcome,
            (Some(broken), _) => Err(broken.into()),
            (None, None) => Err(Broken::Stopped.into()),
        };
        // The caller waits in `recv` and can't be gone.
        let _ = self.answer.send(outcome);
    }
}
