//! `authd serve`: starts the server and its other threads, and stops them.
//!
//! Housekeeping and sweeping run on a thread each. A round of housekeeping is short, as the watchdog of a service manager
//! requires. A sweep of a large file takes longer.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
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
use crate::config::{Config, Loaded, PublicUrl, Setting, Source, Supervision};
use crate::entropy::Entropy;
use crate::http::server::{Limits, Server, Stop};
use crate::http::{Accent, App, Brand, LARGEST_LOGO, Logo, SettingInForce, Settings};
use crate::mail::Mailer;
use crate::service::{Authd, Sender, Swept};
use crate::store::{Role, Scarce, Shortage};

/// Time between two rounds of housekeeping.
const ROUND: Duration = Duration::from_secs(1);

/// Time between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// Time before the first sweep, so that it does not slow down the start.
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
        // After this the process may have another user's rights, with which the mail directory must be created.
        let opened = open_store(&config, Role::Server)?;
        let mailer = Mailer::open(&config.mail, &config.mail_from).map_err(|why| {
            Failure::Configuration(format!("mail cannot go to {}: {why}", config.mail))
        })?;
        let authd = open_authd(&config, opened)?;
        let in_force = settings.iter().map(|setting| in_force(setting, &config));
        let in_force = in_force.collect();
        serve(
            &config, in_force, server, listening, &authd, mailer, manager,
        )
    }
}

/// File descriptors for other purposes than connections: the files of the database, the listener, the standard streams.
const OTHER_DESCRIPTORS: u64 = 40;

/// How many connections the limit of file descriptors allows. The soft limit is raised up to the hard limit. If that is not
/// enough, fewer connections are served; a further connection then replaces an idle one and does not wait for a descriptor.
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

/// The name, logo and colour of the pages.
fn brand(config: &Config) -> Result<Brand, Failure> {
    let logo = match &config.brand_logo {
        None => None,
        Some(path) => Some(read_logo(path).map_err(|why| {
            let path = path.display();
            Failure::Configuration(format!("brand_logo: {path} cannot be used: {why}."))
        })?),
    };
    let accent = config.brand_accent.as_ref();
    Ok(Brand {
        name: config.brand_name.clone(),
        accent: accent
            .and_then(|colour| Accent::parse(colour.as_str()))
            .unwrap_or_default(),
        logo,
    })
}

/// Reads a logo; of a file that is too large no more than one byte too much.
fn read_logo(path: &Path) -> Result<Logo, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let limit = u64::try_from(LARGEST_LOGO).unwrap_or(u64::MAX) + 1;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    Logo::read(bytes)
}

/// A setting as administrators see it. The public URL may be known only now.
fn in_force(setting: &Setting, config: &Config) -> SettingInForce {
    SettingInForce {
        name: setting.name.to_owned(),
        value: match setting.name {
            "public_url" => config.public_url.as_str().to_owned(),
            _ => setting.value_text.clone(),
        },
        source: setting.source.to_string(),
        description: setting.description.to_owned(),
    }
}

fn serve(
    config: &Config,
    in_force: Vec<SettingInForce>,
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
        brand: brand(config)?,
        in_force,
    };
    let app = Arc::new(App::new(authd.clone(), settings));
    let refusing = app.clone();
    let server = server.with_refuse(move |refusal, request| refusing.refuse(refusal, request));
    let (stop_housekeeping, housekeeping_stopped) = mpsc::channel();
    let housekeeper = {
        let (authd, manager) = (authd.clone(), manager.clone());
        thread::Builder::new()
            .name("housekeeping".into())
            .stack_size(256 * 1024)
            .spawn(move || run_housekeeping(&authd, &manager, &housekeeping_stopped))?
    };
    let (stop_sweeping, sweeping_stopped) = mpsc::channel();
    let sweeper = {
        let authd = authd.clone();
        thread::Builder::new()
            .name("sweep".into())
            .stack_size(256 * 1024)
            .spawn(move || sweep_hourly(&authd, &sweeping_stopped))?
    };
    // The end of the server does not wait for this thread: a mail server may never answer.
    let (_stop_mail, mail_stopped) = mpsc::channel::<()>();
    if let Some(mailer) = mailer {
        let sender = Sender::new(authd, mailer);
        thread::Builder::new()
            .name("mail".into())
            .stack_size(512 * 1024)
            .spawn(move || send_mail(sender, &mail_stopped))?;
    }
    print_how_to_begin(config, listening, authd)?;
    // The socket has been listening since it was bound: a client that connects now waits until `run` accepts.
    let url = config.public_url.as_str();
    manager.ready(format_args!("serving {url} on {listening}"));
    let drained = server.run(move |request| app.handle(&request), stop)?;
    drop((stop_housekeeping, stop_sweeping));
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

