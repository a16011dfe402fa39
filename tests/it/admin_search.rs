//! Lists of accounts: complete, stable, and read by their indexes however many accounts there are.

use authd::http::Method;
use authd::service::{AccountFilter, AccountPage, AccountQuery, NewAccount};
use serde_json::Value;

use crate::harness::*;
use crate::portable_sql::statements_of;

fn add(t: &Harness, email: &str, username: Option<&str>, name: Option<&str>) {
    let account = NewAccount {
        email: email.to_owned(),
        username: username.map(str::to_owned),
        name: name.map(str::to_owned),
        admin: false,
        temporary: false,
    };
    t.operator().add_account(account, None).expect(email);
}

fn search(text: &str) -> AccountQuery {
    AccountQuery {
        search: Some(text.to_owned()),
        ..AccountQuery::default()
    }
}

fn emails(page: &AccountPage) -> Vec<String> {
    let accounts = page.accounts.iter();
    accounts
        .map(|listed| listed.account.email.clone())
        .collect()
}

fn found(t: &Harness, text: &str) -> Vec<String> {
    emails(&t.authd().accounts(&search(text)).expect(text))
}

/// All accounts of a list, read in pages of `limit`, with something done between two pages.
fn all_pages(
    t: &Harness,
    query: &AccountQuery,
    limit: u32,
    mut between: impl FnMut(usize),
) -> Vec<String> {
    let mut query = AccountQuery {
        limit,
        ..query.clone()
    };
    let mut seen = Vec::new();
    for number in 0.. {
        let page = t.authd().accounts(&query).expect("a page");
        assert!(page.accounts.len() <= limit as usize);
        seen.extend(emails(&page));
        match page.next {
            None => break,
            next => query.after = next,
        }
        // Not for ever, or the last page would never come.
        if number < 10 {
            between(number);
        }
    }
    seen
}

/// Accounts by SQL, as many as `count`.
fn fill(t: &Harness, count: u32) {
    t.execute(&format!(
        "INSERT INTO account (public_id, email, email_key, username, username_key, name, name_key, admin, \
             password_temporary, created_at, disabled_at, email_verified_at) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         SELECT randomblob(16), 'user' || i || '@example.com', 'user' || i || '@example.com', 'u' || i, 'u' || i, \
             'Person ' || i, 'person ' || i, 0, 0, 0, CASE WHEN i % 100 = 0 THEN 1 END, CASE WHEN i % 2 = 0 THEN 1 END \
         FROM n"
    ));
}

#[test]
fn a_text_is_found_at_the_beginning_first() {
    let t = Harness::new();
    add(&t, "bob@ann.example", Some("bobby"), None);
    add(&t, "zoe@example.org", None, Some("Joanna"));
    add(&t, "x@example.org", None, Some("Anna Karenina"));
    add(&t, "y@example.org", Some("annika"), Some("Ann of Y"));
    add(&t, "ann@example.org", Some("ann"), Some("Ann"));
    add(&t, "Anna@example.org", None, Some("Zed"));
    assert_eq!(
        found(&t, "ANN"),
        [
            "ann@example.org",
            "Anna@example.org",
            "y@example.org",
            "x@example.org",
            "bob@ann.example",
            "zoe@example.org"
        ]
    );
    assert_eq!(found(&t, " anna k"), ["x@example.org"]);
    assert_eq!(found(&t, "karenina"), ["x@example.org"]);
    assert_eq!(found(&t, "ann@example.org"), ["ann@example.org"]);
    assert_eq!(found(&t, "example").len(), 6);
    assert_eq!(found(&t, "nobody"), [""; 0]);
    let id = t
        .authd()
        .find_account(&account("ann"))
        .expect("ann")
        .account
        .id;
    assert_eq!(found(&t, &id.to_string()), ["ann@example.org"]);
    assert_eq!(found(&t, "00000000-0000-4000-8000-000000000000"), [""; 0]);
}

