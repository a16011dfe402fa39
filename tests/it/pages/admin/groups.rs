//! Groups in the administration.

use super::{administrator, page_of};
use crate::harness::{Harness, account};

#[test]
fn a_group_is_made_filled_emptied_and_deleted() {
    let t = Harness::new();
    t.add("ann");
    let mut browser = administrator(&t, "root");
    let page = browser.open("/admin/groups");
    page.says(200, "No group");
    for name in ["", "Staff", "two words", "<b>"] {
        let page = t.unchanged(|| browser.send(&page, "/admin/groups", &[("name", name)]));
        page.says(422, "href=\"#name\"");
    }
    let page = browser.send(&page, "/admin/groups", &[("name", "staff")]);
    assert_eq!(page.path, "/admin/groups/staff");
    let list = browser.open("/admin/groups");
    browser
        .send(&list, "/admin/groups", &[("name", "staff")])
        .says(422, "A group with this name already exists");

    for login in ["", "nobody@example.org"] {
        let page = browser.send(&page, "/admin/groups/staff/add", &[("login", login)]);
        page.says(422, "href=\"#login\"");
    }
    let page = browser.send(&page, "/admin/groups/staff/add", &[("login", "ann")]);
    page.says(200, "<bdi>ann@example.org</bdi>");
    browser.open("/admin/groups").says(200, "1 member");
    let ann = t.authd().find_account(&account("ann")).expect("ann");
    assert_eq!(ann.groups, ["staff"]);

    let id = ann.account.id.to_string();
    let page = browser.send(&page, "/admin/groups/staff/remove", &[("account", &id)]);
    page.says(200, "No member");
    let page = browser.send(&page, "/admin/groups/staff/add", &[("login", "ann")]);
    assert_eq!(page.path, "/admin/groups/staff");
    let page = browser.open("/admin/groups/staff/delete");
    page.says(200, "One account leaves the group");
    for _ in 0..2 {
        let page = browser.send(&page, "/admin/groups/staff/delete", &[]);
        assert_eq!(page.path, "/admin/groups");
    }
    assert_eq!(browser.open("/admin/groups/staff").answer.status, 404);
    assert_eq!(
        browser.open("/admin/groups/staff/delete").answer.status,
        404
    );
}

#[test]
fn the_groups_of_an_account_are_changed_on_its_page() {
    let t = Harness::new();
    t.add("ann");
    for number in 0..33 {
        let name = format!("group-{number:02}");
        t.operator().add_group(&name).expect("a group");
    }
    let mut browser = administrator(&t, "root");
    let ann = page_of(&t, "ann");
    let mut page = browser.open(&ann);
    let add = format!("{ann}/groups/add");
    for number in 0..32 {
        let name = format!("group-{number:02}");
        page = browser.send(&page, &add, &[("group", &name)]);
        assert_eq!(page.path, ann, "{}", page.text());
    }
    browser
        .send(&page, &add, &[("group", "group-32")])
        .says(422, "32");
    browser
        .send(&page, &add, &[("group", "nonsense")])
        .says(422, "There is no group of this name");
    let remove = format!("{ann}/groups/remove");
    let page = browser.send(&page, &remove, &[("group", "group-00")]);
    page.says(200, "<option>group-00</option>");
}

#[test] // a page stays small however many groups there are
fn many_groups_are_typed_and_listed_page_by_page() {
    let t = Harness::new();
    t.add("ann");
    for number in 0..101 {
        let name = format!("group-{number:03}");
        t.operator().add_group(&name).expect("a group");
    }
    let mut browser = administrator(&t, "root");
    let first = browser.open("/admin/groups");
    first.says(200, "/admin/groups?after=25");
    assert!(!first.text().contains("group-025"));
    browser
        .open("/admin/groups?after=100")
        .says(200, "group-100");
    let ann = page_of(&t, "ann");
    let page = browser.open(&ann);
    assert!(!page.text().contains("<option>"));
    let page = browser.send(
        &page,
        &format!("{ann}/groups/add"),
        &[("group", "group-077")],
    );
    page.says(200, "href=\"/admin/groups/group-077\"");
}

#[test]
fn the_members_of_a_large_group_come_page_by_page() {
    let t = Harness::new();
    t.operator().add_group("staff").expect("a group");
    for number in 0..30 {
        let name = format!("user{number:02}");
        t.add(&name);
        t.operator()
            .grant_group("staff", &account(&name))
            .expect("an account");
    }
    let mut browser = administrator(&t, "root");
    let page = browser.open("/admin/groups/staff");
    let text = page.text();
    let (_, rest) = text
        .split_once("rel=\"next\" href=\"")
        .expect("a next page");
    let (address, _) = rest.split_once('"').expect("an address");
    let second = browser.open(address);
    second.says(200, "user29@example.org");
    assert!(!second.text().contains("user24@example.org"));
    let page = browser.open("/admin/groups/staff?after=~nonsense");
    assert_eq!(page.path, "/admin/groups/staff");
}
