//! The local socket and `lockstep code`: what the user of this machine may see without a token, and who else may not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use common::phone::{ask, http, local_client};
use common::server::{EXECUTABLE, bare_command, copy_executable_to, run};
use common::{CODE, Exit, Phone, Setup, TestServer};
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

/// Runs `lockstep code` with these arguments, in a folder without a server.
async fn print_code(folder: &Path, arguments: &[&str]) -> Exit {
    let mut command = bare_command(Path::new(EXECUTABLE));
    command.current_dir(folder).arg("code").args(arguments);
    run(command).await
}

#[tokio::test]
async fn code_subcommand_prints_the_pairing_code_and_nothing_else() {
    let server = TestServer::start().await;
    Phone::pair(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let state_file = server.setup().state_file();
    let socket = server.setup().local_socket();
    for arguments in [
        ["--state-file", state_file.to_str().unwrap()],
        ["--local-socket", socket.to_str().unwrap()],
    ] {
        let exit = print_code(folder.path(), &arguments).await;
        assert!(exit.status.success(), "{exit:?}");
        assert_eq!(exit.stdout, format!("{CODE}\n"));
        assert_eq!(exit.stderr, "");
    }
    // The flag may precede the subcommand, too, and the environment names the state file as for the server.
    let mut command = bare_command(Path::new(EXECUTABLE));
    command.arg("--state-file").arg(&state_file).arg("code");
    assert_eq!(run(command).await.stdout, format!("{CODE}\n"));
    let mut command = bare_command(Path::new(EXECUTABLE));
    command.env("STATE_FILE", &state_file).arg("code");
    assert_eq!(run(command).await.stdout, format!("{CODE}\n"));
}

#[tokio::test]
async fn code_subcommand_says_in_one_line_that_no_server_runs() {
    let mut server = TestServer::start().await;
    let socket = server.setup().local_socket();
    let folder = server.setup().folder().to_owned();
    let argument = socket.to_str().unwrap().to_owned();
    server.stop().await;
    assert!(!socket.exists(), "the socket is left after a shutdown");
    server.restart().await;
    server.kill().await;
    assert!(socket.exists());
    for path in [&*argument, "/nowhere"] {
        let exit = print_code(&folder, &["--local-socket", path]).await;
        assert_eq!(exit.status.code(), Some(1), "{exit:?}");
        assert_eq!(exit.stdout, "");
        assert_eq!(exit.stderr.trim().lines().count(), 1, "{exit:?}");
        assert!(exit.stderr.contains(path), "{exit:?}");
    }
    // A killed server's socket does not prevent the next start.
    server.restart().await;
    let exit = print_code(&folder, &["--local-socket", &argument]).await;
    assert_eq!(exit.stdout, format!("{CODE}\n"));
}

#[tokio::test]
async fn local_socket_shows_code_metrics_and_debug_state_without_a_token() {
    let server = Setup::long_tracks().flag("--debug").start().await;
    Phone::pair(&server).await;
    let local = local_client(&server);
    let get = async |path: &str| ask(local.get(format!("http://localhost{path}"))).await;
    assert_eq!(
        get("/code").await.expect(200).json(),
        json!({ "code": CODE })
    );
    get("/metrics").await.expect(200);
    get("/debug/state").await.expect(200);
    get("/healthz").await.expect(200);
    // A client of the socket may call the server by any name.
    ask(local.get("http://lockstep/code")).await.expect(200);
    // Everything else needs a token, as over the network.
    for path in ["/snapshot", "/index", "/events", "/clock"] {
        get(path).await.expect_problem(401);
    }
    ask(local.post("http://localhost/rescan"))
        .await
        .expect_problem(401);
    for path in ["/metrics", "/debug/state"] {
        let response = ask(http().get(server.url(path))).await;
        response.expect_problem(401);
    }
}

#[tokio::test]
async fn paired_device_can_use_the_whole_api_on_the_local_socket() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let local = local_client(&server);
    let command = local
        .request(Method::POST, "http://localhost/next")
        .bearer_auth(&phone.token)
        .header("if-match-event", phone.event_count());
    ask(command).await.expect(200);
    phone
        .durable_event("queue.advanced", phone.event_count())
        .await;
}

#[tokio::test]
async fn other_users_cannot_open_the_local_socket() {
    let server = TestServer::start().await;
    let metadata = fs::symlink_metadata(server.setup().local_socket()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.mode() & 0o777, 0o600);
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = copy_executable_to(folder.path()).await;
    let mut command: Command = bare_command(Path::new("setpriv"));
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(copy).args(["code", "--local-socket"]);
    command.arg(server.setup().local_socket());
    let exit = run(command).await;
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert!(exit.stderr.contains("may not open it"), "{exit:?}");
}

#[tokio::test]
async fn server_runs_without_a_local_socket_and_logs_one_line() {
    let setup = Setup::long_tracks();
    let long_path = setup.folder().join("x".repeat(120));
    let file = setup.folder().join("file");
    fs::write(&file, "content").unwrap();
    let used_path = setup.folder().join("used");
    let _listener = UnixListener::bind(&used_path).unwrap();
    let paths = [long_path, file.clone(), used_path, "/nowhere/socket".into()];
    let flag = |path: &Path| format!("--local-socket={}", path.display());
    let mut server = setup.flag(&flag(&paths[0])).start().await;
    for path in &paths {
        server.stop().await;
        fs::write(server.setup().log_file(), "").unwrap();
        server.restart_with(|setup| setup.flag(&flag(path))).await;
        Phone::pair(&server).await;
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains("no local socket"));
        assert_eq!(lines.count(), 1, "{path:?}: {log}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"content");
}