#[test] // one form of each name, however it is typed
fn names_are_compared_in_their_folded_form() {
    let t = Harness::new();
    add(&t, "e@example.org", None, Some("Élodie Straße"));
    add(&t, "m@example.org", Some("мария"), Some("ﬁn"));
    for text in ["élodie", "E\u{301}LODIE", "STRASSE", "straße"] {
        assert_eq!(found(&t, text), ["e@example.org"], "{text}");
    }
    for text in ["МАРИЯ", "FIN", "ﬁ"] {
        assert_eq!(found(&t, text), ["m@example.org"], "{text}");
    }
    // A name that is changed is found by the new one alone.
    let id = t.authd().find_account(&account("e")).expect("e").account.id;
    let change = authd::service::AccountChange {
        name: Some("Zazie".to_owned()),
        ..Default::default()
    };
    let selector = authd::service::Selector::Id(id);
    t.operator().update_account(&selector, &change).expect("e");
    assert_eq!(found(&t, "zaz"), ["e@example.org"]);
    assert_eq!(found(&t, "lodie"), [""; 0]);
}

#[test] // CWE-943: a wildcard is a character like any other
fn a_search_text_is_not_interpreted() {
    let t = Harness::new();
    add(&t, "a_b@example.org", None, Some("100% \\ pure"));
    add(&t, "axb@example.org", None, Some("\u{202e}evil"));
    let longest = format!(
        "{}@{}.{}.example.org",
        "a".repeat(64),
        "b".repeat(63),
        "c".repeat(63)
    );
    let longest = format!("{longest}.{}", "d".repeat(254 - longest.len() - 1));
    assert_eq!(longest.len(), 254);
    add(&t, &longest, None, None);
    assert_eq!(found(&t, "a_b"), ["a_b@example.org"]);
    assert_eq!(found(&t, "_b@"), ["a_b@example.org"]);
    assert_eq!(found(&t, "%"), ["a_b@example.org"]);
    assert_eq!(found(&t, "0%"), ["a_b@example.org"]);
    assert_eq!(found(&t, "\\"), ["a_b@example.org"]);
    assert_eq!(found(&t, "\u{202e}"), ["axb@example.org"]);
    assert_eq!(found(&t, &longest), [longest.as_str()]);
    assert_eq!(found(&t, &longest[10..]), [longest.as_str()]);
    for nothing in [
        "\0",
        "a\0",
        "%\0%",
        "\u{7f}",
        "'; DROP TABLE account; --",
        "\u{10ffff}",
    ] {
        assert_eq!(found(&t, nothing), [""; 0], "{nothing:?}");
    }
    // An empty text searches nothing.
    assert_eq!(found(&t, "  ").len(), 3);
    assert!(t.authd().accounts(&search(&"a".repeat(255))).is_err());
    assert!(t.authd().accounts(&search(&"ﷺ".repeat(254))).is_ok());
}

#[test]
fn the_interface_takes_hostile_queries() {
    let t = Harness::new();
    let root = t.administrator("root");
    let ask = |query: &str| {
        let path = format!("/v1/admin/accounts?{query}");
        t.with_token(&root, Method::GET, &path).send()
    };
    t.unchanged(|| {
        for query in [
            "search=%25",
            "search=%00",
            "search=%E2%80%AE",
            "search=_",
            "search=",
        ] {
            ask(query).gives(200);
        }
        let long = format!("search={}", "a".repeat(255));
        for query in [
            &long,
            "after=x%00",
            "after=~",
            "after=~AAAA",
            "after=~aQ&search=x",
            "limit=0",
            "limit=1001",
            "limit=-1",
            "status=odd",
            "order=odd",
            "search=a&search=b",
        ] {
            let answer = ask(query);
            assert!(
                matches!(answer.status, 400 | 404),
                "{query} {}",
                answer.text()
            );
        }
    });
}

