//! The front page: mail and apps name the server's address, and people open it.

use crate::http::error::HttpError;
use crate::http::response::Response;
use crate::http::route::Call;

pub(in crate::http) fn show(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    let policy = call.authd.policy();
    let issuer = &policy.issuer;
    let forgotten = match policy.sends_mail {
        true => format!(
            "Do you need a new password? The app that you sign in to can have a link mailed to you. So can this command, \
             with your address in it:\n\n\
             curl -sS {issuer}/v1/password-reset -H 'Content-Type: application/json' -d '{{\"email\":\"you@example.org\"}}'\n"
        ),
        false => "Do you need a new password? The operator of this server can give you a link to choose one.\n".to_owned(),
    };
    Ok(Response::text(
        200,
        &format!(
            "This is {issuer}: accounts and sessions for apps, by authd.\n\n{forgotten}\n\
             For programs: {issuer}/openapi.json\n"
        ),
    ))
}
