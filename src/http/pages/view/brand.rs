//! The colours of an installation, computed from the one colour that its operator chooses.
//!
//! Only the hue and a bounded chroma of that colour are used. The lightness of each role is fixed, so every text has at
//! least the contrast that WCAG 2.2 level AA asks for, whatever colour was chosen: white on `#ffd400` alone would have
//! 1.4. A colour that sRGB cannot show loses chroma until it can.
//!
//! Colours are computed in OKLCH (Björn Ottosson, 2020; CSS Color 4 §9), in which equal lightness looks equally light at
//! every hue, and written as `#rrggbb`, which every browser understands.

use std::fmt::Write;

/// The brand colour, in OKLCH.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Accent {
    /// In degrees.
    hue: f64,
    /// 0 is grey.
    chroma: f64,
}

impl Default for Accent {
    /// Petrol: apart from the red of danger and the green of success.
    fn default() -> Accent {
        Accent {
            hue: 225.0,
            chroma: 0.095,
        }
    }
}

impl Accent {
    /// Reads `#rrggbb`.
    pub fn parse(text: &str) -> Option<Accent> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let value = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = value.to_be_bytes();
        let linear = [red, green, blue].map(|byte| to_linear(f64::from(byte) / 255.0));
        let [_, a, b] = to_oklab(linear);
        Some(Accent {
            hue: b.atan2(a).to_degrees().rem_euclid(360.0),
            chroma: a.hypot(b),
        })
    }
}

/// What gives a role its hue.
#[derive(Clone, Copy)]
enum Tint {
    /// The accent, with at most this chroma.
    Accent,
    /// The hue of the accent in a neutral tone; grey if the accent is.
    Neutral,
    /// A fixed hue: light scheme, dark scheme.
    Fixed(f64, f64),
}

const DANGER: Tint = Tint::Fixed(27.0, 22.0);
const SUCCESS: Tint = Tint::Fixed(150.0, 150.0);
const WARNING: Tint = Tint::Fixed(70.0, 80.0);

/// Below this chroma of the accent the neutral tones lose theirs too: a grey brand has grey pages.
const COLOURED: f64 = 0.04;