#[test]
fn each_account_is_on_one_page_while_accounts_are_added() {
    let t = Harness::new();
    for i in 0..30 {
        let (email, name) = match i % 4 {
            0 => (format!("kim{i}@example.org"), format!("N{i}")),
            1 => (format!("a{i}@example.org"), "Kim".to_owned()),
            2 => (format!("b{i}@example.org"), format!("x kim {i}")),
            _ => (format!("c{i}@kim.example"), format!("N{i}")),
        };
        let username = (i % 5 == 0).then(|| format!("kim-{i}"));
        add(&t, &email, username.as_deref(), Some(&name));
    }
    let before = found(&t, "kim");
    assert_eq!(before.len(), 30);
    for limit in [1, 2, 7, 29, 30, 1000] {
        let added = |number: usize| {
            for form in ["a", "kim", "zz"] {
                let name = format!("{form}-{limit}-{number}");
                add(&t, &email(&name), None, Some("Kim"));
            }
        };
        let mut seen = all_pages(&t, &search("kim"), limit, added);
        let count = seen.len();
        seen.retain(|email| before.contains(email));
        seen.sort();
        let mut expected = before.clone();
        expected.sort();
        assert_eq!(seen, expected, "limit {limit}: {count} in all");
    }
    let query = AccountQuery::default();
    let added = |number: usize| add(&t, &email(&format!("late{number}")), None, None);
    let seen = all_pages(
        &t,
        &AccountQuery {
            newest_first: true,
            ..query.clone()
        },
        7,
        added,
    );
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "none is there twice");
    assert!(before.iter().all(|email| seen.contains(email)));
    let mut oldest_first = all_pages(&t, &query, 7, |_| {});
    oldest_first.reverse();
    assert!(
        oldest_first.ends_with(&seen),
        "the orders are each other's mirror"
    );
}

#[test]
fn a_list_of_a_state_or_a_group_is_paged_and_searched() {
    let t = Harness::new();
    t.add_administrator("root");
    fill(&t, 1000);
    t.operator().add_group("staff").expect("a group");
    for i in [3, 500, 900] {
        let member = authd::service::Selector::Login(format!("u{i}"));
        t.operator()
            .grant_group("staff", &member)
            .expect("a member");
    }
    let of = |filter: &AccountFilter, text: Option<&str>, newest_first| {
        let query = AccountQuery {
            filter: filter.clone(),
            search: text.map(str::to_owned),
            newest_first,
            ..AccountQuery::default()
        };
        all_pages(&t, &query, 2, |_| {})
    };
    let count = |filter, text| {
        let found = of(&filter, text, false).len();
        assert_eq!(of(&filter, text, true).len(), found, "{filter:?} {text:?}");
        found
    };
    let staff = || AccountFilter::Group("staff".to_owned());
    assert_eq!(count(AccountFilter::All, None), 1001);
    assert_eq!(count(AccountFilter::Administrators, None), 1);
    assert_eq!(count(AccountFilter::Disabled, None), 10);
    assert_eq!(count(AccountFilter::Unverified, None), 501);
    assert_eq!(count(staff(), None), 3);
    assert_eq!(count(AccountFilter::Disabled, Some("user9")), 1);
    assert_eq!(count(AccountFilter::Unverified, Some("person 99")), 6);
    assert_eq!(count(AccountFilter::Administrators, Some("oo")), 1);
    assert_eq!(count(staff(), Some("00")), 2);
    assert_eq!(count(staff(), Some("nobody")), 0);
    assert_eq!(of(&staff(), None, true)[0], "user900@example.com");
    let missing = AccountQuery {
        filter: AccountFilter::Group("nothing".to_owned()),
        ..AccountQuery::default()
    };
    assert!(t.authd().accounts(&missing).is_err());
    // A place of another list is refused.
    let first = AccountQuery {
        limit: 1,
        ..search("user")
    };
    let next = t.authd().accounts(&first).expect("a page").next;
    let elsewhere = AccountQuery {
        after: next,
        ..AccountQuery::default()
    };
    assert!(t.authd().accounts(&elsewhere).is_err());
}

#[test] // a search reads so many accounts for one page, and says when it did not read all
fn a_search_inside_of_names_is_bounded() {
    let t = Harness::new();
    add(&t, "first@example.org", None, Some("x needle"));
    t.execute("UPDATE sqlite_sequence SET seq = 3500000 WHERE name = 'account'");
    add(&t, "last@example.org", None, Some("x needle"));
    let mut query = AccountQuery {
        search: Some("needle".to_owned()),
        limit: 10,
        ..AccountQuery::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = t.authd().accounts(&query).expect("a page");
        pages.push((emails(&page), page.is_cut));
        match page.next {
            None => break,
            next => query.after = next,
        }
    }
    let text = |name: &str| vec![email(name)];
    assert_eq!(
        pages,
        [(text("first"), true), (vec![], true), (text("last"), false)]
    );
}

