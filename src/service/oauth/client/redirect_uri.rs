//! Addresses of apps: which may be registered, and which registered one a request names.
//!
//! A request's address must be a registered one, byte for byte (RFC 9700 §4.1.3, req 41). One part may differ: the port of an
//! address on the loopback interface, because a program on a desktop listens where it can (RFC 8252 §7.3). The same goes for
//! `localhost`, which many programs use.
//!
//! The answer goes to the address as it was registered and sent, never to one that was parsed and written anew.

use url::Url;

/// The longest address, in bytes.
pub const LONGEST: usize = 2048;

/// Schemes that browsers run or show instead of handing them to an app.
const FORBIDDEN_SCHEMES: [&str; 9] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "blob",
    "about",
    "view-source",
    "filesystem",
    "ws",
];

/// Checks an address to which answers shall be sent.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn check(uri: &str) -> Result<(), String> {
    check_any(uri)?;
    let url = parse(uri)?;
    let is_web = matches!(url.scheme(), "http" | "https");
    if is_web
        && !uri
            .to_ascii_lowercase()
            .starts_with(&format!("{}://", url.scheme()))
    {
        return Err(format!("`{uri}` needs two slashes after the scheme."));
    }
    Ok(())
}

/// Checks the address at which an app is told of ended sessions: `https`, or `http` for a client that may be in a private
/// network.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn check_web(uri: &str) -> Result<(), String> {
    check(uri)?;
    match parse(uri)?.scheme() {
        "http" | "https" => Ok(()),
        _ => Err(format!("`{uri}` must begin with `https://`.")),
    }
}

/// Checks an origin whose scripts may call this server, as browsers write it: scheme, host, and a port that is not the
/// scheme's.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn check_origin(origin: &str) -> Result<(), String> {
    check_any(origin)?;
    let url = parse(origin)?;
    let written = match url.scheme() {
        "http" | "https" => url.origin().ascii_serialization(),
        // Of other schemes the standard has no origin; browsers of apps send `scheme://host`.
        scheme => format!("{scheme}://{}", url.host_str().unwrap_or_default()),
    };
    match written == origin {
        true => Ok(()),
        false => Err(format!("`{origin}` is no origin. Write `{written}`.")),
    }
}

