//! A browser without a screen: it keeps cookies, follows redirects and sends the forms of a page.

use std::collections::BTreeMap;

use authd::http::Method;

use crate::harness::{Answer, Harness, ISSUER, Place};

/// A person's browser.
pub struct Browser<'t> {
    t: &'t Harness,
    place: Place,
    pub cookies: BTreeMap<String, String>,
}

/// A page that was opened.
pub struct Page {
    pub path: String,
    pub answer: Answer,
}

impl<'t> Browser<'t> {
    pub fn new(t: &'t Harness, place: Place) -> Browser<'t> {
        Browser {
            t,
            place,
            cookies: BTreeMap::new(),
        }
    }

    /// Opens an address and follows redirects.
    #[track_caller]
    pub fn open(&mut self, address: &str) -> Page {
        let mut address = address.to_owned();
        for _ in 0..8 {
            let answer = self.get(&address);
            match answer.status {
                303 => address = location(&answer),
                _ => {
                    return Page {
                        path: address,
                        answer,
                    };
                }
            }
        }
        panic!("{address} redirects without end");
    }

    /// One GET request, without following a redirect.
    pub fn get(&mut self, address: &str) -> Answer {
        let asked = self
            .ask(Method::GET, address)
            .header("sec-fetch-site", "none");
        let answer = asked.send();
        self.keep_cookies(address, &answer);
        answer
    }

    /// Fills in the form of a page that posts to `action`, sends it and follows redirects.
    #[track_caller]
    pub fn send(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let form = page.form(action);
        let mut values: Vec<(String, String)> = form
            .into_iter()
            .filter(|(name, _)| fields.iter().all(|(other, _)| other != name))
            .collect();
        let typed = fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        values.extend(typed);
        let answer = self.post(action, &values);
        match answer.status {
            303 => self.open(&location(&answer)),
            _ => Page {
                path: action.to_owned(),
                answer,
            },
        }
    }

    /// Sends a form as a page of this server does.
    pub fn post(&mut self, action: &str, values: &[(String, String)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(values)
            .finish();
        self.post_body(action, body)
    }

    /// The same by a client that percent-encodes nothing.
    pub fn post_raw(&mut self, action: &str, values: &[(String, String)]) -> Answer {
        let pairs = values.iter().map(|(name, value)| format!("{name}={value}"));
        self.post_body(action, pairs.collect::<Vec<_>>().join("&"))
    }

    fn post_body(&mut self, action: &str, body: String) -> Answer {
        let answer = self
            .ask(Method::POST, action)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", ISSUER)
            .header("sec-fetch-site", "same-origin")
            .body(body)
            .send();
        self.keep_cookies(action, &answer);
        answer
    }

    pub fn ask(&self, method: Method, address: &str) -> crate::harness::Ask<'t> {
        let ask = self.t.ask(method, address).from(self.place);
        match self.cookies.is_empty() {
            true => ask,
            false => {
                let pairs = self
                    .cookies
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"));
                ask.header("cookie", pairs.collect::<Vec<_>>().join("; "))
            }
        }
    }

    fn keep_cookies(&mut self, _address: &str, answer: &Answer) {
        let set = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        for (_, cookie) in set {
            let (pair, attributes) = cookie.split_once("; ").unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a cookie");
            match attributes.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
    }

    /// The name and value of the session cookie.
    #[track_caller]
    pub fn session_cookie(&self) -> (String, String) {
        let mut cookies = self.cookies.iter();
        let found = cookies.find(|(_, value)| value.starts_with("ab_"));
        let (name, value) = found.expect("a session cookie");
        (name.clone(), value.clone())
    }

    /// Signs in with the form.
    #[track_caller]
    pub fn sign_in(&mut self, name: &str) -> Page {
        let page = self.open("/login");
        let page = self.send(
            &page,
            "/login",
            &[
                ("login", &crate::harness::email(name)),
                ("password", crate::harness::PASSWORD),
            ],
        );
        assert_eq!(page.path, "/account", "{}", page.text());
        page
    }
}

fn location(answer: &Answer) -> String {
    answer.header("location").expect("a location").to_owned()
}

impl Page {
    pub fn text(&self) -> String {
        self.answer.text()
    }

    /// Asserts its status and that it says something.
    #[track_caller]
    pub fn says(&self, status: u16, words: &str) {
        let text = self.text();
        assert_eq!(self.answer.status, status, "{text}");
        assert!(text.contains(words), "{words:?} is not in {text}");
    }

    /// The form token of its first form.
    #[track_caller]
    pub fn form_token(&self) -> String {
        let text = self.text();
        let mut tags = text.split("<input ").skip(1);
        let tag = tags.find(|tag| tag.starts_with("type=\"hidden\" name=\"form_token\""));
        attribute(tag.expect("a form"), "value").expect("a token")
    }

    /// The fields of its form that posts to `action`, with their values.
    #[track_caller]
    pub fn form(&self, action: &str) -> Vec<(String, String)> {
        let text = self.text();
        let mut forms = text.split("<form ").skip(1);
        let form = forms
            .find(|form| form.contains(&format!("action=\"{action}\"")))
            .unwrap_or_else(|| panic!("no form posts to {action} in {text}"));
        let form = form.split("</form>").next().expect("a form");
        let tags = form.split("<input ").skip(1);
        let tags = tags.map(|tag| tag.split('>').next().expect("a tag"));
        tags.filter(|tag| !tag.contains("type=\"checkbox\"") || tag.contains(" checked"))
            .filter_map(|tag| {
                let name = attribute(tag, "name")?;
                let value = attribute(tag, "value").unwrap_or_default();
                Some((name, value))
            })
            .collect()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(
        value
            .replace("&#38;", "&")
            .replace("&amp;", "&")
            .replace("&#34;", "\"")
            .replace("&#60;", "<"),
    )
}
