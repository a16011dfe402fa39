//! `authd health`: whether the server answers that it is ready, for container platforms and scripts.
//!
//! It sends one request to the server and does not open the database. So a check every few seconds costs little, and a user
//! who cannot read the file can run it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::doctor::client::Client;
use super::output::{Output, printable};
use super::{Common, Failure};
use crate::config::PublicUrl;

/// Longest time until the answer: Docker and Kubernetes give a check a few seconds.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Longest piece of a problem's text that is repeated, in characters.
const MAX_DETAIL_CHARS: usize = 200;

#[derive(Args)]
pub(super) struct Health {
    /// Check the server at this URL [default: the address in the setting `listen`]
    #[arg(long, value_name = "URL", value_parser = PublicUrl::parse)]
    url: Option<PublicUrl>,
}

impl Health {
    /// Requests `/readyz`.
    ///
    /// # Errors
    /// The server is not ready, or its address is not known. The exit code is 1 in each case.
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let outcome = match self.url {
            Some(url) => Ok(url.to_string()),
            None => url_from_settings(common),
        };
        let (url, outcome) = match outcome {
            Ok(url) => (Some(url.clone()), ask(&url, TIMEOUT)),
            Err(reason) => (None, Err(reason)),
        };
        let reason = outcome.as_ref().err();
        if out.json || reason.is_none() {
            let mut shown = json!({ "ready": reason.is_none(), "url": url });
            if let Some(reason) = reason {
                shown["reason"] = json!(reason);
            }
            out.record(&shown)?;
        }
        outcome.map_err(Failure::Refused)
    }
}

/// The URL of the server on this machine.
fn url_from_settings(common: &Common) -> Result<String, String> {
    // Without the notices: a check runs every few seconds, and its output is one line.
    let loaded = common.load(Vec::new()).map_err(|failure| {
        let (Failure::Configuration(text) | Failure::Refused(text) | Failure::Internal(text)) =
            failure;
        // One line: container platforms show the last line of a check.
        text.lines().collect::<Vec<_>>().join(" ")
    })?;
    url_of(loaded.config.listen)
}

/// The URL under which this machine reaches a server that listens on `listen`.
fn url_of(listen: SocketAddr) -> Result<String, String> {
    if listen.port() == 0 {
        return Err(
            "the setting `listen` has port 0, so the port is not known. Pass --url.".to_owned(),
        );
    }
    // A server that listens on all interfaces is reached on the loopback interface.
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, listen.port())))
}

/// Asks the server at `url` whether it is ready.
///
/// # Errors
/// Why it is not, in one line.
fn ask(url: &str, timeout: Duration) -> Result<(), String> {
    let client = Client::new("authd-health", timeout);
    let reply = client.get(&format!("{url}/readyz"), &[]).map_err(|none| {
        let why = one_line(&none.why);
        format!("{url} does not answer: {why}. Check that `authd serve` runs.")
    })?;
    if reply.status == 200 {
        return Ok(());
    }
    let problem: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let detail = problem.as_ref().and_then(|problem| {
        let text = problem.get("detail").or(problem.get("title"))?;
        text.as_str()
    });
    Err(match detail {
        Some(detail) => format!(
            "{url}/readyz answered {}: {}",
            reply.status,
            one_line(detail)
        ),
        None => format!(
            "{url}/readyz answered {}, and not as authd does. Check which server it is.",
            reply.status
        ),
    })
}

/// The beginning of a text from another program, without control characters.
fn one_line(text: &str) -> String {
    printable(&text.chars().take(MAX_DETAIL_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_server_on_all_interfaces_is_reached_on_loopback() {
        for (listen, url) in [
            ("127.0.0.1:8080", Ok("http://127.0.0.1:8080")),
            ("0.0.0.0:8080", Ok("http://127.0.0.1:8080")),
            ("[::]:8080", Ok("http://[::1]:8080")),
            ("192.0.2.1:80", Ok("http://192.0.2.1:80")),
            ("[2001:db8::1]:80", Ok("http://[2001:db8::1]:80")),
            ("127.0.0.1:0", Err("--url")),
        ] {
            let listen = listen.parse().expect("an address");
            match (url_of(listen), url) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
                (found, _) => panic!("{listen}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_server_that_is_not_ready_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = thread::spawn(move || {
            let bodies = [r#"{"detail":"The disk is full.\u001b[2J"}"#, "<html>"];
            for body in bodies {
                let (mut socket, _) = listener.accept().expect("a connection");
                let mut head = [0; 1024];
                let read = socket.read(&mut head).expect("a request");
                assert!(head[..read].starts_with(b"GET /readyz HTTP/1.1\r\n"));
                let length = body.len();
                write!(
                    socket,
                    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: {length}\r\n\r\n{body}"
                )
                .expect("an answer");
            }
        });
        let reason = ask(&url, TIMEOUT).expect_err("not ready");
        let expected = format!("{url}/readyz answered 503: The disk is full.\u{fffd}[2J");
        assert_eq!(reason, expected);
        let reason = ask(&url, TIMEOUT).expect_err("not ready");
        let expected = format!("{url}/readyz answered 503, and not as authd does.");
        assert!(reason.starts_with(&expected), "{reason}");
        server.join().expect("no panic");
    }

    #[test]
    fn the_wait_for_an_answer_ends() {
        // The kernel accepts the connection, and no program reads from it.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let url = format!("http://{}", silent.local_addr().expect("an address"));
        let reason = ask(&url, Duration::from_millis(50)).expect_err("no answer");
        assert!(reason.starts_with(&url) && reason.lines().count() == 1);
        assert!(reason.contains("does not answer"), "{reason}");
    }
}
