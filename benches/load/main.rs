//! The load driver: how many durable rotations a second one `authd serve` answers over HTTP, and how long they take.
//!
//! It makes a database with many open sessions, starts the release binary on it as anybody would, and drives it in a
//! closed loop over keep-alive connections: each connection owns its share of the sessions and goes round them, and
//! sends its next request when its own answer has come, so that one slow answer doesn't stall the others. Every
//! request carries the token of its family's last answer, and every answer is checked, so the figures are of
//! rotations that did happen; at the end the database is asked whether it counts as many.
//!
//! Server and driver share the machine. The driver is kept cheap (two threads, no allocation and no JSON
//! parser in the loop), and what it costs is in the report beside what the server costs.
//!
//! It prints figures and asserts none: a figure depends on the disk and on who else uses the machine.
//!
//! ```text
//! make bench                                   100,000 sessions, 32 connections, 10 s
//! cargo bench --bench load -- --growth         what becomes of the file and the rate as they grow
//! cargo bench --bench load -- --help
//! ```

mod drive;
mod file;
mod seed;
mod server;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use rustix::fs::statfs;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use drive::{Driver, Limit, Tally};
use server::{Server, Tracer};

/// Anything that keeps a measurement from being one ends it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Durable rotations a second, over HTTP
#[derive(Parser)]
#[command(name = "load")]
struct Options {
    /// Open sessions in the database
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    sessions: u32,
    /// Keep-alive connections
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=500))]
    connections: u32,
    /// How long the load lasts
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Measure growth instead: the rate at 10,000 sessions and at as many as asked, the size of the file after
    /// `--rotations`, the bytes a session takes
    #[arg(long)]
    growth: bool,
    /// Rotations of the growth measurement
    #[arg(long, default_value_t = 1_000_000)]
    rotations: u64,
    /// Where the database is made, in a directory of its own that is removed at the end; it should be on a disk
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    dir: PathBuf,
    /// Another authd to measure, to compare two builds
    #[arg(long, default_value = env!("CARGO_BIN_EXE_authd"))]
    server: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The phase of `/healthz`, and the one under strace: long enough for some ten thousand requests.
const SHORT_PHASE: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let options = Options::parse();
    let mut report = Report::new(options.json);
    report.add("load average, before", load_average()?);
    let directory = tempfile::Builder::new()
        .prefix("load")
        .tempdir_in(&options.dir)?;
    if is_in_memory(directory.path())? {
        let text = "it is in memory: nothing is durable there, and the figures say nothing";
        report.add("directory", text);
    }
    if options.growth {
        growth(&options, &directory, &mut report)?;
    } else {
        load(&options, &directory, &mut report)?;
    }
    report.add("load average, after", load_average()?);
    report.finish();
    Ok(())
}

/// The main measurement.
fn load(options: &Options, directory: &TempDir, report: &mut Report) -> Result<()> {
    let db = directory.path().join("authd.db");
    let tokens = seed::sessions(&db, options.sessions)?;
    let generations = file::generations(&db)?;

    let mut server = Server::start(&options.server, &db)?;
    report.add("binary [bytes]", options.server.metadata()?.len());
    report.add("start to ready [ms]", millis(server.started_in));
    let idle = server.memory()?;
    report.add("server RSS, idle [KiB]", idle.resident);
    report.add("sessions", options.sessions);
    report.add("connections", options.connections);

    let mut driver = Driver::new(server.address, tokens, options.connections)?;
    let before = server.cpu()?;
    let load = driver.rotate(Limit::Time(Duration::from_secs(options.seconds)))?;
    let cpu = server.cpu()?.saturating_sub(before);
    add_rate(report, "rotations", &load);
    report.add("server CPU [cores]", share(cpu, load.took));
    report.add("driver CPU [cores]", share(load.cpu, load.took));
    // Unlike the rate, it hardly depends on who else uses the machine.
    report.add("server CPU per rotation [us]", per_rotation(cpu, &load));
    let memory = server.memory()?;
    report.add("server RSS, after the load [KiB]", memory.resident);
    report.add("server RSS, most [KiB]", memory.peak);

    let health = driver.look_at_health(SHORT_PHASE)?;
    report.add("healthz/s", health.rate() as u64);
    report.add(
        "rotations/s by healthz/s",
        rounded(load.rate() / health.rate()),
    );

    let mut rotations = load.done;
    match Tracer::attach(&server, directory.path())? {
        Some(tracer) => {
            let traced = driver.rotate(Limit::Time(SHORT_PHASE))?;
            rotations += traced.done;
            report.add("rotations under strace", traced.done);
            report.add("syncs under strace", tracer.finish()?);
            report.add("errors under strace", traced.errors());
        }
        None => report.add(
            "syncs",
            "not counted: there is no strace, or it may not trace",
        ),
    }

    drop(driver);
    for (name, value) in server.stop()? {
        report.add(&format!("writer: {name}"), value);
    }
    let commits = report.number("writer: commits");
    report.add(
        "rotations per commit",
        rounded(rotations as f64 / commits.max(1.0)),
    );
    report.add("rotations answered", rotations);
    report.add(
        "rotations in the database",
        file::generations(&db)? - generations,
    );
    Ok(())
}

