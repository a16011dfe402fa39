//! Errors as problem details (RFC 9457) with a stable `code`. This is the only place that writes them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use crate::http::error::{HttpCode, HttpError};
use crate::http::response::Response;
use crate::service::Code;

/// The media type of problem details.
pub(in crate::http) const MEDIA_TYPE: &str = "application/problem+json";

/// An error (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Problem<'a> {
    /// Always `about:blank`: the status and the code say everything.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    #[schemars(schema_with = "all_codes")]
    code: &'static str,
    /// What was wrong and what to do, for people.
    detail: &'a str,
    /// The name of this request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// The error as a response, without the headers that do not belong to problem details. `request_id` is empty where a
/// request has none.
pub(in crate::http) fn respond(error: &HttpError, request_id: &str) -> Response {
    let problem = Problem {
        r#type: "about:blank",
        title: error.title(),
        status: error.status.as_u16(),
        code: error.code,
        detail: &error.detail,
        request_id: Some(request_id).filter(|id| !id.is_empty()),
    };
    // Numbers and texts always have a JSON form.
    let mut body = serde_json::to_vec(&problem).unwrap_or_default();
    body.push(b'\n');
    Response::new(error.status.as_u16())
        .header("content-type", MEDIA_TYPE)
        .with_body(body)
}

/// Every code that an error can have, with what it means.
fn all_codes(generator: &mut SchemaGenerator) -> Schema {
    let (mut names, mut meanings) = (Vec::new(), String::new());
    for schema in [
        Code::json_schema(generator),
        HttpCode::json_schema(generator),
    ] {
        let variants = schema.get("oneOf").and_then(Value::as_array);
        for variant in variants.into_iter().flatten() {
            let text = |member: &str| variant[member].as_str().unwrap_or_default().to_owned();
            meanings += &format!("\n- `{}`: {}", text("const"), text("description"));
            names.push(text("const"));
        }
    }
    json_schema!({
        "description": format!("A stable name for the kind of error:\n{meanings}"),
        "type": "string",
        "enum": names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_the_document_are_those_of_the_answers() {
        let schema = all_codes(&mut SchemaGenerator::default());
        let names = schema.get("enum").and_then(Value::as_array).expect("names");
        for name in [
            Code::InvalidRequest.as_str(),
            Code::StorageLow.as_str(),
            Code::InvalidVerificationToken.as_str(),
            Code::NoMail.as_str(),
            HttpCode::MalformedRequest.as_str(),
            HttpCode::VersionNotSupported.as_str(),
        ] {
            assert!(names.iter().any(|other| other == name), "{name}");
        }
        assert_eq!(names.len(), 25 + 15);
    }
}
