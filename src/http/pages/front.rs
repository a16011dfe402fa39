//! What somebody sees who opens the server's own address: letters name it, and apps do.

use crate::http::api::problem::Problem;
use crate::http::response::Response;
use crate::http::route::Call;

pub(in crate::http) fn show(call: &Call<'_>) -> Result<Response, Problem> {
    let policy = call.authd.policy();
    let issuer = &policy.issuer;
    let forgotten = match policy.sends_mail {
        true => format!(
            "Do you need a new password? The app that you sign in to can have a link mailed to you, and so can this \
             line, after putting in your address:\n\n\
             curl -sS {issuer}/v1/password-reset -H 'Content-Type: application/json' -d '{{\"email\":\"you@example.org\"}}'\n"
        ),
        false => "Do you need a new password? Whoever runs this server can give you a link to choose one.\n".to_owned(),
    };
    Ok(Response::text(
        200,
        &format!(
            "This is {issuer}: accounts and sessions for apps, by authd.\n\n{forgotten}\n\
             For programs: {issuer}/openapi.json\n"
        ),
    ))
}
