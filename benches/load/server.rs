//! A running `authd serve`, as it is seen from outside: its processor time, its memory, its system calls, its log.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use authd::clock::monotonic;
use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// Ticks of a second in /proc (`USER_HZ`, the same on all of Linux's common platforms).
const TICKS: u64 = 100;

/// The server process. It is ended when this is dropped.
pub struct Server {
    child: Child,
    log: Option<JoinHandle<String>>,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to its first answer.
    pub started_in: Duration,
}

/// Memory of a process, in KiB.
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// At most, so far.
    pub peak: u64,
}

impl Server {
    /// Starts `binary` on `db`, with no settings but the defaults, and waits until it answers.
    pub fn start(binary: &Path, db: &Path) -> Result<Server> {
        let begun = monotonic();
        // It starts in another directory than ours.
        let mut child = Command::new(fs::canonicalize(binary)?)
            .args(["serve", "--listen", "127.0.0.1:0", "--db"])
            .arg(db)
            .env_clear()
            .current_dir(db.parent().unwrap_or(Path::new(".")))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take().map(|stderr| {
            thread::spawn(move || {
                let mut text = String::new();
                // What was read until an error is the log.
                let _ = BufReader::new(stderr).read_to_string(&mut text);
                text
            })
        });
        let mut server = Server {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            started_in: Duration::ZERO,
            log,
            child,
        };
        let mut greeting = String::new();
        let mut stdout = server.child.stdout.take().map(BufReader::new);
        if let Some(stdout) = &mut stdout {
            stdout.read_line(&mut greeting)?;
        }
        // "authd 0.1.0 serves URL on ADDRESS, from FILE"
        let address = greeting
            .split_once(" on ")
            .and_then(|(_, rest)| rest.split_once(','));
        let Some((address, _)) = address else {
            return Err(format!("authd did not start: {}", server.end()).into());
        };
        server.address = address.parse()?;
        let mut socket = TcpStream::connect(server.address)?;
        socket
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        socket.read_to_end(&mut Vec::new())?;
        server.started_in = begun.elapsed();
        // The rest of what it prints is nobody's concern, but must be taken.
        thread::spawn(move || stdout.map(|mut rest| io::copy(&mut rest, &mut io::sink())));
        Ok(server)
    }

    /// Its memory.
    pub fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        };
        let missing = "/proc tells nothing of its memory";
        Ok(Memory {
            resident: line("VmRSS:").ok_or(missing)?,
            peak: line("VmHWM:").ok_or(missing)?,
        })
    }

    /// The processor time that it has used.
    pub fn cpu(&self) -> Result<Duration> {
        cpu(&self.child.id().to_string())
    }

    /// Asks it to stop, and returns the figures of its last word.
    pub fn stop(&mut self) -> Result<Vec<(String, u64)>> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        let log = self.end();
        let last = log.lines().find(|line| line.contains(" stopped "));
        let Some(last) = last.filter(|_| status.success()) else {
            return Err(format!("authd ended with {status}: {log}").into());
        };
        let fields = last.split_whitespace().filter_map(|field| {
            let (name, value) = field.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(fields.collect())
    }

    /// Makes sure that it has ended, and returns its log.
    fn end(&mut self) -> String {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log.take().map(JoinHandle::join);
        log.and_then(std::result::Result::ok).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// strace on the server, counting syncs.
pub struct Tracer {
    child: Child,
    counts: PathBuf,
}

impl Tracer {
    /// Attaches; `None` if there is no strace, or it must not.
    pub fn attach(server: &Server, directory: &Path) -> Result<Option<Tracer>> {
        let counts = directory.join("syncs");
        let child = Command::new("strace")
            .args(["-f", "-c", "-e", "trace=fdatasync,fsync", "-o"])
            .arg(&counts)
            .arg("-p")
            .arg(server.child.id().to_string())
            .stderr(Stdio::piped())
            .spawn();
        let mut tracer = match child {
            Ok(child) => Tracer { child, counts },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut said = String::new();
        if let Some(stderr) = tracer.child.stderr.take() {
            let mut stderr = BufReader::new(stderr);
            stderr.read_line(&mut said)?;
            thread::spawn(move || io::copy(&mut stderr, &mut io::sink()));
        }
        Ok(said.contains("attached").then_some(tracer))
    }

    /// Detaches, and returns how many syncs there were.
    pub fn finish(mut self) -> Result<u64> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        self.child.wait()?;
        let table = fs::read_to_string(&self.counts)?;
        let syncs = table.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // % time, seconds, usecs/call, calls, errors if there are any, syscall
            match fields.last() {
                Some(&("fsync" | "fdatasync")) => fields.get(3)?.parse::<u64>().ok(),
                _ => None,
            }
        });
        Ok(syncs.sum())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It has ended, unless something went wrong before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor time that this process has used.
pub fn own_cpu() -> Result<Duration> {
    cpu("self")
}

/// The user and system time of a process (proc_pid_stat(5), fields 14 and 15).
fn cpu(process: &str) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is a name in parentheses, which may have spaces.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
    let mut next = || times.next().ok_or("/proc tells nothing of its time");
    let ticks = next()?? + next()??;
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}
