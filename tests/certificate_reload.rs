//! A configured certificate whose files are replaced, or block when read, while the server runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::path::PathBuf;

use common::fifo::{open_if_being_read, put_fifo};
use common::phone::{ask, http};
use common::{Setup, TestServer, until};
use reqwest::{Certificate, Client};

/// Writes a new self-signed certificate for 127.0.0.1 and its key; returns a client that trusts no other certificate.
fn write_certificate([certificate, key]: &[PathBuf; 2]) -> Client {
    let generated = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    fs::write(certificate, generated.cert.pem()).unwrap();
    fs::write(key, generated.signing_key.serialize_pem()).unwrap();
    let root = Certificate::from_der(generated.cert.der()).unwrap();
    // The client opens a connection for each request, because a server presents its certificate only in the TLS handshake.
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
    client.add_root_certificate(root).build().unwrap()
}

/// Starts a server with a new certificate; returns the certificate and key files and a client that trusts the certificate.
async fn start_with_certificate() -> (TestServer, [PathBuf; 2], Client) {
    let setup = Setup::long_tracks();
    let certificate_files = ["certificate.pem", "key.pem"].map(|name| setup.folder().join(name));
    let client = write_certificate(&certificate_files);
    let setup = setup
        .flag(&format!("--tls-cert={}", certificate_files[0].display()))
        .flag(&format!("--tls-key={}", certificate_files[1].display()))
        .flag("--tls-listen=127.0.0.1:0");
    (setup.start().await, certificate_files, client)
}

#[tokio::test]
async fn replaced_certificate_is_presented_without_a_restart() {
    let (server, certificate_files, old_client) = start_with_certificate().await;
    let url = server.secure_url("/healthz");
    ask(old_client.get(&url)).await.expect(200);
    let new_client = write_certificate(&certificate_files);
    until("the server to present the new certificate", async || {
        new_client.get(&url).send().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn both_ports_respond_while_a_certificate_file_read_blocks() {
    let (server, [certificate, _], client) = start_with_certificate().await;
    put_fifo(&certificate);
    let mut writer = None;
    until("the server to read the certificate", async || {
        // A server may read the file when it accepts a connection. Not awaited, because such a server does not respond.
        let request = client.get(server.secure_url("/healthz"));
        tokio::spawn(request.send());
        writer = open_if_being_read(&certificate);
        writer.is_some()
    })
    .await;
    for _ in 0..3 {
        let https_request = client.get(server.secure_url("/healthz"));
        ask(https_request).await.expect(200);
        ask(http().get(server.url("/healthz"))).await.expect(200);
    }
    drop(writer);
}
