//! The host that a request is for.

use authd::http::{Method, page_routes, routes};

use crate::harness::*;
use crate::wire::Home;

#[test] // finding 25: a page of another site whose name leads here (DNS rebinding)
fn a_request_for_another_host_is_refused_at_every_path() {
    let t = Harness::with(|terms| {
        // As behind a proxy on the same machine: a browser there has its address.
        terms.settings.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a net")];
    });
    let ann = t.sign_in("ann");
    let here = Place::new("127.0.0.1", LAPTOP.agent);
    t.unchanged(|| {
        for route in routes().chain(page_routes()) {
            let path = route.path.replace("{id}", "x");
            let ask = |method: Method| {
                let ask = t.ask(method, &path).from(here).bearer(&ann.access);
                ask.header("host", "evil.example:8080")
                    .header("origin", "http://evil.example:8080")
                    .send()
            };
            let answer = ask(route.method.clone());
            match route.path {
                "/healthz" | "/readyz" => assert_eq!(answer.status, 200, "{path}"),
                "/.well-known/authd-doctor" => assert_eq!(answer.status, 404),
                _ => {
                    assert_eq!(answer.status, 421, "{path}");
                    answer.refused("misdirected_request");
                    assert_eq!(ask(Method::OPTIONS).status, 421, "{path}");
                }
            }
        }
    });
}

#[test] // finding 25: the host of an absolute target counts (RFC 9112 §3.2.2)
fn an_absolute_target_replaces_the_host_field() {
    let home = Home::new();
    let server = home.serve();
    let status = |target: &str, host: &str| {
        let mut client = server.client();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.send(request.as_bytes()).expect("a connection");
        client.answer().expect("an answer").status
    };
    assert_eq!(status("/openapi.json", "localhost"), 200);
    assert_eq!(status("/openapi.json", "evil.example"), 421);
    assert_eq!(status("http://evil.example/openapi.json", "localhost"), 421);
    assert_eq!(status("http://localhost/openapi.json", "evil.example"), 200);
    // HTTP/1.0 has no host, and no browser speaks it.
    let mut client = server.client();
    client
        .send(b"GET /openapi.json HTTP/1.0\r\n\r\n")
        .expect("a connection");
    client.answer().expect("an answer").status(200);
}
