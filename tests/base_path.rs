//! `--base-path`: the server answers below a path, and nothing leads out of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use common::phone::{ask, http, local_client};
use common::server::run;
use common::{CODE, Setup, TestServer, raw};
use serde_json::json;

async fn start(base_path: &str) -> TestServer {
    let flag = format!("--base-path={base_path}");
    Setup::fixtures().flag(&flag).start().await
}

#[tokio::test]
async fn everything_is_below_the_base_path_and_nothing_outside() {
    let server = start("/music").await;
    for path in [
        "/music/",
        "/music/js/main.js",
        "/music/qr",
        "/music/healthz",
        "/music/sw.js",
    ] {
        ask(http().get(server.url(path))).await.expect(200);
    }
    for path in [
        "/",
        "/js/main.js",
        "/qr",
        "/healthz",
        "/musical/",
        "/music/music/",
        "/MUSIC/",
    ] {
        ask(http().get(server.url(path))).await.expect_problem(404);
    }
    ask(http().post(server.url("/music")))
        .await
        .expect_problem(404);
    for (path, location) in [("/music", "/music/"), ("/music?a=b", "/music/?a=b")] {
        let response = raw::get(server.address(), path, &["Host: localhost"]).await;
        assert_eq!(response.status, 308);
        assert_eq!(response.header("location"), Some(location));
    }
}

#[tokio::test]
async fn device_pairs_and_uses_the_api_below_the_base_path() {
    let server = start("music/").await;
    let pairing = http().post(server.url("/music/pair"));
    let paired = ask(pairing.json(&json!({ "code": CODE })))
        .await
        .expect(200);
    let cookie = paired.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("; Path=/music/;"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let get = async |path: &str| ask(http().get(server.url(path)).header("cookie", cookie)).await;
    get("/music/snapshot").await.expect(200);
    let rows = get("/music/index").await.expect(200).json();
    let rows = rows.as_array().unwrap();
    let cover_url = rows.iter().find_map(|row| row["coverUrl"].as_str());
    let cover = get(cover_url.unwrap()).await.expect(200);
    assert_eq!(cover.header("content-type"), Some("image/jpeg"));
    let track_id = rows[0]["trackId"].as_str().unwrap();
    get(&format!("/music/file/{track_id}")).await.expect(200);
    let leaving = http().post(server.url("/music/leave"));
    let left = ask(leaving.header("cookie", cookie)).await.expect(204);
    let deletion = left.header("set-cookie").unwrap();
    assert!(deletion.contains("; Path=/music/; Max-Age=0"), "{deletion}");
}

#[tokio::test]
async fn addresses_of_the_page_contain_the_base_path() {
    let server = start("/home/music").await;
    let stdout = server.stdout().join("\n");
    let own_url = server.url("/home/music/");
    assert!(stdout.contains(&format!("open  {own_url}\n")), "{stdout}");
    // Scripts read this line, whose form is the same with every setting.
    let last = format!("listening on {}", server.url(""));
    assert_eq!(stdout.lines().last(), Some(&*last));
    let document = ask(http().get(server.url("/home/music/openapi.yaml"))).await;
    let document = document.expect(200).text();
    assert!(document.contains("servers:\n  - url: /home/music\n"));
}

#[tokio::test]
async fn local_socket_answers_with_and_without_the_base_path() {
    let server = start("/music").await;
    let local = local_client(&server);
    for path in ["/code", "/music/code", "/metrics"] {
        ask(local.get(format!("http://localhost{path}")))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn malformed_base_path_is_refused_at_the_start() {
    for base_path in ["/a b", "/a//b", "/../b", "/a?b"] {
        let setup = Setup::long_tracks().flag(&format!("--base-path={base_path}"));
        let exit = run(setup.command()).await;
        assert_eq!(exit.status.code(), Some(2), "{base_path}");
        assert_eq!(exit.stderr.trim().lines().count(), 1, "{exit:?}");
    }
}
