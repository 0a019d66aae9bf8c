//! Uploads of a phone during the party: music, which must become a pick of the phone, and other bytes, which must be refused.
//! Some uploads lose their connection and are resumed, also by the phone's next event stream; some are cancelled.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::checked_device::{CheckedDevice, send_within};
use super::client::HttpResponse;
use super::context::IndexedTrack;
use super::event_log::{CommandRecord, ExpectedEvent};
use super::invariants::Invariant;
use super::upload_records::FinishedUpload;

/// The mean time between two uploads of a phone.
const UPLOAD_INTERVAL: Duration = Duration::from_secs(20);
/// The timeout of a request. The server reads uploads slowly while a barrier waits for a download.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// The most bytes of an upload that is no music.
const MAX_JUNK_SIZE: usize = 300_000;
/// The bytes of music per second.
const BYTES_PER_SEC: u32 = 8_000;
/// The title that the phones state.
pub(super) const TITLE: &str = "Brought along";

/// An upload that a phone has begun.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    path: String,
    bytes: Vec<u8>,
    /// The id of the track that the upload must become; `None` for an upload that is no music.
    track: Option<String>,
    /// The event count of a state before the upload.
    begun_after: u64,
    /// Whether the phone has asked to cancel the upload.
    is_cancelled: bool,
}

/// Uploads until the future is dropped. First continues the upload during which the phone lost its last connection.
pub(super) async fn upload_repeatedly(device: &CheckedDevice, mut rng: StdRng) {
    if let Some(upload) = device.unfinished_upload() {
        device
            .context
            .recorder
            .count_action("resumed an upload after a lost connection");
        resume(device, &upload).await;
    }
    loop {
        let factor = -rng.random_range(f64::MIN_POSITIVE..1.0).ln();
        sleep(UPLOAD_INTERVAL.mul_f64(factor)).await;
        if device.context.is_winding_down() {
            return;
        }
        if let Some(upload) = begin(device, &mut rng).await {
            device.set_unfinished_upload(Some(upload.clone()));
            proceed(device, upload, &mut rng).await;
        }
    }
}

async fn begin(device: &CheckedDevice, rng: &mut StdRng) -> Option<Upload> {
    let begun_after = device.check_snapshot().await?;
    let is_music = rng.random_bool(0.6);
    let bytes = match is_music {
        true => song(rng, device),
        false => {
            let mut bytes = vec![0; rng.random_range(2..MAX_JUNK_SIZE)];
            rng.fill_bytes(&mut bytes);
            bytes
        }
    };
    // The file name is `song.wav`, the title is `TITLE`.
    let begin = request(device, Method::POST, "/uploads")
        .header("Upload-Length", bytes.len())
        .header(
            "Upload-Metadata",
            "filename c29uZy53YXY=,title QnJvdWdodCBhbG9uZw==",
        );
    // 429: cancelled requests may have begun uploads of which the phone does not know.
    let begun = checked(device, begin, "begin upload", &[201, 429]).await?;
    let path = begun.header("location")?.to_owned();
    let track = is_music.then(|| expect_track(device, &bytes));
    Some(Upload {
        path,
        bytes,
        track,
        begun_after,
        is_cancelled: false,
    })
}

/// A WAV file that no other upload has.
fn song(rng: &mut StdRng, device: &CheckedDevice) -> Vec<u8> {
    let seconds = rng.random_range(5..30);
    let size = seconds * BYTES_PER_SEC;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + size).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend(1_u16.to_le_bytes()); // PCM
    wav.extend(1_u16.to_le_bytes()); // mono
    wav.extend(BYTES_PER_SEC.to_le_bytes());
    wav.extend(BYTES_PER_SEC.to_le_bytes());
    wav.extend(1_u16.to_le_bytes()); // bytes per sample
    wav.extend(8_u16.to_le_bytes()); // bits per sample
    wav.extend(b"data");
    wav.extend(size.to_le_bytes());
    let header = wav.len();
    wav.resize(header + size as usize, 0);
    rng.fill_bytes(&mut wav[header..]);
    // A run with the same seed may use a server that has the files of an earlier run.
    let member = device.member.as_bytes();
    wav[header..header + member.len()].copy_from_slice(member);
    wav
}

