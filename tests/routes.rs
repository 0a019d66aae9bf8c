//! The OpenAPI document lists exactly the server's routes, and the server serves that document. Long `Host` headers of `/qr`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::TestServer;
use common::phone::{ask, http};
use reqwest::Method;

fn openapi_document() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("docs/openapi.yaml")).unwrap()
}

/// Method and path of each operation in the document. In the document, paths are indented by two spaces, and methods by four.
fn documented_operations(document: &str) -> BTreeSet<(String, String)> {
    let mut operations = BTreeSet::new();
    let mut path = None;
    let paths = document.split_once("\npaths:\n").unwrap().1;
    for line in paths.lines() {
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            break;
        }
        let Some(key) = line.trim_end().strip_suffix(':') else {
            continue;
        };
        if let Some(rest) = key.strip_prefix("  /") {
            path = Some(format!("/{rest}"));
        } else if let Some(method) = key.strip_prefix("    ") {
            if ["get", "head", "options", "post", "put", "patch", "delete"].contains(&method) {
                let path = path.clone().expect("a method must be below a path");
                operations.insert((method.to_uppercase(), path));
            }
        }
    }
    operations
}

#[test]
fn openapi_document_has_exactly_the_operations_of_the_route_table() {
    let served_operations: BTreeSet<_> = lockstep::http::routes()
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect();
    let documented_operations = documented_operations(&openapi_document());
    let difference: Vec<_> = served_operations
        .symmetric_difference(&documented_operations)
        .collect();
    assert!(
        difference.is_empty(),
        "only in the route table or only in the document: {difference:?}"
    );
    assert!(
        documented_operations.len() > 20,
        "{documented_operations:?}"
    );
}

#[tokio::test]
async fn unpaired_client_can_read_the_openapi_document() {
    let server = TestServer::start().await;
    let url = server.url("/openapi.yaml");
    let response = ask(http().get(&url)).await.expect(200);
    assert_eq!(response.header("content-type"), Some("application/yaml"));
    assert!(
        response.text() == openapi_document(),
        "the response differs from docs/openapi.yaml"
    );
    let etag = response.header("etag").unwrap();
    let conditional_request = http().get(&url).header("if-none-match", etag);
    ask(conditional_request).await.expect(304);
}

#[tokio::test]
async fn post_to_the_openapi_document_is_refused_with_405() {
    let server = TestServer::start().await;
    let request = http().request(Method::POST, server.url("/openapi.yaml"));
    let response = ask(request).await;
    assert_eq!(response.header("allow"), Some("GET, HEAD"));
    response.expect_problem(405);
}

/// The service worker caches the files of `/shell.json`, and the page does not need the OpenAPI document.
#[tokio::test]
async fn shell_json_does_not_list_the_openapi_document() {
    let server = TestServer::start().await;
    let shell = ask(http().get(server.url("/shell.json"))).await.expect(200);
    assert!(!shell.text().contains("openapi"), "{}", shell.text());
}

/// RFC 1035, 2.3.4 limits a domain name to 255 bytes of the DNS message, which are 253 characters of text.
#[tokio::test]
async fn qr_endpoint_rejects_host_headers_longer_than_the_dns_limit() {
    let server = TestServer::start().await;
    let longest_name = "a".repeat(249) + ".lan";
    assert_eq!(longest_name.len(), 253);
    for (host, status) in [
        (longest_name.clone(), 200),
        (format!("{longest_name}:65535"), 200),
        (format!("a{longest_name}"), 421),
        ("a".repeat(2048) + ".lan", 421),
        ("party.lan:".to_owned() + &"0".repeat(2048), 421),
    ] {
        let request = http().get(server.url("/qr")).header("host", &host);
        let response = ask(request).await;
        assert_eq!(
            response.status,
            status,
            "a Host header of {} characters",
            host.len()
        );
    }
}
