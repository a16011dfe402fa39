//! Answers to authorization requests (RFC 6749 §4.1.2), and the ways in which a browser carries them to the app.

/// How an answer is sent (OAuth 2.0 Multiple Response Types §2.1, OAuth 2.0 Form Post Response Mode).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseMode {
    /// In the query of the redirect address.
    Query,
    /// In its fragment.
    Fragment,
    /// In a form that the browser sends there.
    FormPost,
}

impl ResponseMode {
    /// All of them.
    pub const ALL: [ResponseMode; 3] = [
        ResponseMode::Query,
        ResponseMode::Fragment,
        ResponseMode::FormPost,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            ResponseMode::Query => "query",
            ResponseMode::Fragment => "fragment",
            ResponseMode::FormPost => "form_post",
        }
    }

    /// The mode of this name.
    pub fn read(text: &str) -> Option<ResponseMode> {
        ResponseMode::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

/// What the browser carries to the app.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where to.
    pub redirect_uri: String,
    /// How.
    pub mode: ResponseMode,
    /// What.
    pub parameters: Vec<(&'static str, String)>,
}

impl Answer {
    /// A code. `iss` lets the app see that the answer is of the server that it asked (RFC 9207, req 51).
    pub fn code(
        issuer: &str,
        redirect_uri: &str,
        mode: ResponseMode,
        state: Option<String>,
        code: String,
    ) -> Answer {
        Answer::new(issuer, redirect_uri, mode, state, vec![("code", code)])
    }

    /// An error with a sentence for the app's developer, in the characters that RFC 6749 §4.1.2.1 allows.
    pub fn error(
        issuer: &str,
        redirect_uri: &str,
        mode: ResponseMode,
        state: Option<String>,
        error: &'static str,
        description: &str,
    ) -> Answer {
        let parameters = vec![
            ("error", error.to_owned()),
            ("error_description", plain(description)),
        ];
        Answer::new(issuer, redirect_uri, mode, state, parameters)
    }

    fn new(
        issuer: &str,
        redirect_uri: &str,
        mode: ResponseMode,
        state: Option<String>,
        mut parameters: Vec<(&'static str, String)>,
    ) -> Answer {
        parameters.extend(state.map(|state| ("state", state)));
        parameters.push(("iss", issuer.to_owned()));
        Answer {
            redirect_uri: redirect_uri.to_owned(),
            mode,
            parameters,
        }
    }

    /// The address with the answer in it, for the modes `query` and `fragment`. The registered query is kept (RFC 6749 §3.1.2).
    pub fn location(&self) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(&self.parameters);
        let separator = match (self.mode, self.redirect_uri.contains('?')) {
            (ResponseMode::Fragment, _) => '#',
            (_, true) => '&',
            (_, false) => '?',
        };
        format!("{}{separator}{}", self.redirect_uri, pairs.finish())
    }
}

/// The text in printable ASCII without `"` and `\` (RFC 6749 §5.2).
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' | '`' => '\'',
            '\\' => '/',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_the_address_and_the_state() {
        let state = "a b&c=d#e\r\nSet-Cookie: x".to_owned();
        let answer = |uri: &str, mode| {
            let answer = Answer::code(
                "https://auth.example.org",
                uri,
                mode,
                Some(state.clone()),
                "ac_1".into(),
            );
            answer.location()
        };
        let pairs = "code=ac_1&state=a+b%26c%3Dd%23e%0D%0ASet-Cookie%3A+x&iss=https%3A%2F%2Fauth.example.org";
        let query = ResponseMode::Query;
        assert_eq!(
            answer("https://app.example/cb", query),
            format!("https://app.example/cb?{pairs}")
        );
        assert_eq!(
            answer("https://app.example/cb?a=b", query),
            format!("https://app.example/cb?a=b&{pairs}")
        );
        assert_eq!(
            answer("https://app.example", ResponseMode::Fragment),
            format!("https://app.example#{pairs}")
        );
        assert_eq!(
            answer("app.immich:///cb", query),
            format!("app.immich:///cb?{pairs}")
        );
    }

    #[test] // RFC 6749 §4.1.2.1
    fn a_description_has_the_characters_that_it_may_have() {
        assert_eq!(plain("say \"no\"\\ü\n`x`"), "say 'no'/??'x'");
    }
}
