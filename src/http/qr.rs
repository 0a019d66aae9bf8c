//! `GET /qr`: a QR code of the page's URL, for guests to scan.

use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::task::spawn_blocking;

use super::call::Call;
use super::error::ApiError;
use super::{Body, full, gate, https_setup};
use crate::address::{self, Scheme};

/// The name `localhost`, and the beginnings of the addresses at which a machine reaches only itself. A phone that opens a
/// URL with such a host connects to itself.
const SELF_ADDRESS_PREFIXES: [&str; 4] = ["localhost", "127.", "[::1]", "0.0.0.0"];

/// The header with the URL in the QR code: the page shows the same URL as text.
const URL_HEADER: HeaderName = HeaderName::from_static("lockstep-url");

/// Answers with a PNG. The QR code contains the host that the client used, because that host works in this network. If a
/// guest's phone may be unable to connect to that host (a loopback address, or a name of multicast DNS in a request that no
/// proxy forwarded, because not every phone resolves such names), the QR code contains the machine's LAN address instead.
///
/// The URL is an HTTP URL, because a guest's phone does not trust the server's certificate yet, unless a trusted proxy serves
/// HTTPS.
pub(super) async fn answer(call: Call<'_>) -> Result<Response<Body>, ApiError> {
    let app = call.app;
    let (host, is_forwarded) = (&*call.client.host, call.client.is_forwarded);
    let name = gate::without_port(host).to_ascii_lowercase();
    let is_mdns_name = name.trim_end_matches('.').ends_with(".local");
    let is_self_address = SELF_ADDRESS_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix));
    let requested_origin = if is_self_address || (is_mdns_name && !is_forwarded) {
        None
    } else if call.connection.is_secure() && !is_forwarded {
        https_setup::plain_url(app, &name)
    } else {
        Some(match call.client.scheme {
            Some(Scheme::Https) => format!("https://{}", host.trim_end_matches(":443")),
            _ => format!("http://{}", host.trim_end_matches(":80")),
        })
    };
    let (http_address, base_path) = (app.http_address, app.base_path.clone());
    let room = call.room.id.clone();
    let make_url = move || {
        let origin = requested_origin.unwrap_or_else(|| address::url(http_address));
        match room.is_house() {
            true => base_path.url(&origin),
            false => format!("{origin}{base_path}/rooms/{room}/"),
        }
    };
    let (url, png) = draw(make_url).await.ok_or(ApiError::NotFound(
        "address-too-long",
        "The server's address is too long for a QR code",
    ))?;
    let mut response = Response::new(full(png));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
    if let Ok(url) = HeaderValue::try_from(url) {
        response.headers_mut().insert(URL_HEADER, url);
    }
    Ok(response)
}

/// The text that `make_text` returns, and a QR code of it as a PNG; `None` if the text is too long. Runs on the blocking
/// pool, because `make_text` makes system calls and the drawing takes several milliseconds.
async fn draw(make_text: impl FnOnce() -> String + Send + 'static) -> Option<(String, Vec<u8>)> {
    let drawn = spawn_blocking(move || {
        let text = make_text();
        address::png_qr(&text).map(|png| (text, png))
    });
    drawn.await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn drawing_does_not_block_the_async_thread() {
        let (sender, receiver) = mpsc::channel();
        // The test's runtime has one async thread. The task below runs during the drawing only if that thread is free.
        let task = tokio::spawn(async move { sender.send(()).unwrap() });
        let make_text = move || {
            let received = receiver.recv_timeout(Duration::from_secs(30));
            received.expect("the async thread was blocked");
            "http://192.168.1.7:8080".to_owned()
        };
        let (text, png) = draw(make_text).await.unwrap();
        assert_eq!(text, "http://192.168.1.7:8080");
        assert!(png.starts_with(b"\x89PNG"));
        task.await.unwrap();
    }
}
