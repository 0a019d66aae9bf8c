//! HTTP clients and requests for tests, which panic instead of returning errors.

use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder};
use serde_json::{Value, json};

use super::client::{HttpResponse, send};
use super::{TestServer, WAIT_TIMEOUT};

impl HttpResponse {
    /// The body, which must be JSON and have a JSON content type.
    pub fn json(&self) -> Value {
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(
            content_type.starts_with("application/") && content_type.contains("json"),
            "{content_type}: {}",
            self.text()
        );
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts the status, and returns the response.
    #[track_caller]
    pub fn expect(self, status: u16) -> HttpResponse {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Asserts the status and that the body is a problem document (RFC 9457), and returns that document.
    #[track_caller]
    pub fn expect_problem(self, status: u16) -> Value {
        let response = self.expect(status);
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json"),
            "{}",
            response.text()
        );
        let problem = response.json();
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["type", "title", "detail"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "no {field}: {problem}"
            );
        }
        let code = problem["code"].as_str().unwrap_or_default();
        assert!(
            code.starts_with(|c: char| c.is_ascii_lowercase())
                && code.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
            "no code: {problem}"
        );
        problem
    }
}

/// A client that opens a new connection for each request, so that no request uses a connection to a server that has
/// restarted.
pub fn http() -> Client {
    builder().build().unwrap()
}

/// A client like [`http`] that sends from another address of this machine.
pub fn client_from(address: [u8; 4]) -> Client {
    let local = std::net::IpAddr::from(address);
    builder().local_address(local).build().unwrap()
}

/// A client like [`http`] that sends every request through the server's local socket.
pub fn local_client(server: &TestServer) -> Client {
    let socket = server.setup().local_socket();
    builder().unix_socket(socket).build().unwrap()
}

/// A client like [`http`] that also trusts the server's own certificate authority.
pub async fn trusting(server: &TestServer) -> Client {
    let root = ask(http().get(server.url("/ca.crt"))).await.expect(200);
    let root = Certificate::from_der(&root.body).unwrap();
    builder().add_root_certificate(root).build().unwrap()
}

fn builder() -> ClientBuilder {
    Client::builder().no_proxy().pool_max_idle_per_host(0)
}

/// Sends a request. Panics if there is no complete response within [`WAIT_TIMEOUT`].
pub async fn ask(request: RequestBuilder) -> HttpResponse {
    match send(request, WAIT_TIMEOUT).await {
        Ok(response) => response,
        Err(error) => panic!("{error}"),
    }
}

/// Sends `POST /pair` with `code` and without a client name.
pub async fn pair_with(client: &Client, server: &TestServer, code: &str) -> HttpResponse {
    ask(client
        .post(server.url("/pair"))
        .json(&json!({ "code": code })))
    .await
}
