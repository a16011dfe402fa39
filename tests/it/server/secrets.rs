//! Where a secret must not be found.

use serde_json::json;

use crate::wire::{Home, PASSWORD, SignedIn, files_of, secret};

/// Whether `needle` is somewhere in `haystack`.
fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[test] // req 63, I9
fn no_secret_is_in_the_log_or_in_a_file() {
    const WRONG: &str = "purple anvil in June";
    const NEXT: &str = "seven brass kettles";
    let home = Home::new();
    let server = home.serve_loudly();
    let setup_token = server.setup_token();
    let mut client = server.client();
    let mut issued = vec![server.set_up("ann@example.org")];
    issued.push(client.sign_in("ann@example.org", "phone"));
    issued.push(client.refreshed(&issued[1].refresh));
    issued.push(client.refreshed(&issued[1].refresh));
    issued.push(client.refreshed(&issued[2].refresh));
    // A token that is old beyond doubt ends its session.
    let refused = client.refresh(&issued[1].refresh);
    refused.refused(401, "invalid_grant");

    // Refused in every way that there is: wrong, unknown, misplaced, malformed.
    let sign_in = |login: &str, password: &str| json!({ "login": login, "password": password });
    for login in ["ann@example.org", "nobody@example.org"] {
        let answer = client.post("/v1/sessions", &sign_in(login, WRONG));
        answer.refused(401, "invalid_credentials");
    }
    client
        .post("/v1/sessions", &json!({ "password": WRONG }))
        .status(400);
    client
        .post(
            "/v1/sessions/refresh",
            &json!({ "refresh_token": issued[0].access }),
        )
        .status(401);
    client
        .post(
            "/v1/sessions/refresh",
            &json!({ "refresh_token": [issued[0].refresh] }),
        )
        .status(400);
    let mut forged = issued[0].refresh.clone();
    forged.replace_range(10..11, if &forged[10..11] == "A" { "B" } else { "A" });
    client.refresh(&forged).refused(401, "invalid_grant");
    let path = format!(
        "/v1/sessions/{}?access_token={}",
        issued[0].refresh, issued[0].access
    );
    client.as_owner(&issued[0], "DELETE", &path).status(404);
    let with_crlf = json!({ "login": format!("ann\r\n{WRONG}"), "password": WRONG });
    client.post("/v1/sessions", &with_crlf).status(401);
    let key = [("Idempotency-Key", issued[0].refresh.as_str())];
    let body = json!({ "refresh_token": issued[0].refresh });
    let answer = client.request("POST", "/v1/sessions/refresh", &key, Some(&body));
    issued.push(SignedIn::read(&answer.status(200)));
    let bearer = format!("Bearer {}", issued[0].access);
    let body = json!({ "current_password": PASSWORD, "new_password": NEXT });
    let changed = client.request(
        "PUT",
        "/v1/account/password",
        &[("Authorization", &bearer)],
        Some(&body),
    );
    issued.push(SignedIn::read(&changed.status(200)));
    home.authd_fed(
        &[
            "user",
            "set-password",
            "ann@example.org",
            "--password-stdin",
        ],
        WRONG,
    )
    .done();

    let mut secrets: Vec<(String, Vec<u8>)> = [PASSWORD, WRONG, NEXT, &setup_token, &forged]
        .iter()
        .map(|text| ((*text).to_owned(), text.as_bytes().to_vec()))
        .collect();
    for signed_in in &issued {
        for token in [&signed_in.access, &signed_in.refresh] {
            secrets.push((token.clone(), token.as_bytes().to_vec()));
            // Nor what is left when the start or the end was cut off.
            secrets.push((
                format!("the end of {token}"),
                token.as_bytes()[token.len() - 30..].to_vec(),
            ));
        }
        secrets.push((
            format!("the bytes of {}", signed_in.refresh),
            secret(&signed_in.refresh),
        ));
    }

    // The files as they are in the middle of work, with all that the WAL still has.
    let files = files_of(&home.path("."));
    let wal = files
        .iter()
        .find(|(path, _)| path.ends_with("authd.db-wal"));
    assert!(
        wal.is_some_and(|(_, bytes)| bytes.len() > 4096),
        "there is no WAL to look into"
    );
    let stopped = server.stop();
    assert!(
        stopped.stderr.contains("DEBUG") && stopped.stderr.contains("answered"),
        "{}",
        stopped.stderr
    );
    let after = files_of(&home.path("."));
    for (what, bytes) in &secrets {
        assert!(
            !holds(stopped.stderr.as_bytes(), bytes),
            "the log has {what}"
        );
        for (path, content) in files.iter().chain(&after) {
            assert!(!holds(content, bytes), "{} has {what}", path.display());
        }
    }
    // What is printed at the first start is the set-up token's one place.
    assert!(holds(stopped.stdout.as_bytes(), setup_token.as_bytes()));
    // One line for each thing that was said: nobody can write lines of their own into the log.
    for line in stopped.stderr.lines() {
        assert!(line.starts_with("20"), "{line}");
    }
}