/// After the first signal the server finishes current requests. The second signal ends the process at once.
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

fn run_housekeeping(authd: &Authd, manager: &ServiceManager, ended: &mpsc::Receiver<()>) {
    let round = manager
        .watches_every()
        .map_or(ROUND, |most| most.min(ROUND));
    let mut standing = Standing::Steady;
    let mut shortage = None;
    while ended.recv_timeout(round) == Err(RecvTimeoutError::Timeout) {
        if let Err(error) = authd.housekeep() {
            tracing::warn!(%error, "housekeeping failed");
        }
        standing = warn_of_clock(standing, authd.clock_standing());
        shortage = warn_of_storage(shortage, authd.storage_shortage());
        return_free_memory();
        // The writer has answered, or this line would not be reached. A full disk is no reason for a restart: the server
        // still answers requests that only read, and an operator may free space.
        if manager.watches_every().is_some() && authd.answers().is_ok() {
            manager.alive();
        }
    }
}

/// Makes the allocator return free memory to the system. mimalloc does so when a page of it is freed and the memory has
/// been free for a second, so a server that became idle after a flood would keep it. An allocation of this size is a page of
/// its own. It is not written to, so it takes no memory.
fn return_free_memory() {
    const OWN_PAGE: usize = 2 * 1024 * 1024;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(OWN_PAGE)));
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

fn send_mail(mut sender: Sender, stopped: &mpsc::Receiver<()>) {
    while stopped.recv_timeout(ROUND) == Err(RecvTimeoutError::Timeout) {
        if let Err(error) = sender.send_due() {
            tracing::warn!(%error, "reading the outbox failed");
        }
    }
}

/// Logs once when the clock becomes wrong, and once when it is right again.
fn warn_of_clock(before: Standing, now: Standing) -> Standing {
    // A time service may set the clock back by a second or two.
    const SLEW: Duration = Duration::from_secs(5);
    match (before, now) {
        (Standing::Steady, Standing::Behind(by)) if by < SLEW => return before,
        (Standing::Steady, Standing::Behind(by)) => tracing::warn!(
            seconds = by.as_secs(),
            "the clock was set back; authd continues from the latest time that it has seen"
        ),
        (Standing::Steady | Standing::Behind(_), Standing::Unconfirmed(by)) => tracing::warn!(
            seconds = by.as_secs(),
            "the clock jumped ahead by more than a day: nothing expires or is deleted until the clock has run evenly for \
             an hour. If the clock is right, run `authd sweep --accept-clock`"
        ),
        (Standing::Behind(_) | Standing::Unconfirmed(_), Standing::Steady) => {
            tracing::info!("the clock is right again");
        }
        _ => {}
    }
    now
}

/// Logs once when space becomes short, and once when there is enough again.
fn warn_of_storage(before: Option<Scarce>, now: Option<Shortage>) -> Option<Scarce> {
    const EFFECT: &str = "registrations and requests for links are refused until there is enough space again, and failed \
                          sign-ins are only in this log";
    let now = now.map(|shortage| shortage.scarce);
    match now {
        now if now == before => {}
        Some(Scarce::File) => tracing::warn!(
            "the database has used four fifths of max_db_size: {EFFECT}. Raise it, or shorten event_retention"
        ),
        Some(Scarce::Disk) => {
            tracing::warn!("the disk of the database is almost full: {EFFECT}. Free space on it");
        }
        None => tracing::info!(
            "there is enough space again: registrations and requests for links are accepted"
        ),
    }
    now
}

/// Prints the address of the server and, while there is no administrator, how to create one.
fn print_how_to_begin(
    config: &Config,
    listening: SocketAddr,
    authd: &Authd,
) -> Result<(), Failure> {
    let url = config.public_url.as_str();
    let version = env!("CARGO_PKG_VERSION");
    let first = format!(
        "authd {version} serves {url} on {listening}, from {}\n",
        config.db.display()
    );
    print_at_start(&first);
    let Some(link) = authd.open_setup()? else {
        return Ok(());
    };
    let password = suggest_password();
    let json = "-H 'Content-Type: application/json'";
    let how_to_begin = format!(
        r#"
There is no administrator yet. This link creates one, and works once:

  {url}/setup?token={token}

Or paste these lines. To keep the account, first replace the address and the password with your own.

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
    print_at_start(&how_to_begin);
    Ok(())
}

/// Prints a text at the start. The server also runs if standard output is closed.
fn print_at_start(text: &str) {
    if output::print(text.as_bytes()).is_err() {
        tracing::warn!(
            "standard output can't be written. `authd user setup-link` prints the set-up link"
        );
    }
}

/// A password for the printed lines, with 80 random bits: lines that are pasted without a change set a strong one.
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
