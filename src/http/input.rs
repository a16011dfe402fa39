//! What a handler takes: a type for each part of a request, which is read from the request and described in the OpenAPI
//! document.
//!
//! JSON bodies and the queries of the API are strict, by `#[serde(deny_unknown_fields)]` on their types: a member that is
//! missing, unknown or there twice is a 400. A client that misspells a member learns it at once, and no two programs can
//! disagree about which of two values counts. The queries of pages accept unknown parameters, because mail services add
//! their own to links.

use std::collections::HashSet;
use std::fmt::{self, Display};

use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;

use super::call::Call;
use super::error::HttpError;
use super::request::Request;

/// A part of a request that a handler takes.
pub(super) trait Input: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// 400 or 415, with words that say what is wrong.
    fn read(call: &Call<'_>) -> Result<Self, HttpError>;

    /// Adds it to the description of the route.
    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator);
}

/// The input of a route, for the OpenAPI document.
#[derive(Default)]
pub struct InputDescription {
    /// Parameters of the path, the query and the header.
    pub parameters: Vec<Parameter>,
    /// The media type and the schema of the body.
    pub body: Option<(&'static str, Schema)>,
}

/// One parameter.
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// `path`, `query` or `header`.
    pub place: &'static str,
    /// Whether a request without it is refused.
    pub is_required: bool,
    /// What it is for.
    pub description: Option<String>,
    /// Its values.
    pub schema: Value,
}

impl InputDescription {
    pub(super) fn of<I: Input>(generator: &mut SchemaGenerator) -> InputDescription {
        let mut description = InputDescription::default();
        I::describe(&mut description, generator);
        description
    }
}

impl Input for () {
    fn read(_: &Call<'_>) -> Result<(), HttpError> {
        Ok(())
    }

    fn describe(_: &mut InputDescription, _: &mut SchemaGenerator) {}
}

impl<A: Input, B: Input> Input for (A, B) {
    fn read(call: &Call<'_>) -> Result<(A, B), HttpError> {
        Ok((A::read(call)?, B::read(call)?))
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        A::describe(description, generator);
        B::describe(description, generator);
    }
}

/// A JSON body of this form.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema> Input for Json<T> {
    fn read(call: &Call<'_>) -> Result<Json<T>, HttpError> {
        read_json(call.request).map(Json)
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        description.body = Some((JSON, generator.subschema_for::<T>()));
    }
}

/// A query of this form.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema> Input for Query<T> {
    fn read(call: &Call<'_>) -> Result<Query<T>, HttpError> {
        let query = call.request.query.as_deref().unwrap_or_default();
        read_pairs("query", query.as_bytes()).map(Query)
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        let mut schema = T::json_schema(generator);
        RecursiveTransform(remove_null_default).transform(&mut schema);
        let is_required = |name: &str| {
            let required = schema.get("required").and_then(Value::as_array);
            required.is_some_and(|names| names.iter().any(|other| other == name))
        };
        let members = schema.get("properties").and_then(Value::as_object);
        for (name, member) in members.into_iter().flatten() {
            let mut schema = member.clone();
            let words = schema
                .as_object_mut()
                .and_then(|it| it.remove("description"));
            description.parameters.push(Parameter {
                name: name.clone(),
                place: "query",
                is_required: is_required(name),
                description: words.and_then(|words| Some(words.as_str()?.to_owned())),
                schema,
            });
        }
    }
}

/// Removes `"default": null`, which stands for "absent" in our types. A generated client would send it, and `null` is not
/// the same as absent everywhere.
pub(super) fn remove_null_default(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

const JSON: &str = "application/json";

fn read_json<T: DeserializeOwned>(request: &Request) -> Result<T, HttpError> {
    require_media_type(request, JSON)?;
    if request.body.is_empty() {
        return Err(invalid("body", &"it is empty"));
    }
    // serde would also take a list of the members, in their order.
    if !request.body.trim_ascii_start().starts_with(b"{") {
        return Err(invalid("body", &"it is not a JSON object"));
    }
    serde_json::from_slice(&request.body).map_err(|error| {
        let words = beginning(&error);
        let (line, column) = (error.line(), error.column());
        let place = format!(" at line {line} column {column}");
        match words.strip_suffix(&place) {
            Some(words) => invalid("body", &format!("{words} (line {line}, column {column})")),
            None => invalid("body", &words),
        }
    })
}

/// Reads `name=value` pairs, as a query or a form has them.
pub(super) fn read_pairs<T: DeserializeOwned>(part: &str, bytes: &[u8]) -> Result<T, HttpError> {
    let pairs = serde_html_form::Deserializer::from_bytes(bytes);
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let name = format!("`{}`", error.path());
        let words = beginning(error.inner());
        match twice(bytes) {
            Some(name) => invalid(part, &format!("`{name}` is there twice")),
            None if words.contains(&name) => invalid(part, &words),
            None => invalid(part, &format!("{name}: {words}")),
        }
    })
}

/// The first name that several of the pairs have.
fn twice(bytes: &[u8]) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_html_form::from_bytes(bytes).ok()?;
    let mut seen = HashSet::new();
    let mut names = pairs.into_iter().map(|(name, _)| name);
    names.find(|name| !seen.insert(name.clone()))
}

/// Requires a media type. Its parameters, such as a charset, are accepted and ignored.
pub(super) fn require_media_type(request: &Request, expected: &str) -> Result<(), HttpError> {
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    match media_type.eq_ignore_ascii_case(expected) {
        true => Ok(()),
        false => Err(HttpError::unsupported_media_type(expected)),
    }
}

/// Longest description of what is wrong with an input, in bytes. It can quote the request, which has up to 64 KiB.
const LONGEST_WORDS: usize = 400;

/// The beginning of a text, at most [`LONGEST_WORDS`], without writing all of it to memory.
fn beginning(text: &dyn Display) -> String {
    struct Beginning(String);
    impl fmt::Write for Beginning {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let left = LONGEST_WORDS - self.0.len();
            let part = &text[..text.floor_char_boundary(left)];
            self.0.push_str(part);
            match part.len() == text.len() {
                true => Ok(()),
                false => Err(fmt::Error),
            }
        }
    }
    let mut beginning = Beginning(String::new());
    match fmt::write(&mut beginning, format_args!("{text}")) {
        Ok(()) => beginning.0,
        Err(_) => beginning.0 + "…",
    }
}

fn invalid(part: &str, why: &dyn Display) -> HttpError {
    HttpError::invalid_request(format!("The {part} is not valid: {why}."))
}

/// A token that was copied by hand, without the spaces and line breaks that came with it. No token contains any.
pub(super) fn trimmed<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = String::deserialize(source)?;
    Ok(text.trim().to_owned())
}

/// [`trimmed`], for a member that may be absent.
pub(super) fn trimmed_option<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    Ok(text.map(|text| text.trim().to_owned()))
}

/// A member that tells `null` from absent: `null` becomes an empty text, which takes a value away.
pub(super) fn null_as_empty<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    Ok(Some(text.unwrap_or_default()))
}