/// Prepares the simulation for the track that an upload will become. Returns its id.
fn expect_track(device: &CheckedDevice, bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let id: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let context = &device.context;
    let track = IndexedTrack {
        size: bytes.len() as u64,
        version: None,
        duration_sec: Some(f64::from((bytes.len() as u32 - 44) / BYTES_PER_SEC)),
    };
    context.add_track(&id, track);
    let mut records = context.recorder.lock();
    records.expect_bytes(&id, digest);
    // The phone may not get the answer to the request that causes the pick.
    records
        .event_log
        .log_command(CommandRecord::Unanswered(ExpectedEvent {
            names: &["queue.picked"],
            field: "trackIds",
            value: json!([id]),
        }));
    id
}

/// Sends a first part, sometimes over a connection that breaks, and then cancels the upload or sends the rest.
async fn proceed(device: &CheckedDevice, mut upload: Upload, rng: &mut StdRng) -> Option<()> {
    let recorder = &device.context.recorder;
    let part = rng.random_range(1..upload.bytes.len());
    let is_cut = rng.random_bool(0.4);
    if is_cut {
        send_and_cut(device, &upload, part).await?;
        recorder.count_action("cut the connection of an upload");
    } else {
        checked(device, patch(device, &upload, 0, part), "upload", &[204]).await?;
    }
    let arrived = offset(device, &upload, &[200]).await?;
    let is_possible = arrived == part || (is_cut && arrived < part);
    let violation = (!is_possible).then(|| format!("{arrived} of {part} bytes arrived"));
    recorder.record(Invariant::UploadsKeepTheirBytes, violation);
    if !rng.random_bool(0.35) {
        return finish(device, &upload, arrived).await;
    }
    upload.is_cancelled = true;
    device.set_unfinished_upload(Some(upload.clone()));
    let cancel = request(device, Method::DELETE, &upload.path);
    checked(device, cancel, "cancel upload", &[204]).await?;
    recorder.count_action("cancelled an upload");
    end(device, &upload).await
}

/// Continues an upload after the phone has lost its connection, and perhaps an answer.
async fn resume(device: &CheckedDevice, upload: &Upload) -> Option<()> {
    // Of a cancelled or refused upload, the answer may be lost.
    let may_have_ended = upload.is_cancelled || upload.track.is_none();
    let statuses: &[u16] = if may_have_ended { &[200, 410] } else { &[200] };
    let head = checked(
        device,
        request(device, Method::HEAD, &upload.path),
        "upload offset",
        statuses,
    );
    let head = head.await?;
    match head
        .header("upload-offset")
        .and_then(|offset| offset.parse().ok())
    {
        Some(arrived) => finish(device, upload, arrived).await,
        None => end(device, upload).await,
    }
}

/// Sends the rest of an upload, which is complete then.
async fn finish(device: &CheckedDevice, upload: &Upload, arrived: usize) -> Option<()> {
    let recorder = &device.context.recorder;
    let Some(track) = &upload.track else {
        send_rest(device, upload, arrived, 415).await?;
        recorder.count_action("uploaded what is no music");
        return end(device, upload).await;
    };
    let done = send_rest(device, upload, arrived, 204).await?;
    recorder.count_action("uploaded music");
    device.set_unfinished_upload(None);
    let violation = (done.header("lockstep-track") != Some(track))
        .then(|| format!("{track} became {:?}", done.header("lockstep-track")));
    recorder.record(Invariant::UploadsBecomePicks, violation);
    let index = device.get("/index").await?;
    let violation = device
        .context
        .index_violation(&index, track, &device.member, TITLE);
    recorder.record(Invariant::UploadsBecomePicks, violation);
    let finished = FinishedUpload {
        track: track.clone(),
        member: device.member.clone(),
        begun_after: upload.begun_after,
        picked_until: device.check_snapshot().await?,
    };
    recorder.lock().uploads.finished.push(finished);
    Some(())
}

