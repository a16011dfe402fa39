//! What all pages of an installation have in common: its name, its colours, its logo; and the files that pages load.

use super::view::assets::Assets;
pub use super::view::brand::Accent;
use super::view::{Language, Shell};
use crate::clock::Timestamp;

/// The largest logo, in bytes.
pub const LARGEST_LOGO: usize = 64 * 1024;

/// How an installation looks.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// Its name; empty for the host of the public URL.
    pub name: String,
    /// The colour from which the colours of the pages follow.
    pub accent: Accent,
    /// Its logo.
    pub logo: Option<Logo>,
}

/// An image.
#[derive(Clone, Debug)]
pub struct Logo {
    /// The `Content-Type`.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Logo {
    /// Reads an SVG, PNG, JPEG or WebP image of at most [`LARGEST_LOGO`] bytes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(bytes: Vec<u8>) -> Result<Logo, String> {
        if bytes.len() > LARGEST_LOGO {
            return Err(format!("it has more than {} KiB", LARGEST_LOGO / 1024));
        }
        let is_svg = || {
            let text = String::from_utf8_lossy(&bytes);
            text.trim_start_matches('\u{feff}')
                .trim_start()
                .starts_with('<')
                && text.contains("<svg")
        };
        let media_type = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => "image/webp",
            _ if is_svg() => "image/svg+xml",
            _ => return Err("it is no SVG, PNG, JPEG or WebP image".to_owned()),
        };
        Ok(Logo { media_type, bytes })
    }
}

/// What is made of a [`Brand`] once.
pub(in crate::http) struct Site {
    pub(super) name: String,
    pub(super) assets: Assets,
    pub(super) logo: Option<Logo>,
}

impl Site {
    /// The site at `public_url`.
    pub(in crate::http) fn new(brand: Brand, public_url: &str) -> Site {
        let authority = public_url
            .split_once("://")
            .map_or(public_url, |(_, rest)| rest);
        Site {
            name: match brand.name.is_empty() {
                true => authority.to_owned(),
                false => brand.name,
            },
            assets: Assets::new(brand.accent),
            logo: brand.logo,
        }
    }

    /// What all pages have in common, for a visitor who is not signed in.
    pub(super) fn shell(&self, language: Language, now: Timestamp) -> Shell<'_> {
        Shell {
            language,
            brand: &self.name,
            has_logo: self.logo.is_some(),
            stylesheet: self.assets.stylesheet.path(),
            script: self.assets.script.path(),
            account: None,
            notice: None,
            form_token: "",
            now,
        }
    }
}
