//! Threads and memory for password hashing, both bounded.
//!
//! One Argon2id computation takes 19 MiB and about 20 ms of a core. A server that started one for
//! every request would exhaust the memory of a small board and leave no processor time for other
//! work. So a few threads with a few memory areas (*arenas*) do the work:
//!
//! * **Memory.** `Arenas` grants arenas out of one budget, and a job begins only when its arena has
//!   been granted. So the budget can't be exceeded. An arena counts until its memory is freed. A job
//!   that needs more than the usual arena (an imported hash) waits until enough of the others are
//!   free. No other job overtakes it.
//! * **Time.** There are no more threads than cores, and no more than usual arenas fit into the
//!   budget. They run at low priority: a sign-in may take a little longer, a token refresh at the
//!   same time must not.
//! * **Waiting.** At most `Limits::waiting` jobs wait, each for at most `Limits::longest_wait`. A
//!   request for which there is no place is refused at once, so that a flood of sign-ins occupies
//!   neither connections nor memory. `queue` says to whom the places belong, so that a flood does
//!   not keep others out.
//!
//! A server without sign-ins uses little memory: threads are started when there is work for them,
//! arenas are allocated when they are first used and freed after `Limits::idle` without work.
//!
//! What remains in an arena after a computation is the output of a one-way function, and the next
//! computation overwrites it. The kernel clears the pages before another process gets them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use argon2::Block;

use super::queue::{Job, Overloaded, Queue, Requester, Work};

/// Stack of a worker, in bytes. Argon2 keeps a dozen blocks of 1 KiB on it.
const STACK: usize = 256 * 1024;

/// The niceness that is added for a worker (nice(2)). At 10, Linux gives another thread that wants
/// the same core about nine times as much of it, and still lets the worker run.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Address space reserved for an arena, in blocks. Only the used part is ever written and counts as
/// memory of the process.
///
/// glibc's malloc maps a large piece on its own and unmaps it when it is freed. But once it has
/// freed one of up to 32 MiB (`DEFAULT_MMAP_THRESHOLD_MAX` on 64 bits, mallopt(3)), it cuts later
/// ones of that size from a heap that it does not shrink: an arena of 19 MiB, used and freed four
/// times, was seen to leave 57 MiB behind. A piece beyond that bound is always unmapped.
const RESERVED_BLOCKS: usize = 32 * 1024 + 4;

/// The bounds of a set of [`Workers`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most threads.
    pub threads: usize,
    /// The most memory of all arenas together, in blocks of 1 KiB.
    pub budget: usize,
    /// The usual arena, in blocks: what is kept for the next job. At most the budget.
    pub arena: usize,
    /// The most jobs that wait for a thread.
    pub waiting: usize,
    /// The longest that a job waits for a thread.
    pub longest_wait: Duration,
    /// Arenas are given back after this long without work.
    pub idle: Duration,
}

/// A bounded queue of jobs and the threads that do them. Dropping it ends the threads and waits for
/// them.
pub(super) struct Workers {
    shared: Arc<Shared>,
}

impl Workers {
    pub fn new(limits: Limits) -> Workers {
        let state = State {
            queue: Queue::new(limits.waiting),
            last_ticket: 0,
            idle: 0,
            arenas: Arenas::new(limits.budget, limits.arena),
            threads: Vec::new(),
            closing: false,
        };
        Workers {
            shared: Arc::new(Shared {
                limits,
                state: Mutex::new(state),
                wake: Condvar::new(),
            }),
        }
    }

