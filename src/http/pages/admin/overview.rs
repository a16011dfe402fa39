//! The first page of the administration: what needs attention, and where everything is.

use crate::http::error::HttpError;
use crate::http::pages::view::admin::Overview;
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::Administration;

pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let authd = administration.authd();
    let locked = authd.locked_accounts()?.len();
    let invitations = authd.invitations()?;
    let open = invitations.iter().filter(|it| it.state == "open").count();
    Ok(visitor.show(&Overview {
        shell: &visitor.shell(),
        locked_accounts: u64::try_from(locked).unwrap_or(u64::MAX),
        failing_messages: authd.failing_messages()?.into(),
        open_invitations: u64::try_from(open).unwrap_or(u64::MAX),
    }))
}
