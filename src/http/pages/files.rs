//! The files that pages load: the stylesheet, the script, the logo.

use super::view::assets::CACHE_CONTROL;
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;

/// A logo may be an SVG, which is a document that can run scripts when it is opened by itself: in a sandbox it cannot.
const LOGO_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The stylesheet or the script. Its name has the hash of its contents, so browsers may keep it for ever.
pub(in crate::http) fn show_asset(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    let asset = call.site.assets.find(call.parameters[0]);
    let asset = asset.ok_or_else(HttpError::no_such_path)?;
    Ok(Response::new(200)
        .header("content-type", asset.media_type())
        .header("cache-control", CACHE_CONTROL)
        .with_body(asset.body()))
}

pub(in crate::http) fn show_logo(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    let logo = call
        .site
        .logo
        .as_ref()
        .ok_or_else(HttpError::no_such_path)?;
    Ok(Response::new(200)
        .header("content-type", logo.media_type)
        .header("cache-control", "public, max-age=3600")
        .header("content-security-policy", LOGO_POLICY)
        .with_body(logo.bytes.clone()))
}
