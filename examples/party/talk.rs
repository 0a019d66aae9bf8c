//! Chat messages and reactions of a phone. Limits may refuse some, but every accepted message must be listed, and a phone can
//! remove its own.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::checked_device::CheckedDevice;
use super::invariants::Invariant;
use super::uploads::checked;

/// Reactions for each message.
const REACTIONS_PER_MESSAGE: u32 = 6;
const EMOJI: [&str; 4] = ["👍", "❤️", "🔥", "🕺"];

/// Chats and reacts until the future is dropped.
pub(super) async fn talk_repeatedly(device: &CheckedDevice, mut rng: StdRng) {
    let Some(interval) = device.context.message_interval() else {
        return;
    };
    loop {
        let factor = -rng.random_range(f64::MIN_POSITIVE..1.0).ln();
        let mean: Duration = interval / (REACTIONS_PER_MESSAGE + 1);
        sleep(mean.mul_f64(factor)).await;
        if device.context.is_winding_down() {
            return;
        }
        if rng.random_ratio(1, REACTIONS_PER_MESSAGE + 1) {
            chat(device, &mut rng).await;
        } else {
            react(device, &mut rng).await;
        }
    }
}

async fn react(device: &CheckedDevice, rng: &mut StdRng) {
    let emoji = EMOJI[rng.random_range(0..EMOJI.len())];
    let request = device.inner.request(Method::POST, "/react");
    let request = request.json(&json!({ "emoji": emoji }));
    checked(device, request, "react", &[204, 429]).await;
}

async fn chat(device: &CheckedDevice, rng: &mut StdRng) -> Option<()> {
    let text = format!("message {}", rng.random_range(0..1_000_000));
    let request = device.inner.request(Method::POST, "/chat");
    let request = request.json(&json!({ "text": text }));
    let sent = checked(device, request, "chat", &[201, 429]).await?;
    // A refused message has no id.
    let id = sent.json_or_null()["id"].as_u64()?;
    let path = format!("/chat?after={}", id - 1);
    let request = device.inner.request(Method::GET, &path);
    let listed = checked(device, request, "list messages", &[200]).await?;
    let listed = listed.json_or_null();
    let first = listed.get(0).unwrap_or(&Value::Null);
    let is_listed = first["id"] == id && first["text"] == text.as_str();
    let violation = (!is_listed).then(|| format!("{first} instead of {text:?} ({id})"));
    let recorder = &device.context.recorder;
    recorder.record(Invariant::ResponsesFollowProtocol, violation);
    recorder.count_action("sent a message");
    if rng.random_bool(0.1) {
        let request = device.inner.request(Method::DELETE, &format!("/chat/{id}"));
        checked(device, request, "remove message", &[204]).await?;
    }
    Some(())
}
