//! Parameters of OAuth requests: pairs of names and values, in a query or a form.
//!
//! Unknown parameters are ignored (RFC 6749 §3.1, §3.2): apps send some of extensions. One that is read and came twice is
//! refused by whoever reads it.

use schemars::SchemaGenerator;

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Input, InputDescription, require_media_type};

/// The media type of forms.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The most parameters of a request.
const MOST: usize = 100;

/// The parameters of a query.
pub struct InQuery(pub Vec<(String, String)>);

/// The parameters of a form.
pub struct InForm(pub Parameters);

/// Pairs in their order.
pub struct Parameters(pub Vec<(String, String)>);

impl Parameters {
    /// The value of a parameter; an empty one is none (RFC 6749 §3.1).
    ///
    /// # Errors
    /// 400 if it came twice.
    pub fn get(&self, name: &str) -> Result<Option<&str>, HttpError> {
        let mut named = self.0.iter().filter(|(own, _)| own == name);
        let value = named.next().map(|(_, value)| value.as_str());
        match named.next() {
            Some(_) => Err(HttpError::invalid_request(format!(
                "The parameter {name} came twice."
            ))),
            None => Ok(value.filter(|value| !value.is_empty())),
        }
    }
}

/// Reads pairs.
///
/// # Errors
/// 400 for more than [`MOST`].
pub fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, HttpError> {
    let pairs: Vec<_> = form_urlencoded::parse(bytes)
        .into_owned()
        .take(MOST + 1)
        .collect();
    match pairs.len() > MOST {
        true => Err(HttpError::invalid_request(format!(
            "A request has at most {MOST} parameters."
        ))),
        false => Ok(pairs),
    }
}

/// The longest request in a form that goes on as a query, in bytes.
const LONGEST_QUERY: usize = 8192;

/// The address of `path` with these parameters.
///
/// # Errors
/// 400 if it is longer than a request may be.
pub fn as_query(path: &str, pairs: &[(String, String)]) -> Result<String, HttpError> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    let query = query.finish();
    match query.len() > LONGEST_QUERY {
        true => Err(HttpError::invalid_request(
            "The request has more than 8,192 bytes.",
        )),
        false => Ok(format!("{path}?{query}")),
    }
}

impl Input for InQuery {
    fn read(call: &Call<'_>) -> Result<InQuery, HttpError> {
        read(call.request.query.as_deref().unwrap_or_default().as_bytes()).map(InQuery)
    }

    fn describe(_: &mut InputDescription, _: &mut SchemaGenerator) {}
}

impl Input for InForm {
    fn read(call: &Call<'_>) -> Result<InForm, HttpError> {
        require_media_type(call.request, FORM)?;
        Ok(InForm(Parameters(read(&call.request.body)?)))
    }

    fn describe(_: &mut InputDescription, _: &mut SchemaGenerator) {}
}
