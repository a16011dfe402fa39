//! The front end: from a request to a [`service`](crate::service) method and back.
//!
//! [`server`] speaks HTTP and knows nothing of authd; [`App`] turns one [`Request`] into one [`Response`] and knows
//! nothing of sockets, so a program that has an HTTP server of its own can host it
//! (`examples/embed_tiny_http.rs`). Between them stands the table of [`routes()`]: what there is, who may call it, and
//! what it takes and gives, from which requests are dispatched and the OpenAPI document is written.
//!
//! Never in here: SQL, a rule of the lifecycle, a decision by a header that a stranger can send.

pub mod server;

mod api;
mod client_address;
mod pages;
mod request;
mod response;
mod route;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;

pub use api::doctor::{COOKIE, DOCTOR_PATH, SECURE_COOKIE, Seen};
pub use api::problem::refusal;
pub(crate) use client_address::read as read_hop;
pub use request::{Method, Request};
pub use response::Response;
use route::Call;
pub use route::{Guard, Route};

use api::problem;

use crate::entropy::Entropy;
use crate::service::{Actor, Authd, Device};

/// What the front end needs to know beyond the service.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may read answers, compared as they are written.
    pub cors_origins: Vec<String>,
}

/// The application: requests in, responses out.
pub struct App {
    authd: Arc<Authd>,
    settings: Settings,
    /// Request ids are a name of this process and a number.
    process: String,
    requests: AtomicU64,
}

impl App {
    /// The application over `authd`.
    pub fn new(authd: Arc<Authd>, settings: Settings) -> App {
        let process = Entropy::system().bytes::<4>();
        let process = process.map(|byte| format!("{byte:02x}")).concat();
        App {
            authd,
            settings,
            process,
            requests: AtomicU64::new(1),
        }
    }

    /// Answers a request. A panic on the way is a 500 for this request and nothing more (req 64).
    pub fn handle(&self, request: &Request) -> Response {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.process);
        let response = catch_unwind(AssertUnwindSafe(|| self.dispatch(request, &id)))
            .unwrap_or_else(|_| {
                let route = table::pattern_of(&request.path);
                tracing::error!(request = id, route, "a handler panicked");
                problem::server_error(&id)
            });
        // The route and not the path: people and programs put tokens there (req 63).
        tracing::debug!(
            request = id,
            method = ?request.method,
            route = table::pattern_of(&request.path),
            status = response.status,
            "answered"
        );
        self.finish(request, response).header("x-request-id", id)
    }

    fn dispatch(&self, request: &Request, id: &str) -> Response {
        if request.method == Method::Options {
            return self.preflight(request);
        }
        let (route, parameter) = match table::find(request.method, &request.path) {
            table::Found::Route(route, parameter) => (route, parameter),
            table::Found::OtherMethods(allowed) => {
                return problem::method_not_allowed(&allowed, id);
            }
            table::Found::Nothing => return problem::no_such_path(id),
        };
        let agent = request.header("user-agent").unwrap_or_default();
        let ip = client_address::of(request, &self.settings.trusted_proxies);
        let call = Call {
            authd: &self.authd,
            request,
            device: Device::new(ip, agent),
            parameter,
            trusted_proxies: &self.settings.trusted_proxies,
        };
        let answer = match route.guard {
            Guard::Public(handler) => handler(&call),
            Guard::Bearer(handler) => self.actor(request).and_then(|actor| handler(&call, &actor)),
            Guard::Doctor(handler) => match bearer(request) {
                Some(pass) if self.authd.admits(pass) => handler(&call),
                _ => return problem::no_such_path(id),
            },
        };
        answer.unwrap_or_else(|problem| problem.respond(id))
    }

    /// Who is asking.
    fn actor(&self, request: &Request) -> Result<Actor, problem::Problem> {
        match bearer(request) {
            Some(token) => Ok(self.authd.authenticate(token)?),
            None => Err(problem::Problem::missing_token()),
        }
    }

    /// Answers what a browser asks before a cross-origin request.
    fn preflight(&self, request: &Request) -> Response {
        let methods = table::methods_of(&request.path);
        if methods.is_empty() {
            return Response::new(404);
        }
        let asked = request.header("access-control-request-headers");
        let allowed = asked.filter(|names| is_list_of_names(names));
        Response::new(204)
            .header("allow", methods.clone())
            .header("access-control-allow-methods", methods)
            .header(
                "access-control-allow-headers",
                allowed.unwrap_or(OWN_HEADERS).to_owned(),
            )
            .header("access-control-max-age", "600")
    }

    /// What every answer carries (req 39, req 54).
    fn finish(&self, request: &Request, response: Response) -> Response {
        let cacheable = response.headers().any(|(name, _)| name == "cache-control");
        let response = if cacheable {
            response
        } else {
            response.header("cache-control", "no-store")
        };
        let response = response
            .header("x-content-type-options", "nosniff")
            .header("referrer-policy", "no-referrer")
            .header(
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            );
        if self.settings.cors_origins.is_empty() {
            return response;
        }
        let response = response.header("vary", "origin");
        match request.header("origin") {
            Some(origin)
                if self
                    .settings
                    .cors_origins
                    .iter()
                    .any(|allowed| allowed == origin) =>
            {
                response
                    .header("access-control-allow-origin", origin.to_owned())
                    .header("access-control-expose-headers", "retry-after, x-request-id")
            }
            _ => response,
        }
    }
}

/// The headers that the API reads, for a preflight that asks for none.
const OWN_HEADERS: &str = "authorization, content-type, idempotency-key";

/// The longest list of headers that a preflight may ask for, in bytes.
const LONGEST_LIST: usize = 1024;

/// Whether this is a list of field names. A page of an allowed origin may send any header (tracing adds some of its own):
/// authd reads its own ones alone, and tokens are no cookies.
fn is_list_of_names(names: &str) -> bool {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~, ".contains(c);
    names.len() <= LONGEST_LIST && names.chars().all(is_name_char)
}

/// The token that a request presents (RFC 6750 §2.1: in the header, and neither in the query nor the body).
fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// All routes, for documentation and for the tests that walk them.
pub fn routes() -> &'static [Route] {
    table::ROUTES
}