/// A role: its custom property, its tint, lightness and chroma in the light and in the dark scheme.
type Role = (&'static str, Tint, (f64, f64), (f64, f64));

const ROLES: [Role; 19] = [
    ("page", Tint::Neutral, (0.985, 0.003), (0.18, 0.012)),
    ("card", Tint::Neutral, (1.0, 0.0), (0.22, 0.014)),
    ("soft", Tint::Neutral, (0.96, 0.007), (0.27, 0.016)),
    ("text", Tint::Neutral, (0.22, 0.02), (0.94, 0.008)),
    ("muted", Tint::Neutral, (0.48, 0.02), (0.72, 0.015)),
    ("line", Tint::Neutral, (0.91, 0.008), (0.32, 0.014)),
    ("border", Tint::Neutral, (0.62, 0.02), (0.55, 0.02)),
    ("accent", Tint::Accent, (0.50, 0.20), (0.78, 0.13)),
    ("accent-strong", Tint::Accent, (0.42, 0.18), (0.84, 0.11)),
    ("accent-soft", Tint::Accent, (0.95, 0.03), (0.30, 0.045)),
    ("on-accent", Tint::Neutral, (1.0, 0.0), (0.18, 0.02)),
    ("danger", DANGER, (0.50, 0.20), (0.76, 0.13)),
    ("danger-strong", DANGER, (0.42, 0.17), (0.82, 0.10)),
    ("danger-soft", DANGER, (0.965, 0.018), (0.27, 0.05)),
    ("on-danger", Tint::Neutral, (1.0, 0.0), (0.18, 0.02)),
    ("success", SUCCESS, (0.48, 0.13), (0.78, 0.14)),
    ("success-soft", SUCCESS, (0.965, 0.03), (0.27, 0.04)),
    ("warning", WARNING, (0.48, 0.11), (0.80, 0.12)),
    ("warning-soft", WARNING, (0.965, 0.03), (0.28, 0.04)),
];

/// The colour of each role in both schemes.
pub struct Palette(Vec<(&'static str, String, String)>);

impl Palette {
    /// The palette for this accent.
    pub fn new(accent: Accent) -> Palette {
        let colours = ROLES.map(|(name, tint, light, dark)| {
            let (light, dark) = (
                tinted(accent, tint, light, false),
                tinted(accent, tint, dark, true),
            );
            (name, hex(light), hex(dark))
        });
        Palette(colours.to_vec())
    }

    /// The custom properties, to stand at the head of the stylesheet.
    pub fn custom_properties(&self) -> String {
        let mut css = String::from(":root{");
        for (name, light, _) in &self.0 {
            // Writing to a String does not fail.
            let _ = write!(css, "--{name}:{light};");
        }
        css.push_str("}\n@media (prefers-color-scheme:dark){:root{");
        for (name, _, dark) in &self.0 {
            let _ = write!(css, "--{name}:{dark};");
        }
        css.push_str("}}\n");
        css
    }
}

fn tinted(accent: Accent, tint: Tint, (lightness, chroma): (f64, f64), is_dark: bool) -> [f64; 3] {
    let (hue, chroma) = match tint {
        Tint::Accent => (accent.hue, chroma.min(accent.chroma)),
        Tint::Neutral => (accent.hue, chroma * (accent.chroma / COLOURED).min(1.0)),
        Tint::Fixed(light, dark) => (if is_dark { dark } else { light }, chroma),
    };
    in_gamut(lightness, chroma, hue)
}

/// The colour in linear sRGB, with the greatest chroma up to `chroma` that sRGB can show.
fn in_gamut(lightness: f64, chroma: f64, hue: f64) -> [f64; 3] {
    let colour = |chroma: f64| {
        let (sin, cos) = hue.to_radians().sin_cos();
        from_oklab([lightness, chroma * cos, chroma * sin])
    };
    let is_shown = |colour: [f64; 3]| {
        colour
            .iter()
            .all(|part| (-1e-6..=1.0 + 1e-6).contains(part))
    };
    if is_shown(colour(chroma)) {
        return colour(chroma);
    }
    let (mut shown, mut beyond) = (0.0, chroma);
    for _ in 0..20 {
        let middle = f64::midpoint(shown, beyond);
        if is_shown(colour(middle)) {
            shown = middle;
        } else {
            beyond = middle;
        }
    }
    colour(shown)
}

/// Linear sRGB to OKLab, with the matrices of CSS Color 4 §18.
fn to_oklab([r, g, b]: [f64; 3]) -> [f64; 3] {
    let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
    let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
    let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
    [
        0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
        1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s,
        0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s,
    ]
}

/// OKLab to linear sRGB.
fn from_oklab([lightness, a, b]: [f64; 3]) -> [f64; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
}

fn to_linear(value: f64) -> f64 {
    if value <= 0.040_45 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

fn from_linear(value: f64) -> f64 {
    if value <= 0.003_130_8 {
        value * 12.92
    } else {
        1.055 * value.powf(1.0 / 2.4) - 0.055
    }
}

fn hex(linear: [f64; 3]) -> String {
    let [red, green, blue] = linear.map(|part| {
        let scaled = from_linear(part.clamp(0.0, 1.0)) * 255.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 255"
        )]
        let byte = scaled.round() as u8;
        byte
    });
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2) of `#rrggbb`, as it is written into the stylesheet.
    fn luminance(colour: &str) -> f64 {
        let value = u32::from_str_radix(&colour[1..], 16).expect("a colour");
        let [_, r, g, b] = value
            .to_be_bytes()
            .map(|byte| to_linear(f64::from(byte) / 255.0));
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    impl Palette {
        fn colour(&self, name: &str, is_dark: bool) -> &str {
            let (_, light, dark) = self.0.iter().find(|role| role.0 == name).expect("a role");
            if is_dark { dark } else { light }
        }
    }

    /// Text, its background, and the least contrast.
    const PAIRS: &[(&str, &str, f64)] = &[
        ("text", "page", 12.0),
        ("text", "card", 12.0),
        ("text", "soft", 10.0),
        ("text", "accent-soft", 9.0),
        ("text", "danger-soft", 9.0),
        ("text", "success-soft", 9.0),
        ("text", "warning-soft", 9.0),
        ("muted", "page", 4.5),
        ("muted", "card", 4.5),
        ("muted", "soft", 4.5),
        ("muted", "danger-soft", 4.5),
        ("accent", "page", 4.5),
        ("accent", "card", 4.5),
        ("accent", "soft", 4.5),
        ("accent", "accent-soft", 4.5),
        ("accent-strong", "card", 4.5),
        ("accent-strong", "accent-soft", 4.5),
        ("on-accent", "accent", 4.5),
        ("on-accent", "accent-strong", 4.5),
        ("danger", "page", 4.5),
        ("danger", "card", 4.5),
        ("danger", "danger-soft", 4.5),
        ("on-danger", "danger", 4.5),
        ("on-danger", "danger-strong", 4.5),
        ("success", "card", 4.5),
        ("success", "page", 4.5),
        ("success", "success-soft", 4.5),
        ("warning", "card", 4.5),
        ("warning", "warning-soft", 4.5),
        // WCAG 2.2 §1.4.11: what bounds a control.
        ("border", "card", 3.0),
        ("border", "page", 3.0),
    ];

    #[test] // WCAG 2.2 §1.4.3, §1.4.11
    fn every_accent_has_enough_contrast() {
        let chromas = [0.0, 0.05, 0.1, 0.2, 0.4];
        for (hue, chroma) in (0..360).flat_map(|hue| chromas.map(|chroma| (hue, chroma))) {
            let hue = f64::from(hue);
            let palette = Palette::new(Accent { hue, chroma });
            for is_dark in [false, true] {
                for (text, background, least) in PAIRS {
                    let colours = [text, background].map(|name| palette.colour(name, is_dark));
                    let found = contrast(colours[0], colours[1]);
                    assert!(
                        found >= *least,
                        "{text} on {background}, hue {hue}, chroma {chroma}, dark {is_dark}: {found:.2}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_colour_is_read_as_its_hue_and_chroma() {
        for (text, hue, chroma) in [
            ("#ff0000", 29.2, 0.258),
            ("#00FF00", 142.5, 0.295),
            ("#0000ff", 264.1, 0.313),
        ] {
            let accent = Accent::parse(text).expect("a colour");
            assert!((accent.hue - hue).abs() < 0.1, "{text}: {}", accent.hue);
            assert!(
                (accent.chroma - chroma).abs() < 0.001,
                "{text}: {}",
                accent.chroma
            );
        }
        for text in [
            "", "#", "#fff", "#12345", "#1234567", "red", "#ggffff", "#+12345", "123456",
        ] {
            assert_eq!(Accent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn grey_and_white_have_no_hue_anywhere() {
        for text in ["#000000", "#808080", "#ffffff"] {
            let palette = Palette::new(Accent::parse(text).expect("a colour"));
            for name in ["page", "text", "accent", "soft"] {
                let colour = palette.colour(name, false);
                assert!(
                    colour[1..3] == colour[3..5] && colour[3..5] == colour[5..7],
                    "{name} {colour}"
                );
            }
        }
    }

    #[test]
    fn a_colour_comes_back_as_it_was() {
        for text in ["#16a34a", "#8c4a80", "#010203"] {
            let value = u32::from_str_radix(&text[1..], 16).expect("a colour");
            let [_, r, g, b] = value
                .to_be_bytes()
                .map(|byte| to_linear(f64::from(byte) / 255.0));
            assert_eq!(hex(from_oklab(to_oklab([r, g, b]))), text);
        }
    }
}
