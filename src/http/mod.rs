//! The front end: from a request to a [`service`](crate::service) method and back.
//!
//! [`server`] speaks HTTP and knows nothing of accounts. [`App`] turns one [`Request`] into one [`Response`] and knows
//! nothing of sockets, so a program that has an HTTP server of its own can host it (`examples/embed_tiny_http.rs`).
//!
//! The table of [`routes()`] says for each route its [`Surface`], who may call it, what it takes and what it answers.
//! Requests are dispatched from it, and the OpenAPI document is written from it. `api` and `pages` hold the handlers of
//! the two surfaces. A handler is three statements: it parses its input, calls the service, and renders the answer.
//!
//! Every answer passes [`App`], also those to requests that the HTTP server refuses by itself: all have a request id, and
//! the headers of their surface.
//!
//! Never in here: SQL, a rule of the lifecycle, a decision by a header that a client can forge.

pub mod server;

mod api;
mod call;
mod client_address;
mod error;
mod form;
mod host;
mod input;
mod oauth;
mod pages;
mod request;
mod response;
mod route;
mod surface;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

pub use api::doctor::{COOKIE, DOCTOR_PATH, SECURE_COOKIE, Seen};
use call::Call;
pub(crate) use client_address::read as read_hop;
pub use error::{HttpCode, HttpError, Refusal};
pub(crate) use host::is_accepted as is_host_accepted;
pub use http::Method;
use http::StatusCode;
use pages::site::Site;
pub use pages::site::{Accent, Brand, LARGEST_LOGO, Logo};
pub use request::Request;
pub use response::Response;
pub use route::{Access, Route};
use surface::Readers;
pub use surface::Surface;
use table::PathMatch;

use crate::entropy::Entropy;
use crate::service::{Authd, Device};

/// The largest body of an answer, in bytes. Clients that do not read their answers make the server keep one for each
/// connection, so the memory that the server needs at most follows from it.
pub const LARGEST_ANSWER: usize = 128 * 1024;

/// What the front end needs to know beyond the service.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may read answers, compared as they are written.
    pub cors_origins: Vec<String>,
    /// How the pages look.
    pub brand: Brand,
    /// What the process runs with, for administrators.
    pub in_force: Vec<SettingInForce>,
}

/// One setting as an administrator sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Setting")]
pub struct SettingInForce {
    /// Its name in the settings file.
    pub name: String,
    /// Its value; secrets in it are hidden.
    pub value: String,
    /// Where the value came from.
    pub source: String,
    /// What it sets, in a line.
    pub description: String,
}

/// The application: requests in, responses out.
pub struct App {
    authd: Arc<Authd>,
    settings: Settings,
    site: Site,
    /// The first part of request ids: random, for each start of the server.
    process: String,
    requests: AtomicU64,
    /// The OpenAPI document as it is answered, written at its first request.
    openapi: OnceLock<Vec<u8>>,
}

impl App {
    /// The application over `authd`.
    pub fn new(authd: Arc<Authd>, settings: Settings) -> App {
        let process = Entropy::system().bytes::<4>();
        let process = process.map(|byte| format!("{byte:02x}")).concat();
        App {
            site: Site::new(settings.brand.clone(), &authd.policy().issuer),
            authd,
            settings,
            process,
            requests: AtomicU64::new(1),
            openapi: OnceLock::new(),
        }
    }

    /// Answers a request. A panic in a handler is a 500 for this request and nothing more (req 64).
    pub fn handle(&self, request: &Request) -> Response {
        let id = self.next_request_id();
        let path = table::find(&request.path);
        // The pattern and not the path: people and programs put tokens into paths (req 63).
        let route = path.as_ref().map(|path| path.pattern);
        let surface = surface_of(path.as_ref(), Some(request));
        let response = catch_unwind(AssertUnwindSafe(|| self.dispatch(request, path.as_ref())))
            .unwrap_or_else(|_| {
                tracing::error!(request = id, route, "a handler panicked");
                Err(HttpError::server_error())
            })
            .unwrap_or_else(|error| self.show_error(error, surface, Some(request), &id));
        tracing::debug!(
            request = id,
            method = %request.method,
            route,
            status = response.status,
            "answered"
        );
        self.finish(Some(request), surface, response, id)
    }

