//! The `limit` of a list that is read page by page.

use serde::Deserialize;

/// Things on a page if the client sends no `limit`.
pub(super) const DEFAULT_LIMIT: u32 = 50;

/// How many things a page has at most: 1 to `MOST`.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct Limit<const MOST: u32>(pub u32);

impl<const MOST: u32> Default for Limit<MOST> {
    fn default() -> Self {
        Limit(DEFAULT_LIMIT)
    }
}

impl<const MOST: u32> TryFrom<u32> for Limit<MOST> {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        match number {
            number if (1..=MOST).contains(&number) => Ok(Limit(number)),
            _ => Err(format!("`limit` must be 1 to {MOST}")),
        }
    }
}
