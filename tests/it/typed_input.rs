//! Input that differs from what the documentation shows: other spellings of an id, null for an empty member, links that a
//! mail service changed. And input that is refused, with the reason.

use authd::http::Method;
use serde_json::{Value, json};

use crate::harness::*;

#[test] // fault 36, RFC 9562 §4
fn a_session_id_may_be_written_in_capitals() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    let phone = t.sign_in_on(PHONE, "ann");
    let path = format!("/v1/sessions/{}", phone.session.to_uppercase());
    let named = t
        .with_token(&laptop, Method::PATCH, &path)
        .json(&json!({ "device_name": "phone" }))
        .send()
        .gives(200);
    assert_eq!(named["id"], phone.session);
    t.with_token(&laptop, Method::DELETE, &path)
        .send()
        .gives(204);
    assert!(!t.is_open(&phone) && t.is_open(&laptop));
}

fn change(t: &Harness, device: &SignedIn, change: Value) -> Answer {
    t.with_token(device, Method::PATCH, "/v1/account")
        .json(&change)
        .send()
}

#[test] // fault 37
fn null_removes_a_name_and_an_absent_member_keeps_it() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let shown = change(&t, &ann, json!({ "name": "Ann Example" })).gives(200);
    assert_eq!(shown["username"], "ann");
    let shown = change(&t, &ann, json!({ "name": null })).gives(200);
    assert_eq!(
        (&shown["name"], &shown["username"]),
        (&Value::Null, &json!("ann"))
    );
    let shown = change(&t, &ann, json!({ "username": null })).gives(200);
    assert_eq!(shown["username"], Value::Null);
    change(&t, &ann, json!({ "name": "Ann" })).gives(200);
    assert_eq!(change(&t, &ann, json!({})).gives(200)["name"], "Ann");
    assert_eq!(
        change(&t, &ann, json!({ "name": "" })).gives(200)["name"],
        Value::Null
    );
}

#[test] // fault 37
fn null_cannot_remove_the_address_of_an_account() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.unchanged(|| {
        let with = |email: Value| json!({ "email": email, "current_password": PASSWORD });
        let refused = change(&t, &ann, with(Value::Null)).refused("invalid_request");
        let detail = refused["detail"].as_str().expect("words");
        assert_eq!(
            detail,
            "The body is not valid: `email` cannot be null, because an account has an e-mail address; leave it out to \
             keep the present one (line 1, column 13)."
        );
    });
}

#[test] // fault 40, RFC 9110 §9.3.5
fn an_account_is_deleted_without_a_body_on_delete() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let delete = |password: &str| {
        t.with_token(&ann, Method::POST, "/v1/account/delete")
            .json(&json!({ "current_password": password }))
            .send()
    };
    delete("wrong wrong wrong").refused("wrong_password");
    assert!(t.is_open(&ann));
    delete(PASSWORD).gives(204);
    assert_eq!(t.number("SELECT count(*) FROM account"), 0);
    assert_eq!(t.mail().len(), 1, "the address is told");
    t.try_sign_in(LAPTOP, "ann", PASSWORD)
        .refused("invalid_credentials");
}

#[test] // fault 48
fn a_link_works_with_the_parameters_that_a_mail_service_adds() {
    let t = Harness::new();
    t.add("ann");
    let token = t.mailed_reset("ann");
    let page = |query: &str| t.ask(Method::GET, &format!("/reset?{query}")).send();
    let encoded: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for query in [
        format!("token={token}&utm_source=mail"),
        format!("utm_source=x&token={token}"),
        format!("&&fbclid&token={token}&"),
        format!("token={token}%20"),
        format!("token={token}+"),
        format!("token={token}%0D%0A"),
        format!("token={encoded}"),
    ] {
        let opened = page(&query);
        assert_eq!(opened.status, 303, "{query}");
        let mut set = opened
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        assert!(
            set.any(|(_, cookie)| cookie.contains(&format!("={token};"))),
            "{query}"
        );
    }
}

#[test] // fault 48
fn a_link_without_its_token_says_so() {
    let t = Harness::new();
    t.add("ann");
    t.authd().open_setup().expect("a link").expect("no admin");
    let cut = format!("?token={}", &t.mailed_reset("ann")[..20]);
    for query in ["", "?", "?utm_source=x", "?token=", "?token=<script>", &cut] {
        for path in ["/reset", "/verify", "/setup", "/register"] {
            let opened = t.ask(Method::GET, &format!("{path}{query}")).send();
            let shown = match opened.status {
                303 => t
                    .ask(Method::GET, opened.header("location").expect("a path"))
                    .send(),
                _ => opened,
            };
            assert!(
                matches!(shown.status, 400 | 403),
                "{path}{query}: {}",
                shown.status
            );
            assert!(!shown.text().contains("<script>"), "{path}{query}");
        }
    }
    // It is not clear which of the two the client means.
    let twice = t.ask(Method::GET, "/reset?token=a&token=b").send();
    assert_eq!(twice.status, 400);
}

#[test] // fault 48
fn a_token_that_was_copied_with_spaces_works() {
    let t = Harness::new();
    t.add("ann");
    let token = t.mailed_reset("ann");
    t.reset(&format!(" {token}\r\n"), NEW_PASSWORD).gives(204);
    t.try_sign_in(LAPTOP, &email("ann"), NEW_PASSWORD).issued();
}

#[test]
fn a_refused_query_names_the_parameter() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    for (query, words) in [
        ("limit=0", "`limit` must be 1 to 1000"),
        ("limit=x", "`limit`: invalid digit found in string"),
        (
            "before=",
            "`before`: cannot parse integer from empty string",
        ),
        ("limit=1&before=2&limit=3", "`limit` is there twice"),
        (
            "after=1",
            "unknown field `after`, expected `before` or `limit`",
        ),
    ] {
        let path = format!("/v1/account/events?{query}");
        let refused = t.with_token(&ann, Method::GET, &path).send();
        let detail = refused.refused("invalid_request")["detail"].clone();
        assert_eq!(detail, format!("The query is not valid: {words}."));
    }
}

#[test]
fn a_query_of_the_api_is_read_strictly() {
    let t = Harness::new();
    let laptop = t.sign_in("ann");
    let phone = t.sign_in_on(PHONE, "ann");
    t.unchanged(|| {
        for query in [
            "except=",
            "except=all",
            "except=Current",
            "except",
            "except=current&except=current",
            "except=current&x=1",
            "excpet=current",
            "except=current%00",
        ] {
            let path = format!("/v1/sessions?{query}");
            let answer = t.with_token(&laptop, Method::DELETE, &path).send();
            assert_eq!(answer.refused("invalid_request")["status"], 400, "{query}");
        }
    });
    let path = "/v1/sessions?&except=%63urrent&";
    let ended = t
        .with_token(&laptop, Method::DELETE, path)
        .send()
        .gives(200);
    assert_eq!(ended["revoked"], 1);
    assert!(t.is_open(&laptop) && !t.is_open(&phone));
}