/// How the rate and the file change with the number of sessions, and the file with the number of rotations.
fn growth(options: &Options, directory: &TempDir, report: &mut Report) -> Result<()> {
    const FEW: u32 = 10_000;
    let mut rates = Vec::new();
    for sessions in [FEW, options.sessions] {
        let db = directory.path().join(format!("{sessions}.db"));
        rates.push(growth_at(options, sessions, &db, report)?);
    }
    let name = format!("rate at {} sessions by that at {FEW}", options.sessions);
    report.add(&name, rounded(rates[1] / rates[0]));
    Ok(())
}

/// The same for one number of sessions. Returns the rate.
fn growth_at(options: &Options, sessions: u32, db: &Path, report: &mut Report) -> Result<f64> {
    let of = |what: &str| format!("{sessions} sessions: {what}");
    let tokens = seed::sessions(db, sessions)?;
    report.add(&of("file, new [bytes]"), file::bytes(db)?);
    for (table, bytes) in file::bytes_by_table(db)? {
        let each = rounded(bytes as f64 / f64::from(sessions));
        report.add(&of(&format!("bytes per session, {table}")), each);
    }

    let mut server = Server::start(&options.server, db)?;
    report.add(&of("start to ready [ms]"), millis(server.started_in));
    let mut driver = Driver::new(server.address, tokens, options.connections)?;
    let before = server.cpu()?;
    let load = driver.rotate(Limit::Time(Duration::from_secs(options.seconds)))?;
    let cpu = server.cpu()?.saturating_sub(before);
    add_rate(report, &of("rotations"), &load);
    report.add(
        &of("server CPU per rotation [us]"),
        per_rotation(cpu, &load),
    );
    // A family's first rotation may make its row a byte or two longer. Then its length is settled.
    let every_family = u64::from(2 * sessions).saturating_sub(load.done);
    let settling = driver.rotate(Limit::Count(every_family))?;
    server.stop()?;
    let rotations = load.done + settling.done;
    let name = of(&format!("file, after {rotations} rotations [bytes]"));
    report.add(&name, file::bytes(db)?);

    server = Server::start(&options.server, db)?;
    driver.reconnect(server.address)?;
    let long = driver.rotate(Limit::Count(options.rotations))?;
    drop(driver);
    server.stop()?;
    let name = of(&format!("file, after {} more [bytes]", long.done));
    report.add(&name, file::bytes(db)?);
    report.add(
        &of("errors"),
        load.errors() + settling.errors() + long.errors(),
    );
    Ok(load.rate())
}

fn add_rate(report: &mut Report, what: &str, load: &Tally) {
    report.add(&format!("{what}/s"), load.rate() as u64);
    for (name, part) in [("p50", 0.50), ("p99", 0.99), ("worst", 1.0)] {
        report.add(&format!("{what}: {name} [ms]"), millis(load.latency(part)));
    }
    report.add(&format!("{what}: errors"), load.errors());
    if let Some(first) = load.first_error() {
        report.add(&format!("{what}: first error"), first);
    }
}

/// What was found, in the order in which it was.
struct Report {
    json: bool,
    figures: Map<String, Value>,
}

impl Report {
    fn new(json: bool) -> Report {
        Report {
            json,
            figures: Map::new(),
        }
    }

    /// Notes a figure, and prints it if people read along.
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if !self.json {
            match &value {
                Value::String(text) => print_line(name, text),
                number => print_line(name, number),
            }
        }
        self.figures.insert(name.to_owned(), value);
    }

    fn number(&self, name: &str) -> f64 {
        let value = self.figures.get(name);
        value.and_then(Value::as_f64).unwrap_or_default()
    }

    fn finish(self) {
        if self.json {
            println!("{}", json!(self.figures));
        }
    }
}

fn print_line(name: &str, value: impl Display) {
    println!("{name:<50} {value}");
}

/// The `f_type` of tmpfs and ramfs (statfs(2)).
fn is_in_memory(path: &Path) -> Result<bool> {
    const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];
    #[allow(clippy::unnecessary_cast)] // Its width depends on the platform.
    let kind = statfs(path)?.f_type as i64;
    Ok(IN_MEMORY.contains(&kind))
}

/// Who else used the machine: the mean number of runnable threads over the last minute.
fn load_average() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

fn per_rotation(cpu: Duration, load: &Tally) -> f64 {
    rounded(cpu.as_secs_f64() * 1e6 / load.done.max(1) as f64)
}

fn share(cpu: Duration, took: Duration) -> f64 {
    rounded(cpu.as_secs_f64() / took.as_secs_f64())
}

fn millis(span: Duration) -> f64 {
    rounded(span.as_secs_f64() * 1000.0)
}

/// Two decimals.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