    /// Has a worker do `work` with an arena of at least `blocks`, at most the budget, and waits for
    /// the result.
    ///
    /// # Errors
    ///
    /// [`Overloaded`] if the queue has no place for `requester`, if another requester took its place,
    /// or if no worker was free within the longest wait. Then `work` is not done. The same if `work`
    /// panics, or if the system has no memory or no thread left, which is logged.
    pub fn run<T: Send + 'static>(
        &self,
        requester: Requester,
        blocks: usize,
        work: impl FnOnce(&mut [Block]) -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let (answer, answered) = sync_channel(1);
        let ticket = self.enqueue(
            requester,
            blocks,
            Box::new(move |memory| {
                // The caller waits for this, so it fails only if the caller panicked.
                let _ = answer.send(work(memory));
            }),
        )?;
        let result = match answered.recv_timeout(self.shared.limits.longest_wait) {
            Err(RecvTimeoutError::Timeout) => {
                if self.withdraw(ticket) {
                    return Err(Overloaded);
                }
                // A worker has begun, so the wait is over soon.
                answered.recv().map_err(RecvTimeoutError::from)
            }
            result => result,
        };
        result.map_err(|_| Overloaded)
    }

    /// The most jobs that are done at once.
    pub fn threads(&self) -> usize {
        self.shared.limits.threads
    }

    /// How many jobs wait for a worker now.
    pub fn waiting(&self) -> usize {
        self.shared.lock().queue.len()
    }

    fn enqueue(&self, requester: Requester, blocks: usize, work: Work) -> Result<u64, Overloaded> {
        let mut state = self.shared.lock();
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        let displaced = state.queue.push(Job {
            ticket,
            requester,
            blocks,
            work,
        })?;
        // The caller of that one waits for an answer, and its sender is dropped here: a refusal.
        drop(displaced);
        if state.idle < state.queue.len() && state.threads.len() < self.shared.limits.threads {
            let shared = Arc::clone(&self.shared);
            let name = format!("password-{}", state.threads.len());
            match thread::Builder::new()
                .name(name)
                .stack_size(STACK)
                .spawn(move || shared.work())
            {
                Ok(thread) => state.threads.push(thread),
                Err(error) => {
                    tracing::error!(%error, "no thread for password hashing");
                    if state.threads.is_empty() {
                        state.queue.remove(ticket);
                        return Err(Overloaded);
                    }
                }
            }
        }
        drop(state);
        self.shared.wake.notify_one();
        Ok(ticket)
    }

    /// Takes a job out of the queue again; false if a worker has it.
    fn withdraw(&self, ticket: u64) -> bool {
        let mut state = self.shared.lock();
        if state.queue.remove(ticket).is_none() {
            return false;
        }
        drop(state);
        // The next may need less memory than this one waited for.
        self.shared.wake.notify_one();
        true
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.shared.wake.notify_all();
        for thread in threads {
            // A worker catches every panic of its work.
            let _ = thread.join();
        }
    }
}

struct Shared {
    limits: Limits,
    state: Mutex<State>,
    /// Notified when a job arrives, when the first job changes, and at the end.
    wake: Condvar,
}

struct State {
    queue: Queue,
    last_ticket: u64,
    /// How many threads wait for something to do.
    idle: usize,
    arenas: Arenas,
    threads: Vec<JoinHandle<()>>,
    closing: bool,
}

impl Shared {
    /// The loop of a worker.
    fn work(&self) {
        lower_priority();
        while let Some((job, mut arena)) = self.next() {
            match arena.memory() {
                Some(memory) => {
                    // An arena holds nothing that the next job relies on.
                    let work = AssertUnwindSafe(|| (job.work)(memory));
                    if catch_unwind(work).is_err() {
                        tracing::error!("password hashing panicked; the request gets no answer");
                    }
                }
                None => tracing::error!(kib = job.blocks, "no memory for password hashing"),
            }
            self.lock().arenas.take_back(arena);
        }
    }

