//! `authd serve`: the server, its housekeeping, and how both come to an end.
//!
//! Housekeeping and sweeping are threads of their own: a round of the former is short, which is what a service manager's
//! watchdog relies on, and a sweep of a large file is not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::manager::ServiceManager;
use super::{Common, Failure, log_to_stderr, open_authd, open_store, output};
use crate::clock::Standing;
use crate::config::{Config, Loaded, PublicUrl, Source, Supervision};
use crate::entropy::Entropy;
use crate::http::server::{Limits, Server, Stop};
use crate::http::{App, Settings};
use crate::mail::Mailer;
use crate::service::{Authd, Sender, Swept};
use crate::store::Role;

/// How often housekeeping looks whether there is something to do.
const ROUND: Duration = Duration::from_secs(1);

/// Between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// Before the first sweep, so that a start is not slowed down by it.
const FIRST_SWEEP: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct Serve {
    /// IP address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// URL under which clients reach this server [default: from the address, if that is loopback]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl Serve {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let listen = self.listen.map(|listen| ("listen", listen));
        let public_url = self.public_url.map(|url| ("public_url", url));
        let Loaded {
            mut config,
            settings,
            notices,
            ..
        } = common.load(listen.into_iter().chain(public_url).collect())?;
        log_to_stderr(config.log_format, config.log_level);
        for warning in notices.iter().chain(&config.warnings) {
            tracing::warn!("{warning}");
        }
        let manager = ServiceManager::find(Supervision::from_process());
        let server = bind(&config)?;
        let listening = server.local_addr();
        let url_is_derived = settings
            .iter()
            .any(|setting| setting.name == "public_url" && setting.source == Source::Default);
        // With port 0 only the bound socket knows the address.
        if let Some(url) = PublicUrl::of_listener(listening).filter(|_| url_is_derived) {
            config.public_url = url;
        }
        let mailer = Mailer::open(&config.mail, &config.mail_from).map_err(|why| {
            Failure::Configuration(format!("mail cannot go to {}: {why}", config.mail))
        })?;
        let opened = open_store(&config, Role::Server)?;
        let authd = open_authd(&config, opened)?;
        serve(&config, server, listening, &authd, mailer, manager)
    }
}

/// Descriptors that are not connections': the database's files and readers, the listener, standard streams.
const OTHER_DESCRIPTORS: u64 = 40;

/// The connections that there are descriptors for. The soft limit is raised as far as the hard one lets it; where that is
/// not enough, fewer connections are served, and the next connection replaces an idle one instead of waiting for a descriptor.
fn affordable_connections(wanted: usize) -> usize {
    let needed = wanted as u64 + OTHER_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return wanted;
    }
    let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised_to = Rlimit {
        current: Some(raised),
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised_to) {
        Ok(()) => raised,
        Err(_) => limit.current.unwrap_or(needed),
    };
    if current >= needed {
        return wanted;
    }
    let affordable = usize::try_from(current.saturating_sub(OTHER_DESCRIPTORS))
        .unwrap_or(wanted)
        .max(1);
    tracing::warn!(
        descriptors = current,
        connections = affordable,
        "there are too few file descriptors for max_connections = {wanted}; raise the limit (`ulimit -n`)"
    );
    affordable
}

fn bind(config: &Config) -> Result<Server, Failure> {
    let limits = Limits {
        max_connections: affordable_connections(config.max_connections),
        exempt: config.trusted_proxies.clone(),
        ..Limits::default()
    };
    Server::bind(config.listen, limits).map_err(|error| {
        Failure::Configuration(format!(
            "cannot listen on {}: {error}. Choose another address with --listen.",
            config.listen
        ))
    })
}

fn serve(
    config: &Config,
    server: Server,
    listening: SocketAddr,
    authd: &Arc<Authd>,
    mailer: Option<Mailer>,
    manager: ServiceManager,
) -> Result<(), Failure> {
    let manager = Arc::new(manager);
    let stop = Stop::new();
    stop_on_signals(stop.clone(), manager.clone())?;
    let settings = Settings {
        trusted_proxies: config.trusted_proxies.clone(),
        cors_origins: config
            .cors_origins
            .iter()
            .map(|origin| origin.as_str().to_owned())
            .collect(),
    };
    let app = Arc::new(App::new(authd.clone(), settings));
    let refuses = app.clone();
    let server = server.with_refuse(move |refusal, request| refuses.refuse(refusal, request));
    let (house_ends, house_ended) = mpsc::channel();
    let housekeeper = {
        let (authd, manager) = (authd.clone(), manager.clone());
        thread::Builder::new()
            .name("housekeeping".into())
            .stack_size(256 * 1024)
            .spawn(move || keep_house(&authd, &manager, &house_ended))?
    };
    let (sweeps_end, sweeps_ended) = mpsc::channel();
    let sweeper = {
        let authd = authd.clone();
        thread::Builder::new()
            .name("sweep".into())
            .stack_size(256 * 1024)
            .spawn(move || sweep_hourly(&authd, &sweeps_ended))?
    };
    // A thread of its own, and the end of the server does not wait for it: a mail server may hang.
    let (_mail_ends, mail_ended) = mpsc::channel::<()>();
    if let Some(mailer) = mailer {
        let sender = Sender::new(authd, mailer);
        thread::Builder::new()
            .name("mail".into())
            .stack_size(512 * 1024)
            .spawn(move || send_mail(sender, &mail_ended))?;
    }
    greet(config, listening, authd)?;
    // The socket has been listening since it was bound: a client that connects now waits for the line below at most.
    let url = config.public_url.as_str();
    manager.ready(format_args!("serving {url} on {listening}"));
    let drained = server.run(move |request| app.handle(&request), stop)?;
    drop((house_ends, sweeps_end));
    let _ = housekeeper.join();
    let _ = sweeper.join();
    let statistics = authd.statistics();
    tracing::info!(
        abandoned_connections = drained.abandoned,
        transactions = statistics.transactions,
        commits = statistics.commits,
        largest_batch = statistics.largest_batch,
        synchronous = statistics.synchronous,
        "stopped"
    );
    Ok(())
}

