//! Groups, for an administrator.

use askama::Template;

use super::accounts::AccountRow;
use crate::http::pages::view::parts::{Confirmation, Empty, Field, Pager};
use crate::http::pages::view::{AdminSection, FieldError, Markup, Section, Shell, view};

const SECTION: Section = Section::Administration(AdminSection::Groups);

/// A group in the list.
#[derive(Clone, Copy)]
pub struct GroupRow<'a> {
    pub name: &'a str,
    pub members: u64,
}

/// `GET` and `POST /admin/groups`: field `name`.
#[derive(Template)]
#[template(path = "pages/admin/groups.html")]
pub struct Groups<'a> {
    pub shell: &'a Shell<'a>,
    pub groups: Vec<GroupRow<'a>>,
    /// The name that was typed.
    pub name: &'a str,
    pub first_page: Option<&'a str>,
    pub next_page: Option<&'a str>,
    pub errors: Vec<FieldError>,
}

view!(Groups, title: |it, t| t.groups(), section: SECTION, errors: errors);

impl Groups<'_> {
    fn pager(&self) -> Pager<'_> {
        let t = self.shell.language;
        Pager {
            t,
            first: self.first_page,
            next: self.next_page,
            next_words: t.next_page(),
        }
    }
}

/// `GET /admin/groups/{name}`. Its forms post `login` to `/admin/groups/{name}/add`, and `account` (an id) to
/// `/admin/groups/{name}/remove`.
#[derive(Template)]
#[template(path = "pages/admin/group.html")]
pub struct Group<'a> {
    pub shell: &'a Shell<'a>,
    pub name: &'a str,
    pub members: Vec<AccountRow<'a>>,
    /// The login that was typed.
    pub login: &'a str,
    pub first_page: Option<&'a str>,
    pub next_page: Option<&'a str>,
    pub errors: Vec<FieldError>,
}

view!(Group, title: |it, t| it.name, section: SECTION, errors: errors);

impl Group<'_> {
    fn pager(&self) -> Pager<'_> {
        let t = self.shell.language;
        Pager {
            t,
            first: self.first_page,
            next: self.next_page,
            next_words: t.next_page(),
        }
    }
}

/// `GET` and `POST /admin/groups/{name}/delete`.
#[derive(Template)]
#[template(path = "pages/confirmation.html")]
pub struct DeleteGroup<'a> {
    pub shell: &'a Shell<'a>,
    pub name: &'a str,
    pub members: u64,
}

view!(DeleteGroup, title: |it, t| t.confirm_group_title(), section: SECTION);

impl DeleteGroup<'_> {
    fn confirmation(&self) -> Markup {
        let t = self.shell.language;
        let back = format!("/admin/groups/{}", self.name);
        Confirmation {
            shell: self.shell,
            t,
            action: &format!("{back}/delete"),
            subject: Some(self.name),
            consequences: vec![
                t.confirm_group_members(self.members),
                t.confirm_group_what().into(),
                t.delete_for_good().into(),
            ],
            buttons: vec![("", t.delete_group())],
            is_dangerous: true,
            typed: None,
            errors: &[],
            back: &back,
        }
        .markup()
    }
}