/// Sends the bytes that follow the first `arrived` ones. The server may begin to read a request on a broken connection only after
/// it has answered how many bytes have arrived; it then refuses or ends the next request, and the phone asks again.
async fn send_rest(
    device: &CheckedDevice,
    upload: &Upload,
    mut arrived: usize,
    expected: u16,
) -> Option<HttpResponse> {
    loop {
        let rest = patch(device, upload, arrived, upload.bytes.len());
        let answer = checked(device, rest, "upload", &[expected, 409, 423]).await?;
        if answer.status == expected {
            return Some(answer);
        }
        let before = arrived;
        arrived = offset(device, upload, &[200]).await?;
        let violation = (arrived < before).then(|| {
            format!(
                "{arrived} bytes are left of {before}, after {}",
                answer.status
            )
        });
        let recorder = &device.context.recorder;
        recorder.record(Invariant::UploadsKeepTheirBytes, violation);
        recorder.count_action("asked again how much of an upload arrived");
    }
}

/// Checks that the server has forgotten an upload.
async fn end(device: &CheckedDevice, upload: &Upload) -> Option<()> {
    device.set_unfinished_upload(None);
    let head = request(device, Method::HEAD, &upload.path);
    checked(device, head, "upload offset", &[410]).await?;
    let id = upload.path.rsplit('/').next().unwrap_or_default();
    let uploads = &mut device.context.recorder.lock().uploads;
    uploads.ended.push(id.to_owned());
    Some(())
}

/// The number of bytes that the server has.
async fn offset(device: &CheckedDevice, upload: &Upload, statuses: &[u16]) -> Option<usize> {
    let head = request(device, Method::HEAD, &upload.path);
    let head = checked(device, head, "upload offset", statuses).await?;
    head.header("upload-offset")?.parse().ok()
}

/// Announces all bytes of an upload, sends `part` bytes, and closes the connection.
async fn send_and_cut(device: &CheckedDevice, upload: &Upload, part: usize) -> Option<()> {
    let address = device.context.address;
    let head = format!(
        "PATCH {} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {}\r\n\r\n",
        upload.path,
        device.inner.token,
        upload.bytes.len()
    );
    let sent = async {
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(&upload.bytes[..part]).await
    };
    let violation = sent.await.err().map(|error| format!("upload: {error}"));
    let is_sent = violation.is_none();
    let recorder = &device.context.recorder;
    recorder.record(Invariant::ResponsesFollowProtocol, violation);
    is_sent.then_some(())
}

fn patch(device: &CheckedDevice, upload: &Upload, from: usize, to: usize) -> RequestBuilder {
    request(device, Method::PATCH, &upload.path)
        .header("Content-Type", "application/offset+octet-stream")
        .header("Upload-Offset", from)
        .body(upload.bytes[from..to].to_vec())
}

fn request(device: &CheckedDevice, method: Method, path: &str) -> RequestBuilder {
    device
        .inner
        .house_request(method, path)
        .header("Tus-Resumable", "1.0.0")
}

/// Sends a request, and records a violation unless the response has one of these statuses.
pub(super) async fn checked(
    device: &CheckedDevice,
    request: RequestBuilder,
    name: &'static str,
    statuses: &[u16],
) -> Option<HttpResponse> {
    let response = send_within(REQUEST_TIMEOUT, request, &device.context, name).await?;
    let recorder = &device.context.recorder;
    recorder.count_response(name, response.status);
    let is_expected = statuses.contains(&response.status);
    let violation =
        (!is_expected).then(|| format!("{name} got {} {}", response.status, response.text()));
    recorder.record(Invariant::ResponsesFollowProtocol, violation);
    is_expected.then_some(response)
}
