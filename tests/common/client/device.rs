//! A paired device, and the requests that it can send.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::response::HttpResponse;

/// A paired device.
#[derive(Debug, Clone)]
pub struct Device {
    /// The member ID, which other devices see.
    pub member: String,
    /// The bearer token, which authorizes the device's requests.
    pub token: String,
    /// The server's origin, for example `http://127.0.0.1:8080`.
    pub base_url: String,
    /// The HTTP client that sends the device's requests.
    pub http: Client,
}

/// The request `POST /pair`, which pairs a device named `name`.
pub fn pair_request(http: &Client, base_url: &str, code: &str, name: &str) -> RequestBuilder {
    let body = json!({ "code": code, "clientName": name });
    http.post(format!("{base_url}/pair")).json(&body)
}

impl Device {
    /// The device that a successful `POST /pair` has created. `None` if the response lacks the member ID or the token.
    pub fn from_pair_response(
        http: Client,
        base_url: String,
        response: &HttpResponse,
    ) -> Option<Device> {
        let body = response.json_or_null();
        Some(Device {
            member: body["memberId"].as_str()?.to_owned(),
            token: body["clientId"].as_str()?.to_owned(),
            base_url,
            http,
        })
    }

    /// A request with the device's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base_url))
            .bearer_auth(&self.token)
    }

    /// A request with the device's token to the house, also if `base_url` is the address of a room.
    pub fn house_request(&self, method: Method, path: &str) -> RequestBuilder {
        let house = self.base_url.split("/rooms/").next().unwrap_or_default();
        let request = self.http.request(method, format!("{house}{path}"));
        request.bearer_auth(&self.token)
    }

    /// A request with a control command for the room at `event_count`. The request has no body if `body` is `Null`.
    pub fn command(&self, path: &str, event_count: u64, body: &Value) -> RequestBuilder {
        let request = self.request(Method::POST, path);
        let request = request.header("If-Match-Event", event_count);
        match body {
            Value::Null => request,
            body => request.json(body),
        }
    }
}
