//! What was acknowledged is there: after a kill in the middle of work, after an orderly stop, and by the order
//! of system calls.

use std::fs;
use std::sync::mpsc;
use std::thread;

use crate::wire::{Client, Home, PATIENCE, Server, SignedIn, eventually, generation};
use authd::clock::monotonic;
use rustix::process::Signal;

/// Settings under which a token outlives a restart on another port.
pub const FIXED_URL: &str = "public_url = \"http://localhost:8080\"";

/// The chains of one connection: the last acknowledged token of each family, in turn.
pub struct Chains {
    pub tokens: Vec<String>,
    /// Whose presentation has no answer yet.
    unanswered: Option<usize>,
}

impl Chains {
    /// Rotates one family after another, each request after the answer of the one before, until the server is
    /// gone. Tells `acknowledged` of each answer.
    fn rotate_until_gone(&mut self, mut client: Client, acknowledged: &mpsc::Sender<()>) {
        for at in (0..self.tokens.len()).cycle() {
            self.unanswered = Some(at);
            let Ok(answer) = client.try_refresh(&self.tokens[at]) else {
                return;
            };
            let successor = SignedIn::read(&answer.status(200)).refresh;
            assert_eq!(generation(&successor), generation(&self.tokens[at]) + 1);
            self.tokens[at] = successor;
            self.unanswered = None;
            // Nobody may be counting any more.
            let _ = acknowledged.send(());
        }
    }

    /// Presents every token once more: the acknowledged ones are live (I6), and the one whose answer is missing
    /// can be tried again.
    fn all_go_on(&mut self, server: &Server) {
        let mut client = server.client();
        for token in &mut self.tokens {
            let successor = client.refreshed(token).refresh;
            assert_eq!(generation(&successor), generation(token) + 1);
            *token = successor;
        }
        self.unanswered = None;
    }
}

pub fn chains(server: &Server, connections: usize, families: usize) -> Vec<Chains> {
    let mut client = server.client();
    (0..connections)
        .map(|_| Chains {
            tokens: (0..families)
                .map(|_| client.sign_in("ann@example.org", "device").refresh)
                .collect(),
            unanswered: None,
        })
        .collect()
}

/// Runs `chains` in a closed loop, one connection each, and `end` when `count` answers have come. Returns how many
/// there were.
pub fn under_load(
    server: Server,
    chains: &mut [Chains],
    count: usize,
    end: impl FnOnce(Server),
) -> usize {
    let (acknowledged, answers) = mpsc::channel();
    thread::scope(|scope| {
        for chain in chains {
            let (client, acknowledged) = (server.client(), acknowledged.clone());
            scope.spawn(move || chain.rotate_until_gone(client, &acknowledged));
        }
        drop(acknowledged);
        for _ in 0..count {
            answers.recv_timeout(PATIENCE).expect("answers");
        }
        end(server);
        count + answers.iter().count()
    })
}

#[track_caller]
pub fn integrity_is_ok(home: &Home) {
    let verdict: String = home
        .sql()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a verdict");
    assert_eq!(verdict, "ok");
}

#[test] // fault 1, fault 21, I3, I6; the release is held to 10,000 of these cycles
fn kills_in_the_middle_of_work_lose_nothing_that_was_acknowledged() {
    const CYCLES: usize = 20;
    let home = Home::with(FIXED_URL);
    let mut server = home.serve();
    server.set_up("ann@example.org");
    let mut chains = chains(&server, 8, 4);
    let mut signed_out = Vec::new();
    let (mut rotations, mut unanswered) = (0, 0);
    for cycle in 0..CYCLES {
        let leaving = server.sign_in("ann@example.org", "leaving");
        let mut owner = server.client();
        let count = 20 + cycle * 37 % 150;
        rotations += under_load(server, &mut chains, count, |server| {
            // Among the rotations, and acknowledged just before the end.
            let answer = owner.as_owner(&leaving, "DELETE", "/v1/sessions/current");
            answer.status(204);
            server.kill();
        });
        signed_out.push(leaving);
        unanswered += chains
            .iter()
            .filter(|chain| chain.unanswered.is_some())
            .count();
        server = home.serve();
        for chain in &mut chains {
            chain.all_go_on(&server);
        }
        for gone in &signed_out {
            server
                .client()
                .refresh(&gone.refresh)
                .refused(401, "invalid_grant");
        }
    }
    println!(
        "{CYCLES} kills, {rotations} rotations acknowledged, {unanswered} unanswered and retried"
    );
    assert!(unanswered >= CYCLES, "the kills came between the requests");
    let reused = home.events("refresh_token_reused");
    assert!(reused.is_empty(), "{reused:?}");
    server.stop();
    integrity_is_ok(&home);
}

