//! Several audio folders, folders that cannot be listed, and folders that are away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::phone::{Event, queued_tracks};
use common::{Phone, Setup, music, preload};
use serde_json::json;

/// Adds a short track to `folder`, and waits for the event of the scan that finds it.
async fn add_track(phone: &mut Phone, folder: &Path, name: &str) -> Event {
    let event_count = phone.event_count();
    music::put_wav(&folder.join(name), 5, 1_000);
    phone.durable_event("library.changed", event_count).await
}

fn audio_dir(folder: &Path) -> String {
    format!("--audio-dir={}", folder.display())
}

/// On a failing disk, the system lists some folders only in part.
#[tokio::test]
async fn tracks_of_a_folder_that_fails_while_it_is_listed_stay() {
    let setup = Setup::long_tracks();
    let second = setup.folder().join("second");
    let album = second.join("album");
    fs::create_dir_all(&album).unwrap();
    for n in 0..3 {
        music::put_wav(&album.join(format!("{n}.wav")), 5, 1_000);
        music::put_wav(&second.join(format!("{n}.wav")), 5, 1_000);
    }
    let library = preload::compile("tests/faulty_folder.c", setup.folder());
    let (control, flag) = (setup.folder().join("faulty"), audio_dir(&second));
    let environment = [("LD_PRELOAD", library), ("FAULTY_FOLDER", control.clone())];
    let server = setup.flag(&flag).env(environment).start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let mut expected = 10;
    assert_eq!(queued_tracks(&phone.view).len(), expected);
    let audio = server.setup().audio();
    for (faulty, working) in [(&album, &audio), (&second, &audio), (&audio, &second)] {
        let faulty = faulty.canonicalize().unwrap();
        fs::write(&control, faulty.to_str().unwrap()).unwrap();
        let event = add_track(&mut phone, working, &format!("{expected}.wav")).await;
        assert_eq!(event.payload["removed"], json!([]), "{faulty:?}");
        expected += 1;
        assert_eq!(queued_tracks(&phone.view).len(), expected);
    }
    let log = server.log();
    assert!(!log.contains(" is away"), "{log}");
    assert!(log.contains("Input/output error"), "{log}");

    // Nothing was taken for deleted.
    fs::remove_file(&control).unwrap();
    fs::remove_file(album.join("0.wav")).unwrap();
    let event = add_track(&mut phone, &audio, "last.wav").await;
    assert_eq!(event.payload["removed"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn changes_in_a_folder_below_a_folder_with_the_name_of_junk_are_noticed() {
    let setup = Setup::long_tracks();
    let second = setup.folder().join(".cache/@tmp");
    fs::create_dir_all(&second).unwrap();
    let flag = audio_dir(&second);
    let server = setup.flag(&flag).start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let event = add_track(&mut phone, &second, "x.wav").await;
    assert_eq!(event.payload["added"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn linked_first_folder_that_is_away_at_a_start_loses_nothing() {
    let setup = Setup::long_tracks();
    let (audio, disk) = (setup.audio(), setup.folder().join("disk"));
    let (second, aside) = (setup.folder().join("second"), setup.folder().join("aside"));
    fs::rename(&audio, &disk).unwrap();
    symlink(&disk, &audio).unwrap();
    fs::create_dir(&second).unwrap();
    music::put_wav(&second.join("x.wav"), 5, 1_000);
    let flag = audio_dir(&second);
    let mut server = setup.flag(&flag).start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.nudge(&phone.track_after_current(4)).await;
    let queue = queued_tracks(&phone.view);
    let index = phone.get("/index").await.expect(200);
    server.stop().await;

    fs::rename(&disk, &aside).unwrap();
    server.restart().await;
    phone.use_server(&server);
    phone.listen().await;
    assert_eq!(queued_tracks(&phone.view).len(), 1);
    let event_count = phone.event_count();
    fs::rename(&aside, &disk).unwrap();
    phone.post("/rescan").await.expect(202);
    phone.durable_event("library.changed", event_count).await;
    assert_eq!(queued_tracks(&phone.view), queue);
    let metrics = phone.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("\nlockstep_scan_files_read_total 0\n"));
    assert!(phone.get("/index").await.expect(200).body == index.body);
}

/// The state file must not grow with each file that is renamed.
#[tokio::test]
async fn place_of_a_deleted_track_is_forgotten() {
    let server = Setup::long_tracks().start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let audio = server.setup().audio();
    let event_count = phone.event_count();
    let deleted = phone.track_after_current(1);
    fs::remove_file(audio.join("b second.wav")).unwrap();
    phone.durable_event("library.changed", event_count).await;
    assert!(
        String::from_utf8(server.state())
            .unwrap()
            .contains(&deleted)
    );
    for n in 0..4 {
        add_track(&mut phone, &audio, &format!("{n}.wav")).await;
    }
    let state = String::from_utf8(server.state()).unwrap();
    assert!(!state.contains(&deleted));
}