    /// Answers a request that the HTTP server refuses by itself. `request` is what could be read of it, if anything.
    pub fn refuse(&self, refusal: &Refusal, request: Option<&Request>) -> Response {
        let id = self.next_request_id();
        let path = request.and_then(|request| table::find(&request.path));
        let surface = surface_of(path.as_ref(), request);
        let response = self.show_error(HttpError::from(refusal), surface, request, &id);
        tracing::debug!(
            request = id,
            route = path.map(|path| path.pattern),
            code = refusal.code.as_str(),
            status = response.status,
            "refused before it was handled"
        );
        self.finish(request, surface, response, id)
    }

    /// The answer to an error, in the form of the surface. The cause of a server error goes to the log.
    fn show_error(
        &self,
        error: HttpError,
        surface: Surface,
        request: Option<&Request>,
        id: &str,
    ) -> Response {
        error.log_cause(id);
        let body = match surface {
            // A page would say too little to the operator of a proxy.
            _ if error.status == StatusCode::MISDIRECTED_REQUEST => {
                api::problem::respond(&error, id)
            }
            Surface::Api | Surface::Metadata => api::problem::respond(&error, id),
            Surface::OAuth => oauth::error::respond(&error),
            Surface::Page | Surface::EntryPage => {
                pages::show_error(&error, id, request, &self.site)
            }
        };
        error.add_headers(body)
    }