/// The first signal drains, the second ends the process at once.
fn stop_on_signals(stop: Stop, manager: Arc<ServiceManager>) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new()
        .name("signals".into())
        .stack_size(64 * 1024)
        .spawn(move || {
            let mut arrived = signals.forever();
            if arrived.next().is_some() {
                tracing::info!("stopping; current requests are finished first");
                manager.stopping();
                stop.stop();
            }
            if let Some(signal) = arrived.next() {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        })?;
    Ok(())
}

fn keep_house(authd: &Authd, manager: &ServiceManager, ended: &mpsc::Receiver<()>) {
    let round = manager
        .watches_every()
        .map_or(ROUND, |most| most.min(ROUND));
    let mut standing = Standing::Steady;
    while ended.recv_timeout(round) == Err(RecvTimeoutError::Timeout) {
        if let Err(error) = authd.housekeep() {
            tracing::warn!(%error, "housekeeping failed");
        }
        standing = warn_of_clock(standing, authd.clock_standing());
        // The writer has answered, or this would not be reached. A full disk is no reason to be started anew: what can
        // be read is served, and there may be room again.
        if manager.watches_every().is_some() && authd.answers().is_ok() {
            manager.alive();
        }
    }
}

fn sweep_hourly(authd: &Authd, ended: &mpsc::Receiver<()>) {
    let mut pause = FIRST_SWEEP;
    while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = SWEEP_EVERY;
        match authd.sweep() {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => tracing::info!(
                sessions = swept.sessions,
                events = swept.events,
                paused = swept.paused,
                "deleted expired data"
            ),
            Err(error) => tracing::warn!(%error, "deleting expired data failed"),
        }
    }
}

fn send_mail(mut sender: Sender, ended: &mpsc::Receiver<()>) {
    while ended.recv_timeout(ROUND) == Err(RecvTimeoutError::Timeout) {
        if let Err(error) = sender.send_due() {
            tracing::warn!(%error, "reading the outbox failed");
        }
    }
}

/// Logs once when the clock becomes wrong, and once when it is right again.
fn warn_of_clock(before: Standing, now: Standing) -> Standing {
    // A second or two behind is a time service at work.
    const SLEW: Duration = Duration::from_secs(5);
    match (before, now) {
        (Standing::Steady, Standing::Behind(by)) if by < SLEW => return before,
        (Standing::Steady, Standing::Behind(by)) => tracing::warn!(
            seconds = by.as_secs(),
            "the clock was set back; authd goes on from the latest time it has seen"
        ),
        (Standing::Steady | Standing::Behind(_), Standing::Unconfirmed(by)) => tracing::warn!(
            seconds = by.as_secs(),
            "the clock jumped ahead by more than a day: nothing expires or is swept until it has kept step for an \
             hour, or until `authd sweep --accept-clock`"
        ),
        (Standing::Behind(_) | Standing::Unconfirmed(_), Standing::Steady) => {
            tracing::info!("the clock is right again");
        }
        _ => {}
    }
    now
}

/// Prints where the server is and, while there is no administrator, how to create one.
fn greet(config: &Config, listening: SocketAddr, authd: &Authd) -> Result<(), Failure> {
    let url = config.public_url.as_str();
    let version = env!("CARGO_PKG_VERSION");
    let first = format!(
        "authd {version} serves {url} on {listening}, from {}\n",
        config.db.display()
    );
    say(&first);
    let Some(link) = authd.open_setup()? else {
        return Ok(());
    };
    let password = suggest_password();
    let json = "-H 'Content-Type: application/json'";
    let how_to_begin = format!(
        r#"
There is no administrator yet. This link makes one, once:

  {url}/setup?token={token}

Or paste these lines (to keep the account, put in your own address and password first):

  pick() {{ sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }}

  # set up the first account
  curl -sS {url}/v1/setup {json} -d '{{"token":"{token}","email":"you@example.org","password":"{password}"}}'

  # sign in, refresh
  answer=$(curl -sS {url}/v1/sessions {json} -d '{{"login":"you@example.org","password":"{password}","device_name":"shell"}}'); echo "$answer"
  answer=$(curl -sS {url}/v1/sessions/refresh {json} -d "{{\"refresh_token\":\"$(echo "$answer" | pick refresh_token)\"}}"); echo "$answer"

  # list the sessions, and end them all
  token=$(echo "$answer" | pick access_token)
  curl -sS {url}/v1/sessions -H "Authorization: Bearer $token"
  curl -sS -X DELETE {url}/v1/sessions -H "Authorization: Bearer $token"
"#,
        token = link.token,
    );
    say(&how_to_begin);
    Ok(())
}

/// Prints a text at the start. A server whose standard output is closed runs all the same.
fn say(text: &str) {
    if output::print(text.as_bytes()).is_err() {
        tracing::warn!(
            "standard output can't be written; `authd user setup-link` prints the set-up link"
        );
    }
}

/// A password for the printed lines, so that lines that are pasted without a change set a strong one. 80 bits.
fn suggest_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let letters = Entropy::system()
        .bytes::<16>()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    letters
        .chunks(4)
        .map(String::from_iter)
        .collect::<Vec<_>>()
        .join("-")
}
