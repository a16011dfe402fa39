//! Events, outgoing mail, locked accounts, keys and settings.

use authd::http::SettingInForce;

use super::{administrator, page_of};
use crate::harness::{Harness, LAPTOP, PASSWORD, PHONE, THIEF, email, minutes};

#[test]
fn events_are_filtered_by_account_kind_and_address() {
    let t = Harness::new();
    t.add("ann");
    t.add("bob");
    t.try_sign_in(THIEF, &email("ann"), "wrong wrong wrong");
    t.sign_in_on(PHONE, "bob");
    let mut browser = administrator(&t, "root");
    let page = browser.open("/admin/events");
    page.says(200, THIEF.ip);
    page.says(200, PHONE.ip);
    let page = browser.open("/admin/events?account=ann&kind=sign_in_failed");
    page.says(200, THIEF.ip);
    page.says(200, "<option value=\"sign_in_failed\" selected>");
    assert!(!page.text().contains(PHONE.ip));
    let page = browser.open(&format!("/admin/events?ip={}", PHONE.ip));
    assert!(!page.text().contains(THIEF.ip));
    let ann = page_of(&t, "ann");
    let id = ann.rsplit('/').next().expect("an id");
    browser
        .open(&format!("/admin/events?account={id}"))
        .says(200, &format!("href=\"{ann}\""));
    browser
        .open("/admin/events?kind=group_deleted")
        .says(200, "Nothing matches these filters");
    for (query, field) in [
        ("account=nobody@example.org", "account"),
        ("kind=nonsense", "kind"),
        ("ip=192.0.2", "ip"),
    ] {
        let page = browser.open(&format!("/admin/events?{query}"));
        page.says(422, &format!("href=\"#{field}\""));
    }
}

#[test]
fn events_come_page_by_page_and_keep_their_filters() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..30 {
        t.sign_in("ann");
    }
    let mut browser = administrator(&t, "root");
    let page = browser.open("/admin/events?account=ann&kind=sign_in");
    assert_eq!(page.text().matches("<li class=").count(), 25);
    let text = page.text();
    let (_, rest) = text.split_once("rel=\"next\" href=\"").expect("older ones");
    let (address, _) = rest.split_once('"').expect("an address");
    let address = address.replace("&#38;", "&");
    assert!(address.starts_with("/admin/events?account=ann&kind=sign_in&before="));
    let page = browser.open(&address);
    assert_eq!(page.text().matches("<li class=").count(), 5);
    page.says(200, "Back to the start");
}

#[test]
fn a_message_that_failed_is_sent_again_or_deleted() {
    let t = Harness::new();
    t.add("ann");
    t.post_office.refuse(false);
    t.ask_for_reset(&email("ann")).gives(202);
    t.mail();
    let mut browser = administrator(&t, "root");
    browser
        .open("/admin")
        .says(200, "1 message could not be sent yet");
    let page = browser.open("/admin/outbox");
    page.says(200, "451 not now");
    page.says(200, &email("ann"));
    let id = t.number("SELECT id FROM outbox").to_string();
    // The next try is in the future, and then it is now.
    assert_eq!(due(&t), 1);
    let page = browser.send(&page, "/admin/outbox/send", &[("message", &id)]);
    page.says(200, "The message is sent again now");
    assert_eq!(due(&t), 0);

    let path = format!("/admin/outbox/{id}/delete");
    let page = browser.open(&path);
    page.says(200, "a link in it never works");
    let done = browser.send(&page, &path, &[]);
    assert_eq!(done.path, "/admin/outbox");
    done.says(200, "No message waits");
    for gone in [id.as_str(), "nonsense", "999999"] {
        let values = [
            ("form_token", page.form_token()),
            ("message", gone.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        browser.post("/admin/outbox/send", &values);
        browser
            .open("/admin/outbox")
            .says(200, "This message no longer waits");
    }
    assert_eq!(browser.open(&path).path, "/admin/outbox");
    let page = browser.open("/admin/events?kind=mail_deleted");
    page.says(200, "A message that waited was deleted");
}

/// Messages that are due later than now.
fn due(t: &Harness) -> i64 {
    let now = t.clock.wall().as_unix();
    t.number(&format!("SELECT count(*) FROM outbox WHERE due_at > {now}"))
}

#[test]
fn a_locked_account_is_unlocked() {
    let t = Harness::new();
    t.add("ann");
    for _ in 0..100 {
        t.try_sign_in(THIEF, &email("ann"), "wrong wrong wrong");
        t.clock.advance(minutes(5));
    }
    t.try_sign_in(LAPTOP, &email("ann"), PASSWORD)
        .refused("invalid_credentials");
    let mut browser = administrator(&t, "root");
    browser
        .open("/admin")
        .says(200, "1 account is locked after wrong passwords");
    let page = browser.open("/admin/locked");
    page.says(200, &email("ann"));
    page.says(200, "100 wrong passwords");
    page.says(200, THIEF.ip);
    let ann = page_of(&t, "ann");
    browser.open(&ann).says(200, "Locked until");
    let id = ann.rsplit('/').next().expect("an id");
    let page = browser.send(&page, "/admin/locked/unlock", &[("account", id)]);
    page.says(200, "No account is locked");
    t.sign_in("ann");
}

#[test]
fn the_signing_key_is_rotated() {
    let t = Harness::new();
    let mut browser = administrator(&t, "root");
    let page = browser.open("/admin/keys");
    page.says(200, "Signing");
    assert!(!page.text().contains(">Next<"));
    let page = browser.open("/admin/keys/rotate");
    let page = browser.send(&page, "/admin/keys/rotate", &[]);
    assert_eq!(page.path, "/admin/keys");
    page.says(200, ">Next<");
    assert_eq!(t.authd().signing_keys().expect("keys").len(), 2);
}

#[test]
fn the_settings_in_force_are_shown_with_their_sources() {
    let setting = |name: &str, value: &str, source: &str| SettingInForce {
        name: name.to_owned(),
        value: value.to_owned(),
        source: source.to_owned(),
        description: "What it sets.".to_owned(),
    };
    let t = Harness::with(|terms| {
        terms.settings.in_force = vec![
            setting("registration", "invite", "authd.toml, line 3"),
            setting("brand_name", "", "default"),
            setting(
                "smtp_url",
                "smtps://<hidden>@mail.example.org",
                "AUTHD_SMTP_URL",
            ),
        ];
    });
    let mut browser = administrator(&t, "root");
    let page = browser.open("/admin/settings");
    page.says(200, "authd.toml, line 3");
    page.says(200, "smtps://&#60;hidden&#62;@mail.example.org");
    page.says(200, "<span class=\"quiet\">empty</span>");
}
