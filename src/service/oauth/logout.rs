//! Sign-outs that an app asks for (OpenID Connect RP-Initiated Logout 1.0).
//!
//! An ID token of this server shows that the app signed the person in here. With one, for the account and the session of the
//! browser, the sign-out happens at once. With anything less, the person is asked (req 53): every page of the web could
//! otherwise sign people out. And only with one does the browser go on to an address of the app.

use std::sync::Arc;

use crate::ids::{AccountId, SessionId};
use crate::service::oauth::client::Client;
use crate::service::{Authd, Browser, Error};

/// The longest `state`, in bytes.
const LONGEST_STATE: usize = 2048;

/// What came with a request for a sign-out.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogoutParameters<'a> {
    /// An ID token that the app got, expired or not.
    pub id_token_hint: Option<&'a str>,
    /// The app.
    pub client_id: Option<&'a str>,
    /// Where to go on to.
    pub post_logout_redirect_uri: Option<&'a str>,
    /// What the app wants back there.
    pub state: Option<&'a str>,
}

/// A request for a sign-out that was understood.
#[derive(Clone, Debug)]
pub struct LogoutRequest {
    /// The app, if it is known.
    pub client: Option<Arc<Client>>,
    /// Where the browser goes on to afterwards.
    pub destination: Option<String>,
    /// The account and the session of the ID token.
    hint: Option<(AccountId, Option<SessionId>)>,
}

impl Authd {
    /// Reads a request for a sign-out. What is wrong with it is ignored: the person is asked then, and stays here.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn read_logout(&self, parameters: &LogoutParameters<'_>) -> Result<LogoutRequest, Error> {
        let hint = match parameters.id_token_hint {
            Some(token) => self.read_id_token_hint(token)?,
            None => None,
        };
        // A client_id that is not the token's is another app's.
        let hint = hint.filter(|hint| parameters.client_id.is_none_or(|id| id == hint.aud));
        let client_id = hint
            .as_ref()
            .map(|hint| hint.aud.as_str())
            .or(parameters.client_id);
        let client = match client_id {
            Some(id) => self.client(id)?,
            None => None,
        };
        let hint = hint.and_then(|hint| {
            let session = hint.sid.and_then(|sid| sid.parse().ok());
            Some((hint.sub.parse().ok()?, session))
        });
        let uri = parameters.post_logout_redirect_uri.filter(|uri| {
            let client = client.as_ref().filter(|_| hint.is_some());
            client.is_some_and(|client| client.has_post_logout_redirect_uri(uri))
        });
        let state = parameters
            .state
            .filter(|state| state.len() <= LONGEST_STATE);
        Ok(LogoutRequest {
            destination: uri.map(|uri| with_state(uri, state)),
            client,
            hint,
        })
    }
}

impl LogoutRequest {
    /// Whether the person need not be asked: the app shows an ID token of the account and the session of this browser.
    pub fn is_of(&self, browser: &Browser) -> bool {
        self.hint.is_some_and(|(account, session)| {
            account == browser.actor.account
                && session.is_none_or(|session| session == browser.actor.session)
        })
    }
}

/// The address with the state in its query, and nothing else (RP-Initiated Logout §3).
fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state else {
        return uri.to_owned();
    };
    let mut pair = form_urlencoded::Serializer::new(String::new());
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!(
        "{uri}{separator}{}",
        pair.append_pair("state", state).finish()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_added_to_the_registered_address() {
        let state = "a!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ b";
        for (uri, separator) in [
            ("https://a.example/out", '?'),
            ("https://a.example/?x=1", '&'),
        ] {
            let address = with_state(uri, Some(state));
            let (start, pair) = address.split_at(uri.len());
            assert_eq!(start, uri);
            assert!(pair.starts_with(separator));
            let read: Vec<_> = form_urlencoded::parse(&pair.as_bytes()[1..])
                .into_owned()
                .collect();
            assert_eq!(read, [("state".to_owned(), state.to_owned())]);
            assert_eq!(with_state(uri, None), uri);
        }
    }
}
