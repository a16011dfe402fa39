//! The stylesheet and the script: served from the binary, under names that change with their contents.
//!
//! A browser may keep them for ever, since a page of another version names another file.

use std::hash::{DefaultHasher, Hasher};

use super::brand::{Accent, Palette};

const STYLES: &str = include_str!("../../../../templates/pages/style.css");
const SCRIPT: &str = include_str!("../../../../templates/pages/script.js");

/// The `Cache-Control` of an asset (RFC 8246).
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// The assets of one installation.
pub struct Assets {
    /// The stylesheet, with the colours of the installation.
    pub stylesheet: Asset,
    pub script: Asset,
}

impl Assets {
    /// The assets with the colours that suit `accent`.
    pub fn new(accent: Accent) -> Assets {
        let styles = Palette::new(accent).custom_properties() + &compact(STYLES);
        Assets {
            stylesheet: Asset::new(styles, "css", "text/css; charset=utf-8"),
            script: Asset::new(compact(SCRIPT), "js", "text/javascript; charset=utf-8"),
        }
    }

    /// The asset of this name, which is the last segment of its path.
    pub fn find(&self, name: &str) -> Option<&Asset> {
        [&self.stylesheet, &self.script]
            .into_iter()
            .find(|asset| asset.name() == name)
    }
}

/// One file.
pub struct Asset {
    path: String,
    body: String,
    media_type: &'static str,
}

impl Asset {
    fn new(body: String, extension: &str, media_type: &'static str) -> Asset {
        // The contents are no secret and come from no client: a hash without a key is enough.
        let mut hasher = DefaultHasher::new();
        hasher.write(body.as_bytes());
        let path = format!("/assets/authd-{:016x}.{extension}", hasher.finish());
        Asset {
            path,
            body,
            media_type,
        }
    }

    /// Its path, with the hash of its contents.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn name(&self) -> &str {
        self.path.trim_start_matches("/assets/")
    }

    pub fn body(&self) -> &str {
        &self.body
    }

    /// The `Content-Type`.
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }
}

/// A text without comments that fill whole lines, indentation and empty lines. Both files have no line break inside a string.
fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let mut in_comment = false;
    for line in text.lines().map(str::trim) {
        in_comment |= line.starts_with("/*");
        if !in_comment && !line.is_empty() && !line.starts_with("//") {
            compact.push_str(line);
            compact.push('\n');
        }
        in_comment &= !line.ends_with("*/");
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_found_by_the_name_in_its_path_alone() {
        let assets = Assets::new(Accent::default());
        for asset in [&assets.stylesheet, &assets.script] {
            let name = asset.path().rsplit('/').next().expect("a segment");
            assert!(std::ptr::eq(assets.find(name).expect("found"), asset));
        }
        for other in ["", "authd-.css", "style.css", "../authd.db"] {
            assert!(assets.find(other).is_none(), "{other}");
        }
    }

    #[test]
    fn another_accent_is_another_file() {
        let path = |accent: &str| {
            let accent = Accent::parse(accent).expect("a colour");
            Assets::new(accent).stylesheet.path().to_owned()
        };
        assert_ne!(path("#ffd400"), path("#16a34a"));
        assert_eq!(path("#ffd400"), path("#ffd400"));
    }

    #[test] // Content-Security-Policy: only what this server serves
    fn nothing_is_fetched_from_elsewhere() {
        let assets = Assets::new(Accent::default());
        for asset in [&assets.stylesheet, &assets.script] {
            for word in [
                "url(",
                "@import",
                "http:",
                "https:",
                "eval",
                ".style",
                "innerHTML",
            ] {
                assert!(!asset.body().contains(word), "{word}");
            }
        }
        assert!(
            assets.script.body().len() <= 2048,
            "{}",
            assets.script.body().len()
        );
    }

    #[test]
    fn comments_and_indentation_are_left_out() {
        let text = "/* a\n b */\np {\n  color: red;\n\n  /* c */\n}\n// d\n";
        assert_eq!(compact(text), "p {\ncolor: red;\n}\n");
    }
}