#[test] // fault 1: a new board whose plug is pulled again
fn a_kill_during_the_first_start_leaves_nothing_that_is_in_the_way() {
    let mut kills = 0;
    // Every third call that changes a file, so that this stays quick; until the start is through before the kill.
    for nth in (1..).step_by(3) {
        let home = Home::new();
        let kill = format!(
            "inject=pwrite64,ftruncate,fdatasync,fsync,unlink,rename:signal=SIGKILL:when={nth}"
        );
        let strace = ["strace", "-D", "-f", "-o", "/dev/null", "-e", &kill];
        let first = Server::try_start(home.command_under(&strace));
        let was_killed = match first {
            Ok(server) => {
                server.kill();
                false
            }
            Err(said) => {
                assert_eq!(said, "");
                true
            }
        };
        let server = home.serve();
        server.set_up("ann@example.org");
        server.stop();
        integrity_is_ok(&home);
        if !was_killed {
            break;
        }
        kills += 1;
    }
    println!("{kills} kills");
    assert!(kills > 10);
}

#[test] // fault 25
fn a_stop_under_load_drains_and_loses_nothing() {
    let home = Home::with(FIXED_URL);
    let server = home.serve();
    server.set_up("ann@example.org");
    let mut chains = chains(&server, 8, 2);
    // One that has nothing to say does not hold up the end.
    let mut idle = server.client();
    idle.get("/healthz").status(200);
    let rotations = under_load(server, &mut chains, 300, |server| {
        let asked = monotonic();
        server.signal(Signal::TERM);
        let stopped = server.ended();
        println!("drained in {:?}", monotonic() - asked);
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    });
    println!("{rotations} rotations acknowledged");
    assert!(idle.is_closed_by_server());
    let left = home.path("authd.db-wal");
    assert!(!left.exists(), "an orderly stop leaves one file");
    let server = home.serve();
    for chain in &mut chains {
        chain.all_go_on(&server);
    }
    server.stop();
    integrity_is_ok(&home);
}

#[test] // I6: what is answered was synced before; fails with synchronous=NORMAL, which does not sync the WAL at all
fn answers_leave_after_the_sync() {
    const REFRESHES: usize = 20;
    let home = Home::new();
    let trace = home.path("trace");
    let server = home.serve_under(&[
        "strace",
        "-D",
        "-f",
        "-y",
        "-s",
        "16",
        "-o",
        "trace",
        "-e",
        "trace=pwrite64,pwritev,fdatasync,fsync,write,writev,sendto,sendmsg",
    ]);
    let ann = server.set_up("ann@example.org");
    let mut client = server.client();
    let mut token = ann.refresh;
    for _ in 0..REFRESHES {
        token = client.refreshed(&token).refresh;
    }
    server.stop();
    let trace = eventually("the end of the trace", || {
        let trace = fs::read_to_string(&trace).ok()?;
        trace.contains("+++ exited with 0 +++\n").then_some(trace)
    });
    let seen = Order::of(&trace);
    println!("{seen:?}");
    // The set-up is answered too.
    assert_eq!(seen.answers, REFRESHES + 1, "{trace}");
    assert!(seen.syncs > REFRESHES);
    assert_eq!(
        seen.unsynced,
        Vec::<String>::new(),
        "answered before the WAL was synced"
    );
}

/// What a trace of system calls says about answers and syncs.
#[derive(Default, Debug)]
struct Order {
    /// Answers to requests that write, which came one after another.
    answers: usize,
    /// Completed syncs of the WAL.
    syncs: usize,
    /// Answers that left while something in the WAL was not synced.
    unsynced: Vec<String>,
}

impl Order {
    fn of(trace: &str) -> Order {
        let mut order = Order::default();
        let mut dirty = false;
        let mut written = false;
        // Threads whose sync of the WAL has begun and not ended; a write in between makes it worth nothing.
        let mut syncing: Vec<&str> = Vec::new();
        for line in trace.lines() {
            let (thread, call) = line.split_once(' ').expect("a thread and its call");
            let call = call.trim_start();
            let is_sync = call.contains("fdatasync") || call.contains("fsync");
            let of_wal = call.contains("-wal>");
            let done = call.ends_with("= 0");
            if call.starts_with("pwrite") && of_wal {
                (dirty, written) = (true, true);
                syncing.clear();
            } else if is_sync && of_wal && done {
                order.syncs += 1;
                dirty = false;
            } else if is_sync && of_wal {
                syncing.push(thread);
            } else if is_sync && call.contains("resumed>") && done && syncing.contains(&thread) {
                order.syncs += 1;
                syncing.retain(|other| *other != thread);
                dirty = false;
            } else if call.contains("\"HTTP/1.1 20") && written {
                order.answers += 1;
                if dirty {
                    order.unsynced.push(line.to_owned());
                }
            }
        }
        order
    }
}
