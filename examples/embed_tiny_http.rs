//! authd inside a program with an HTTP server of its own, here tiny_http.
//!
//! [`App::handle`] is a function from request to response, without sockets. So a Rust program can open the database,
//! answer some paths with authd and others by itself, and call [`Authd`] directly instead of over HTTP.
//!
//! **Use tiny_http only on networks that you trust**, such as a loopback interface or a link between two machines of yours.
//! tiny_http 0.12 limits nothing that a client controls:
//!
//! - A request that does not arrive has no deadline. Heads, connections and threads have no limit.
//! - A request that announces a body of terabytes makes it allocate that much when the request is dropped, and the process
//!   aborts.
//! - One `accept` that fails, because there are no file descriptors left, ends its accept loop for good.
//! - It is lenient about where a request ends, which makes request smuggling possible.
//!
//! The program around it cannot fix this. On the internet use `authd serve`, or [`authd::http::server::Server`], which can be
//! embedded in the same way.
//!
//! ```text
//! cargo run --example embed_tiny_http -- 127.0.0.1:8080 authd.db
//! ```

use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use authd::clock::Clock;
use authd::entropy::Entropy;
use authd::http::{App, HttpCode, Method, Refusal, Request, Response, Settings};
use authd::password::{self, Hasher, Params};
use authd::service::{Authd, Policy, Registration, Verification};
use authd::store::{Options, Role, Store};

/// Why the start failed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The largest body that is accepted, in bytes: the same as in `authd serve`.
const LARGEST_BODY: u64 = 64 * 1024;

const BODY_REFUSED: Refusal = Refusal::new(
    HttpCode::BodyTooLarge,
    "The request's body is too large, or ended too early.",
);

/// Requests that are answered at a time.
pub const THREADS: usize = 8;

/// Memory for password hashing, in bytes: enough for two at a time.
const PASSWORD_RAM: u64 = 40 << 20;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8080".into());
    let database = arguments.next().unwrap_or("authd.db".into());

    let server = tiny_http::Server::http(&address)?;
    let issuer = format!("http://{}", server.server_addr());
    let authd = open(Path::new(&database), &issuer)?;
    println!("authd in tiny_http on {issuer}, from {database}");
    if let Some(link) = authd.open_setup()? {
        println!("Set-up link: {issuer}/setup?token={}", link.token);
    }

    let (_end, ended) = mpsc::channel::<()>();
    let shared = Arc::clone(&authd);
    thread::spawn(move || run_housekeeping(&shared, &ended));
    serve(&server, &App::new(authd, Settings::default()));
    Ok(())
}

/// Opens the database, with the defaults of `authd serve`.
pub fn open(database: &Path, issuer: &str) -> Result<Arc<Authd>, Failure> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let options = Options {
        accept_network_filesystem: false,
        readers: 4,
        role: Role::Server,
        max_size: None,
    };
    let store = Store::open(database, clock.clone(), entropy.clone(), options)?;
    let policy = Policy {
        issuer: issuer.to_owned(),
        registration: Registration::Closed,
        verification: Verification::Optional,
        password: password::Policy::new(password::Policy::DEFAULT_MIN_LENGTH, &[issuer])?,
        access_token_lifetime: Duration::from_secs(600),
        session_idle_lifetime: 30 * DAY,
        session_lifetime: 180 * DAY,
        replay_window: Duration::from_secs(60),
        signing_key_lifetime: 90 * DAY,
        event_retention: 365 * DAY,
        sends_mail: false,
    };
    let hasher = Hasher::new(PASSWORD_RAM, Params::default());
    Ok(Authd::open(store, clock, entropy, hasher, policy)?)
}

/// Answers requests until `unblock` was called once for each of the [`THREADS`].
pub fn serve(server: &tiny_http::Server, app: &App) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Ok(mut request) = server.recv() {
                    let response = answer(app, &mut request);
                    // An error means that the client has gone.
                    let _ = request.respond(to_tiny_http(response));
                }
            });
        }
    });
}

fn answer(app: &App, request: &mut tiny_http::Request) -> Response {
    // A program answers its own paths here.
    if request.url() == "/" {
        return Response::text(
            200,
            "An application with accounts. Sign in: POST /v1/sessions\n",
        );
    }
    match to_authd(request) {
        Ok(request) => app.handle(&request),
        Err(_) => app.refuse(&BODY_REFUSED, None),
    }
}

/// Converts the request. Fails if its body is too large or broken off.
fn to_authd(request: &mut tiny_http::Request) -> io::Result<Request> {
    let method = Method::from_bytes(request.method().as_str().as_bytes());
    let method = method.map_err(io::Error::other)?;
    let mut taken = Request::new(method, request.url());
    if let Some(peer) = request.remote_addr() {
        taken = taken.with_peer(peer.ip());
    }
    for header in request.headers() {
        taken = taken.with_header(header.field.as_str().as_str(), header.value.as_str());
    }
    let mut body = Vec::new();
    let mut reader = request.as_reader().take(LARGEST_BODY + 1);
    if reader.read_to_end(&mut body)? as u64 > LARGEST_BODY {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(taken.with_body(body))
}

/// Converts the response.
fn to_tiny_http(response: Response) -> tiny_http::Response<Cursor<Vec<u8>>> {
    let headers = response
        .headers()
        .filter_map(|(name, value)| tiny_http::Header::from_bytes(name, value).ok())
        .collect();
    let body = response.body().to_vec();
    let length = Some(body.len());
    tiny_http::Response::new(
        response.status.into(),
        headers,
        Cursor::new(body),
        length,
        None,
    )
}

/// Does every second and every hour what `authd serve` does: notices changes made by commands, replaces keys, and deletes
/// what has expired.
pub fn run_housekeeping(authd: &Authd, ended: &mpsc::Receiver<()>) {
    const ROUND: Duration = Duration::from_secs(1);
    let mut rounds_to_sweep = 60;
    while ended.recv_timeout(ROUND) == Err(mpsc::RecvTimeoutError::Timeout) {
        rounds_to_sweep -= 1;
        let swept = match rounds_to_sweep {
            0 => authd.sweep().map(drop),
            _ => Ok(()),
        };
        if rounds_to_sweep == 0 {
            rounds_to_sweep = HOUR.as_secs();
        }
        if let Err(error) = authd.housekeep().and(swept) {
            eprintln!("housekeeping: {error}");
        }
    }
}