fn check_any(uri: &str) -> Result<(), String> {
    if uri.len() > LONGEST {
        return Err(format!("An address has at most {LONGEST} bytes."));
    }
    if uri.contains('#') {
        return Err(format!(
            "`{uri}` has a fragment (`#…`), which RFC 6749 §3.1.2 does not allow. Leave it out: apps that show it do not send it."
        ));
    }
    // What the URL parser would quietly drop or change, so that two readers could see two addresses in it.
    if uri.contains('\\') || uri.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!(
            "`{}` has a backslash, a space or a control character.",
            uri.escape_debug()
        ));
    }
    if !uri.is_ascii() {
        return Err(format!(
            "`{uri}` has characters beyond ASCII. Write the host with `xn--` and the path with `%`."
        ));
    }
    if uri.contains('*') {
        return Err(format!(
            "`{uri}` has a `*`. Addresses are compared as they are; register each of them."
        ));
    }
    let url = parse(uri)?;
    if FORBIDDEN_SCHEMES.contains(&url.scheme()) {
        return Err(format!("The scheme `{}` leads to no app.", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() || authority(uri).contains('@') {
        return Err(format!("`{uri}` has a user name before the host."));
    }
    Ok(())
}

fn parse(uri: &str) -> Result<Url, String> {
    Url::parse(uri).map_err(|error| {
        format!("`{uri}` is no absolute address ({error}). An example is `https://app.example.org/callback`.")
    })
}

/// Whether a request that names `given` may be answered there, for a client that registered `registered`.
pub fn is_registered(given: &str, registered: &[String]) -> bool {
    given.len() <= LONGEST
        && registered
            .iter()
            .any(|own| own == given || is_other_port(given, own))
}

/// Whether both are the same address on the loopback interface but for the port (RFC 8252 §7.3).
fn is_other_port(given: &str, registered: &str) -> bool {
    let (Some(given), Some(registered)) = (split_loopback(given), split_loopback(registered))
    else {
        return false;
    };
    given == registered
}

/// Host and what follows the authority, for an `http` address on the loopback interface. Compared as text: nothing is
/// parsed that a browser could parse in another way.
fn split_loopback(uri: &str) -> Option<(&'static str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = ["127.0.0.1", "[::1]", "localhost"]
        .into_iter()
        .find(|host| authority.starts_with(host))?;
    let port = &authority[host.len()..];
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok() && digits.bytes().all(|b| b.is_ascii_digit()),
        None => port.is_empty(),
    };
    is_port.then_some((host, tail))
}

fn authority(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // req 41, app 16
    fn an_address_is_compared_byte_by_byte() {
        let registered = [
            "https://app.example.org/callback".to_owned(),
            "https://app.example.org:443/explicit".to_owned(),
            "https://app.example.org/with?query=1".to_owned(),
            "https://bare.example.org".to_owned(),
            "app.immich:///oauth-callback".to_owned(),
        ];
        for same in &registered {
            assert!(is_registered(same, &registered), "{same}");
        }
        for other in [
            "https://app.example.org/callback/",
            "https://app.example.org/Callback",
            "https://APP.example.org/callback",
            "https://app.example.org:443/callback",
            "https://app.example.org/explicit",
            "http://app.example.org/callback",
            "https://user@app.example.org/callback",
            "https://app.example.org\\@evil.example/callback",
            "https://app.example.org/x/../callback",
            "https://app.example.org/x/%2e%2e/callback",
            "https://app.example.org/callback%2f",
            "https://app.example.org/callback?x=1",
            "https://app.example.org/callback#",
            "https://app.example.org/with",
            "https://app.example.org/with?query=1&more=2",
            "https://bare.example.org/",
            "https://app.example.org.evil.example/callback",
            " https://app.example.org/callback",
            "app.immich://oauth-callback",
            "",
        ] {
            assert!(!is_registered(other, &registered), "{other}");
        }
    }

    #[test] // RFC 8252 §7.3, app 16
    fn a_loopback_address_may_have_any_port() {
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            let registered = [format!("http://{host}:8000/callback?a=b")];
            for good in ["", ":1", ":65535"] {
                assert!(is_registered(
                    &format!("http://{host}{good}/callback?a=b"),
                    &registered
                ));
            }
            for bad in [
                format!("http://{host}:65536/callback?a=b"),
                format!("http://{host}:/callback?a=b"),
                format!("http://{host}:+80/callback?a=b"),
                format!("http://{host}:80@evil.example/callback?a=b"),
                format!("http://{host}.evil.example/callback?a=b"),
                format!("https://{host}:8000/callback?a=b"),
                format!("http://{host}:8000/callback"),
                format!("http://{host}:8000/other?a=b"),
            ] {
                assert!(!is_registered(&bad, &registered), "{bad}");
            }
        }
        let other_host = ["http://127.0.0.1/callback".to_owned()];
        assert!(!is_registered("http://localhost/callback", &other_host));
        assert!(!is_registered("http://127.0.0.2/callback", &other_host));
    }

    #[test]
    fn what_cannot_be_compared_safely_cannot_be_registered() {
        for good in [
            "https://app.example.org/callback",
            "https://app.example.org",
            "https://app.example.org:443/callback?prevent_auto_init=true",
            "http://localhost:8000",
            "http://[::1]:8000/",
            "app.immich:///oauth-callback",
            "audiobookshelf://oauth",
            "com.example.app:/callback",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "https://app.example.org/#callback",
            "https://app.example.org/#",
            "https://*.example.org/callback",
            "https://user@app.example.org/callback",
            "https://app.example.org\\callback",
            "https://app.example.org/a b",
            "https://app.example.org/\n",
            "https://müller.example/callback",
            "https:app.example.org/callback",
            "javascript:alert(1)",
            "data:text/html,x",
            "/callback",
            "app.example.org/callback",
            "",
            &format!("https://app.example.org/{}", "a".repeat(2048)),
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(
            check("https://a.example/#x")
                .unwrap_err()
                .contains("fragment")
        );
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        for good in [
            "https://app.example.org",
            "http://localhost:5173",
            "capacitor://localhost",
        ] {
            assert_eq!(check_origin(good), Ok(()), "{good}");
        }
        for bad in [
            "https://app.example.org/",
            "https://app.example.org:443",
            "https://App.example.org",
            "*",
            "null",
        ] {
            assert!(check_origin(bad).is_err(), "{bad}");
        }
    }
}
