//! Forms, as browsers send them (`application/x-www-form-urlencoded`).

use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::call::Call;
use super::error::{HttpCode, HttpError, Refusal};
use super::input::{Input, InputDescription, read_pairs, require_media_type};
use super::request::Request;

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// The longest value in a form, in bytes: a return address and a password at their longest fit. A page shows again what was
/// typed, and HTML writes a quotation mark with five bytes, so the memory of a connection depends on it.
const LONGEST_VALUE: usize = 2048;

/// Fields that lead on to another address, and the longest value of those: an authorization request of an app.
const LEADING_ON: [&str; 2] = ["return_to", "request"];
const LONGEST_ADDRESS: usize = 8192;

/// A form with these fields.
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema> Input for Form<T> {
    fn read(call: &Call<'_>) -> Result<Form<T>, HttpError> {
        read_form(call.request).map(Form)
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        description.body = Some((MEDIA_TYPE, generator.subschema_for::<T>()));
    }
}

fn read_form<T: DeserializeOwned>(request: &Request) -> Result<T, HttpError> {
    require_media_type(request, MEDIA_TYPE)?;
    let mut fields = form_urlencoded::parse(&request.body);
    let longest = |name: &str| match LEADING_ON.contains(&name) {
        true => LONGEST_ADDRESS,
        false => LONGEST_VALUE,
    };
    if fields.any(|(name, value)| value.len() > longest(&name)) {
        let detail = "A field of the form is too long. At most 2,048 bytes are accepted.";
        return Err(HttpError::from(&Refusal::new(
            HttpCode::BodyTooLarge,
            detail,
        )));
    }
    read_pairs("form", &request.body)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Login {
        login: String,
        remember: Option<u8>,
    }

    fn form(body: &str) -> Result<Login, HttpError> {
        let request = Request::new(Method::POST, "/login")
            .with_header("content-type", "application/x-www-form-urlencoded")
            .with_body(body);
        read_form(&request)
    }

    #[test]
    fn a_form_is_read_into_its_type() {
        let login = |login: &str, remember| Login {
            login: login.to_owned(),
            remember,
        };
        assert_eq!(form("login=ann").expect("a form"), login("ann", None));
        assert_eq!(
            form("remember=1&login=a%40b+c").expect("a form"),
            login("a@b c", Some(1))
        );
        assert_eq!(form("login").expect("a form"), login("", None));
        for refused in [
            "",
            "login=a&login=b",
            "login=a&other=b",
            "login=a&remember=x",
        ] {
            let error = form(refused).expect_err(refused);
            assert_eq!(error.code, "invalid_request");
        }
    }

    #[test]
    fn another_media_type_is_not_a_form() {
        let request = Request::new(Method::POST, "/login")
            .with_header("content-type", "text/plain")
            .with_body("login=ann");
        let error = read_form::<Login>(&request).expect_err("a refusal");
        assert_eq!(error.code, "unsupported_media_type");
    }

    #[test]
    fn a_form_is_described_as_a_body() {
        let mut generator = SchemaGenerator::default();
        let description = InputDescription::of::<Form<Login>>(&mut generator);
        let (media_type, _) = description.body.expect("a body");
        assert_eq!(media_type, "application/x-www-form-urlencoded");
    }
}