    /// Waits for the first job of the queue and the arena that it needs; `None` when the workers end.
    fn next(&self) -> Option<(Job, Arena)> {
        let mut state = self.lock();
        loop {
            if state.closing {
                return None;
            }
            if let Some(next) = state.take() {
                if state.queue.len() > 0 {
                    // Another thread may be waiting for memory that this one has returned.
                    self.wake.notify_one();
                }
                return Some(next);
            }
            state.idle += 1;
            if state.arenas.kept() == 0 {
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            }
            let waited = self.wake.wait_timeout(state, self.limits.idle);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if waited.timed_out() && state.queue.len() == 0 {
                state.arenas.release_kept();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No critical section can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first job and its arena, if there are both.
    fn take(&mut self) -> Option<(Job, Arena)> {
        let arena = self.arenas.grant(self.queue.first()?.blocks)?;
        Some((self.queue.pop()?, arena))
    }
}

/// Gives the rest of the process priority, so that a flood of sign-ins does not slow down token
/// refreshes.
fn lower_priority() {
    // Only on Linux does every thread have a niceness of its own (nice(2), "C library/kernel
    // differences"). Elsewhere this would slow down the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        // Hashing then competes with the rest on equal terms.
        tracing::debug!(%error, "password hashing runs at normal priority");
    }
}

/// The accounts of the memory budget, in blocks of 1 KiB.
///
/// `granted` counts every arena that is in use or kept, and never exceeds `budget`.
struct Arenas {
    budget: usize,
    usual: usize,
    granted: usize,
    /// Not in use, each of the usual size.
    kept: Vec<Arena>,
}

/// The right to use some memory, and that memory once it is used.
struct Arena {
    granted: usize,
    blocks: Vec<Block>,
}

impl Arenas {
    fn new(budget: usize, usual: usize) -> Arenas {
        Arenas {
            budget,
            usual,
            granted: 0,
            kept: Vec::new(),
        }
    }

    /// An arena of at least `blocks`, or `None` until more of the others are back.
    fn grant(&mut self, blocks: usize) -> Option<Arena> {
        let size = blocks.max(self.usual);
        if size == self.usual
            && let Some(arena) = self.kept.pop()
        {
            return Some(arena);
        }
        while self.granted + size > self.budget {
            let arena = self.kept.pop()?;
            self.free(arena);
        }
        self.granted += size;
        Some(Arena {
            granted: size,
            blocks: Vec::new(),
        })
    }

    /// Keeps an arena of the usual size for the next job, frees a larger one.
    fn take_back(&mut self, arena: Arena) {
        if arena.granted == self.usual {
            self.kept.push(arena);
        } else {
            self.free(arena);
        }
    }

    fn kept(&self) -> usize {
        self.kept.len()
    }

    fn release_kept(&mut self) {
        for arena in std::mem::take(&mut self.kept) {
            self.free(arena);
        }
    }

    fn free(&mut self, Arena { granted, blocks }: Arena) {
        // In this order, so that the next grant does not exceed the budget.
        drop(blocks);
        self.granted -= granted;
    }
}

impl Arena {
    /// The memory, as many blocks as were granted; `None` if the system has no memory left.
    fn memory(&mut self) -> Option<&mut [Block]> {
        if self.blocks.is_empty() {
            self.blocks
                .try_reserve_exact(self.granted.max(RESERVED_BLOCKS))
                .ok()?;
            self.blocks.resize(self.granted, Block::new());
        }
        Some(&mut self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::{
        RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    };
    use std::thread::{Scope, ScopedJoinHandle};

    use proptest::prelude::*;

    /// Longer than any test takes.
    const NEVER: Duration = Duration::from_secs(3600);

    const LIMITS: Limits = Limits {
        threads: 1,
        budget: 64,
        arena: 16,
        waiting: 2,
        longest_wait: NEVER,
        idle: NEVER,
    };

    /// Blocks jobs for as long as a test keeps its lock.
    #[derive(Default)]
    struct Gate {
        lock: RwLock<()>,
        arrived: AtomicUsize,
    }

    impl Gate {
        fn pass(&self) {
            self.arrived.fetch_add(1, SeqCst);
            drop(self.lock.read());
        }
    }

    /// Starts jobs that end when the gate is opened, each when a worker has the one before.
    fn hold<'s>(
        s: &'s Scope<'s, '_>,
        workers: &'s Workers,
        gate: &Arc<Gate>,
        jobs: usize,
    ) -> Vec<ScopedJoinHandle<'s, Result<(), Overloaded>>> {
        let mut held = Vec::new();
        for job in 1..=jobs {
            let passing = Arc::clone(gate);
            held.push(
                s.spawn(move || workers.run(Requester::OPERATOR, 1, move |_| passing.pass())),
            );
            until(|| gate.arrived.load(SeqCst) == job);
        }
        held
    }

    fn until(condition: impl Fn() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }

    fn granted(workers: &Workers) -> usize {
        workers.shared.lock().arenas.granted
    }

    #[test]
    fn a_job_gets_an_arena_and_the_caller_the_result() {
        let workers = Workers::new(LIMITS);
        for (wanted, given) in [(1, 16), (16, 16), (17, 17), (64, 64), (3, 16)] {
            assert_eq!(
                workers.run(Requester::OPERATOR, wanted, |memory| memory.len()),
                Ok(given)
            );
        }
    }

    #[test]
    fn threads_are_started_when_there_is_work_and_no_more_than_allowed() {
        let workers = Workers::new(Limits {
            threads: 3,
            waiting: 8,
            ..LIMITS
        });
        let threads = || workers.shared.lock().threads.len();
        assert_eq!((threads(), granted(&workers)), (0, 0));

        let gate = Arc::new(Gate::default());
        thread::scope(|s| {
            let _closed = gate.lock.write();
            hold(s, &workers, &gate, 3);
            for _ in 0..4 {
                s.spawn(|| workers.run(Requester::OPERATOR, 1, |_| ()));
            }
            until(|| workers.waiting() == 4);
            assert_eq!(threads(), 3);
        });
    }

    #[test] // fault 17
    fn a_request_that_finds_the_queue_full_is_refused_at_once() {
        let workers = Workers::new(LIMITS);
        let gate = Arc::new(Gate::default());
        thread::scope(|s| {
            let closed = gate.lock.write();
            let mut accepted = hold(s, &workers, &gate, 1);
            accepted
                .extend([(); 2].map(|()| s.spawn(|| workers.run(Requester::OPERATOR, 1, |_| ()))));
            until(|| workers.waiting() == 2);

            let refused = workers.run(Requester::OPERATOR, 1, |_| unreachable!("it never starts"));
            assert_eq!(refused, Err::<(), _>(Overloaded));

            drop(closed);
            for job in accepted {
                assert_eq!(job.join().expect("no panic"), Ok(()));
            }
        });
        assert_eq!(workers.waiting(), 0);
        assert_eq!(
            workers.run(Requester::OPERATOR, 1, |_| ()),
            Ok(()),
            "there is room again"
        );
    }

    #[test]
    fn a_request_that_waits_too_long_is_refused_and_not_run() {
        let workers = Workers::new(Limits {
            longest_wait: Duration::ZERO,
            ..LIMITS
        });
        let gate = Arc::new(Gate::default());
        let was_run = Arc::new(AtomicBool::new(false));
        thread::scope(|s| {
            let closed = gate.lock.write();
            // With no time to wait, it takes some attempts until a worker has the job in time.
            let held = s.spawn(|| {
                loop {
                    let gate = Arc::clone(&gate);
                    if workers
                        .run(Requester::OPERATOR, 1, move |_| gate.pass())
                        .is_ok()
                    {
                        break;
                    }
                }
            });
            until(|| gate.arrived.load(SeqCst) == 1);

            let flag = Arc::clone(&was_run);
            let refused = workers.run(Requester::OPERATOR, 1, move |_| flag.store(true, SeqCst));
            assert_eq!(refused, Err(Overloaded));
            assert_eq!(workers.waiting(), 0);

            drop(closed);
            held.join().expect("no panic");
        });
        drop(workers);
        assert!(!was_run.load(SeqCst));
    }

    #[test]
    fn a_panic_costs_one_job_and_no_worker() {
        let workers = Workers::new(LIMITS);
        for _ in 0..3 {
            let lost = workers.run(Requester::OPERATOR, 1, |_| {
                panic!("in a test, to see it caught")
            });
            assert_eq!(lost, Err::<(), _>(Overloaded));
            assert_eq!(workers.run(Requester::OPERATOR, 1, |_| "done"), Ok("done"));
        }
        assert_eq!(workers.shared.lock().threads.len(), 1);
    }

    #[test]
    fn a_large_job_waits_for_the_memory_of_the_others_and_is_not_overtaken() {
        let workers = Workers::new(Limits {
            threads: 4,
            ..LIMITS
        });
        let gate = Arc::new(Gate::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        thread::scope(|s| {
            let closed = gate.lock.write();
            let held = hold(s, &workers, &gate, 3);
            let jobs = [64, 1].map(|blocks| {
                let order = Arc::clone(&order);
                let before = workers.waiting();
                let workers = &workers;
                let job = s.spawn(move || {
                    workers.run(Requester::OPERATOR, blocks, move |memory| {
                        order.lock().expect("not poisoned").push(blocks);
                        memory.len()
                    })
                });
                until(|| workers.waiting() == before + 1);
                job
            });
            assert_eq!(
                granted(&workers),
                48,
                "a fourth worker is free, the memory is not"
            );

            drop(closed);
            assert_eq!(
                jobs.map(|job| job.join().expect("no panic")),
                [Ok(64), Ok(16)]
            );
            for job in held {
                assert_eq!(job.join().expect("no panic"), Ok(()));
            }
        });
        assert_eq!(*order.lock().expect("not poisoned"), [64, 1]);
    }

    #[test]
    fn the_memory_in_use_stays_within_the_budget() {
        let workers = Workers::new(Limits {
            threads: 4,
            waiting: 64,
            ..LIMITS
        });
        let (in_use, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        thread::scope(|s| {
            for caller in 0..8 {
                let (workers, in_use, peak) = (&workers, &in_use, &peak);
                s.spawn(move || {
                    for job in 0..50 {
                        let blocks = 1 + (caller * 31 + job * 17) % 64;
                        let (in_use, peak) = (Arc::clone(in_use), Arc::clone(peak));
                        let done = workers.run(Requester::OPERATOR, blocks, move |memory| {
                            let now = in_use.fetch_add(memory.len(), SeqCst) + memory.len();
                            peak.fetch_max(now, SeqCst);
                            thread::yield_now();
                            in_use.fetch_sub(memory.len(), SeqCst);
                        });
                        assert_eq!(done, Ok(()));
                    }
                });
            }
        });
        assert!(peak.load(SeqCst) <= LIMITS.budget);
        assert!(granted(&workers) <= LIMITS.budget);
    }

    #[test]
    fn memory_is_kept_for_the_next_job_and_freed_when_there_is_none() {
        let patient = Workers::new(LIMITS);
        assert_eq!(patient.run(Requester::OPERATOR, 1, |_| ()), Ok(()));
        until(|| patient.shared.lock().arenas.kept() == 1);
        assert_eq!(granted(&patient), 16);

        let hasty = Workers::new(Limits {
            idle: Duration::ZERO,
            ..LIMITS
        });
        for _ in 0..2 {
            assert_eq!(hasty.run(Requester::OPERATOR, 1, |_| ()), Ok(()));
            until(|| granted(&hasty) == 0);
        }
    }

    #[cfg(target_os = "linux")]
    #[test] // fault 17
    fn only_workers_run_at_low_priority() {
        use rustix::process::getpriority_process;

        let ours = getpriority_process(None).expect("every thread has a priority");
        let theirs = Workers::new(LIMITS)
            .run(Requester::OPERATOR, 1, |_| getpriority_process(None))
            .expect("there is room");
        assert_eq!(theirs, Ok((ours + NICENESS).min(19)));
        assert_eq!(getpriority_process(None), Ok(ours));
    }

    proptest! {
        #[test]
        fn the_ledger_never_exceeds_its_budget(
            budget in 16usize..200,
            steps in prop::collection::vec((0usize..4, 1usize..200), 1..200),
        ) {
            let mut arenas = Arenas::new(budget, 16);
            let mut used: Vec<Arena> = Vec::new();
            for (step, n) in steps {
                match step {
                    0 | 1 => {
                        let idle = used.is_empty();
                        let arena = arenas.grant(n);
                        prop_assert!(!idle || arena.is_some() == (n <= budget), "all is free");
                        used.extend(arena);
                    }
                    2 if !used.is_empty() => arenas.take_back(used.swap_remove(n % used.len())),
                    _ => arenas.release_kept(),
                }
                let all = used.iter().chain(&arenas.kept).map(|arena| arena.granted);
                prop_assert_eq!(arenas.granted, all.sum::<usize>());
                prop_assert!(arenas.granted <= budget);
            }
        }
    }
}