#[test] // by an index however many accounts there are: no statement reads them all, nor sorts them
fn every_list_is_read_by_an_index() {
    let t = Harness::new();
    fill(&t, 100_000);
    t.execute("INSERT INTO user_group (name, created_at) VALUES ('staff', 0)");
    t.execute("INSERT INTO membership SELECT id, 1, 0 FROM account WHERE id % 10 = 0");
    for analyzed in [false, true] {
        if analyzed {
            t.sql().execute_batch("ANALYZE").expect("statistics");
        }
        let statements = statements_of("src/service/administration/search.rs");
        assert!(statements.len() >= 19, "{}", statements.len());
        for sql in &statements {
            let plan = plan_of(&t, sql);
            // The newest account is one step in the primary key.
            if sql.contains("max(id)") {
                continue;
            }
            assert!(!plan.contains("SCAN"), "{sql}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
            for (column, index) in [
                (
                    "ORDER BY a.email_key",
                    "sqlite_autoindex_account_2 (email_key>? AND email_key<?)",
                ),
                (
                    "ORDER BY a.username_key",
                    "sqlite_autoindex_account_3 (username_key>? AND username_key<?)",
                ),
                (
                    "ORDER BY a.name_key",
                    "INDEX account_name (name_key>? AND name_key<?)",
                ),
                (
                    "a.name_key = ?2",
                    "INDEX account_name (name_key=? AND id>?)",
                ),
                ("a.admin = 1", "INDEX account_administrator"),
                (
                    "a.disabled_at IS NOT NULL AND a.id",
                    "INDEX account_disabled",
                ),
                (
                    "WHERE a.email_verified_at IS NULL",
                    "INDEX account_unverified",
                ),
            ] {
                if sql.contains(column) {
                    assert!(plan.contains(index), "{sql}\n{plan}");
                }
            }
        }
    }
}

#[test] // who searches by the beginning does not wait for what is inside of a million names
fn hits_at_the_beginning_come_without_a_long_read() {
    let t = Harness::new();
    add(&t, "needle@example.org", None, None);
    add(&t, "near@example.org", None, Some("x needle"));
    t.execute("UPDATE sqlite_sequence SET seq = 60000 WHERE name = 'account'");
    add(&t, "far@example.org", None, Some("x needle"));
    let page = t.authd().accounts(&search("needle")).expect("a page");
    assert_eq!(emails(&page), ["needle", "near"].map(email));
    assert!(page.is_cut);
    let following = AccountQuery {
        after: page.next,
        ..search("needle")
    };
    let page = t.authd().accounts(&following).expect("a page");
    assert_eq!(emails(&page), ["far"].map(email));
    assert!(page.next.is_none());
}

/// How SQLite reads what a statement asks for, a step a line.
fn plan_of(t: &Harness, sql: &str) -> String {
    let connection = t.sql();
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .expect(sql);
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().expect(sql) {
        steps.push(row.get::<_, String>(3).expect("a step"));
    }
    steps.join("\n")
}

#[test]
fn the_interface_pages_to_the_end() {
    let t = Harness::new();
    let root = t.administrator("root");
    fill(&t, 120);
    let pages = |query: &str| {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/admin/accounts?{query}{after}");
            let page: Value = t.with_token(&root, Method::GET, &path).send().gives(200);
            let accounts = page["accounts"].as_array().expect("accounts");
            seen.extend(
                accounts
                    .iter()
                    .map(|one| one["email"].as_str().expect("an address").to_owned()),
            );
            match page["next"].as_str() {
                // It is a text that a query can have as it is.
                Some(next) => after = format!("&after={next}"),
                None => return seen,
            }
        }
    };
    let all = pages("");
    assert_eq!((all.len(), all[0].as_str()), (121, "user120@example.com"));
    assert_eq!(pages("order=oldest_first&limit=7")[0], email("root"));
    assert_eq!(pages("search=user1&limit=3").len(), 32);
    assert_eq!(pages("search=ser1&limit=3").len(), 32);
    assert_eq!(pages("status=disabled").len(), 1);
    assert_eq!(pages("status=administrator&limit=1"), [email("root")]);
    assert_eq!(pages("status=unverified&search=user11").len(), 6);
}