    fn next_request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.process)
    }

    /// Refuses a request for another server, and sends a browser that opened a page by address to the page by name.
    fn elsewhere(
        &self,
        request: &Request,
        path: Option<&PathMatch<'_>>,
    ) -> Result<Option<Response>, HttpError> {
        let Some(host) = request.header("host") else {
            return Ok(None);
        };
        let public_url = &self.authd.policy().issuer;
        // Checks of health name the container or the service, and `authd doctor` asks which name arrives.
        let is_for_all = ["/healthz", "/readyz", DOCTOR_PATH].contains(&request.path.as_str());
        let proxies = &self.settings.trusted_proxies;
        if !is_for_all && !host::is_accepted(host, public_url, request.peer, proxies) {
            return Err(HttpError::misdirected());
        }
        let is_page = path.is_some_and(|path| path.surface().is_page());
        let is_opened = [Method::GET, Method::HEAD].contains(&request.method);
        Ok(host::by_name(host, public_url)
            .filter(|_| is_page && is_opened)
            .map(|url| {
                let query = request.query.as_deref();
                let query = query.map_or(String::new(), |query| format!("?{query}"));
                Response::new(303).header("location", format!("{url}{}{query}", request.path))
            }))
    }

    fn dispatch(
        &self,
        request: &Request,
        path: Option<&PathMatch<'_>>,
    ) -> Result<Response, HttpError> {
        if let Some(elsewhere) = self.elsewhere(request, path)? {
            return Ok(elsewhere);
        }
        // What only `authd doctor` may see does not exist for other clients, with any method.
        let path = path.filter(|path| !path.is_for_doctor() || self.is_doctor(request));
        let Some(path) = path else {
            return match request.method {
                Method::OPTIONS => Ok(Response::new(404)),
                _ => Err(HttpError::no_such_path()),
            };
        };
        if request.method == Method::OPTIONS {
            return Ok(self.preflight(path, request));
        }
        let Some(route) = path.route(&request.method) else {
            return Err(HttpError::method_not_allowed(path.methods()));
        };
        let agent = request.header("user-agent").unwrap_or_default();
        let ip = client_address::of(request, &self.settings.trusted_proxies);
        route.guard.answer(&Call {
            authd: &self.authd,
            request,
            device: Device::new(ip, agent),
            parameters: path.parameters,
            openapi: &self.openapi,
            trusted_proxies: &self.settings.trusted_proxies,
            site: &self.site,
            settings_in_force: &self.settings.in_force,
        })
    }

    /// Whether the request has a pass of `authd doctor`.
    fn is_doctor(&self, request: &Request) -> bool {
        request
            .bearer_token()
            .is_some_and(|pass| self.authd.admits(pass))
    }

    /// Answers what a browser asks before a cross-origin request. Only an allowed origin is told what it may send.
    fn preflight(&self, path: &PathMatch<'_>, request: &Request) -> Response {
        let methods = path.methods();
        let response = Response::new(204).header("allow", methods.clone());
        if self.allowed_origin(request, path.surface()).is_none() {
            return response;
        }
        let asked = request.header("access-control-request-headers");
        let allowed = asked.filter(|names| is_list_of_names(names));
        response
            .header("access-control-allow-methods", methods)
            .header(
                "access-control-allow-headers",
                allowed.unwrap_or(OWN_HEADERS).to_owned(),
            )
            .header("access-control-max-age", "600")
    }

    /// The origin of the page that sent the request, as `Access-Control-Allow-Origin` has it, if it may read the answers of
    /// `surface`.
    fn allowed_origin<'r>(&self, request: &'r Request, surface: Surface) -> Option<&'r str> {
        let origin = request.header("origin")?;
        let is_listed = || self.settings.cors_origins.iter().any(|own| own == origin);
        let is_clients = || self.authd.is_client_origin(origin).unwrap_or(false);
        match surface.readers() {
            Readers::Own => None,
            Readers::Listed => is_listed().then_some(origin),
            Readers::Clients => (is_listed() || is_clients()).then_some(origin),
            Readers::All => Some("*"),
        }
    }

    /// Adds what every answer carries (req 39, req 54).
    fn finish(
        &self,
        request: Option<&Request>,
        surface: Surface,
        response: Response,
        request_id: String,
    ) -> Response {
        let response = match response.has_header("cache-control") {
            true => response,
            false => response.header("cache-control", "no-store"),
        };
        let response = response
            .header("x-content-type-options", "nosniff")
            .header("referrer-policy", surface.referrer_policy());
        let response = match response.has_header("content-security-policy") {
            true => response,
            false => response.header("content-security-policy", surface.content_security_policy()),
        };
        let response = surface
            .more_headers()
            .iter()
            .fold(response, |response, (name, value)| {
                response.header(name, *value)
            });
        self.allow_origin(request, surface, response)
            .header("x-request-id", request_id)
    }

    /// Lets pages of the origins that the settings list read the answer, if the surface allows it.
    fn allow_origin(
        &self,
        request: Option<&Request>,
        surface: Surface,
        response: Response,
    ) -> Response {
        let response = match surface.readers() {
            Readers::Own => return response,
            Readers::Listed if self.settings.cors_origins.is_empty() => return response,
            Readers::All => response,
            Readers::Listed | Readers::Clients => response.header("vary", "origin"),
        };
        let origin = match (request, self.settings.cors_origins.as_slice()) {
            (Some(request), _) => self.allowed_origin(request, surface),
            // Refused before its request was read: if a page may read it at all, it is of this origin.
            (None, [only]) => Some(only.as_str()),
            (None, _) => None,
        };
        match origin {
            Some(origin) => response
                .header("access-control-allow-origin", origin.to_owned())
                .header("access-control-expose-headers", "retry-after, x-request-id"),
            None => response,
        }
    }
}

/// The surface of a path. Where there is nothing, a person in a browser gets a page and a program the error of the API:
/// browsers name HTML in `Accept` when they open an address (RFC 9110 §12.5.1).
fn surface_of(path: Option<&PathMatch<'_>>, request: Option<&Request>) -> Surface {
    let accepts_html = || {
        let accepted = request.and_then(|request| request.header("accept"));
        accepted.is_some_and(|types| types.contains("text/html"))
    };
    match path {
        Some(path) => path.surface(),
        None if accepts_html() => Surface::Page,
        None => Surface::Api,
    }
}

/// The headers that the API reads, for a preflight that asks for none.
const OWN_HEADERS: &str = "authorization, content-type, idempotency-key";

/// The longest list of headers that a preflight may ask for, in bytes.
const LONGEST_LIST: usize = 1024;

/// Whether this is a list of field names. A page of an allowed origin may send any header (tracing libraries add some):
/// authd reads its own ones alone, and tokens are no cookies.
fn is_list_of_names(names: &str) -> bool {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~, ".contains(c);
    names.len() <= LONGEST_LIST && names.chars().all(is_name_char)
}

/// The routes of the API, for documentation and for the tests that walk them.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    table::api()
}

/// The routes of the pages.
pub fn page_routes() -> &'static [Route] {
    pages::ROUTES
}
