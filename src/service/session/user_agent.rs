//! User agents: what devices call themselves, each text once.
//!
//! A row of a session or a family refers to the text by a key that is computed from it, so a rotation by the same device
//! writes nothing here. The texts are labels for people, not evidence, and their number is bounded.

use crate::ids::AgentKey;
use crate::service::Device;
use crate::service::context::Context;
use crate::store::{Broken, params};

/// Texts of user agents in one slice of their keys, of which there are 64: about 10,000 in all, or 10 MiB at most. A
/// client that sends another user agent with every refresh must not fill the disk. Keys are keyed digests, so a slice is a
/// sample, and counting one is quick however many texts there are.
const MOST_AGENTS_IN_SLICE: u32 = 160;
const AGENT_SLICE_BITS: u32 = 57;

/// Stores what a device calls itself, and that it was seen today. Where there are too many texts, the one unseen longest is
/// deleted: sessions that refer to it show none until their next refresh on another day.
pub fn intern(cx: &Context<'_>, device: &Device) -> Result<AgentKey, Broken> {
    let key = cx.tag_key().agent_key(&device.user_agent);
    cx.run(
        "INSERT INTO user_agent (id, text, seen_at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (id) DO UPDATE SET seen_at = ?3 WHERE user_agent.seen_at < ?3 - 3600",
        params![key, device.user_agent.as_str(), cx.now],
    )?;
    let slice = key.as_row() >> AGENT_SLICE_BITS << AGENT_SLICE_BITS;
    cx.run(
        "DELETE FROM user_agent WHERE id = (SELECT id FROM user_agent WHERE id BETWEEN ?1 AND ?2 \
         ORDER BY seen_at DESC LIMIT 1 OFFSET ?3)",
        params![
            slice,
            slice + ((1 << AGENT_SLICE_BITS) - 1),
            MOST_AGENTS_IN_SLICE
        ],
    )?;
    Ok(key)
}
