//! Power loss at every point of a recorded run of the server. Unlike after `kill -9`, written data may be missing on the disk.
//!
//! `strace` records the system calls of the real server on its state folder, and the messages that it sends, while phones send
//! commands. Each prefix of the recording is replayed on a simulated disk that then loses power. The simulated disk may treat
//! unsynced data as badly as POSIX allows, which is worse than ext4 and btrfs are known to do:
//!
//! - Unsynced file content may be present or absent, cut at any length, or zeroed, completely or in its first or last pages.
//!   A rename of the file or a sync of its folder does not change that.
//! - A created, renamed or removed name whose folder was not synced afterwards may be in its old or new state, independently of
//!   earlier and later changes. A sync of the file does not change that.
//! - When a sync returns, the operations that were issued before its start are durable.
//!
//! Every possible content of that disk must be a state that the server can read, no older than the newest state that a client
//! has received. `recording` parses the trace; `simulated_disk` models the disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;
#[path = "power_loss/recording.rs"]
mod recording;
#[path = "power_loss/simulated_disk.rs"]
mod simulated_disk;

use std::collections::{BTreeMap, HashMap};

use common::{Phone, Setup, TestServer, durable_state};
use recording::Recording;
use serde_json::Value;
use simulated_disk::{Disk, HonouredSyncs, Step};

/// Number of phones that send commands at the same time.
const PHONE_COUNT: usize = 4;
/// Number of commands that each phone sends.
const COMMANDS_PER_PHONE: usize = 12;

/// The recorded run.
struct History {
    steps: Vec<Step>,
    /// Each state that a phone has received, by event count.
    announced: BTreeMap<u64, Value>,
}

/// Records a server over two runs: a first start and a restart.
async fn record_history() -> History {
    let setup = Setup::long_tracks();
    let first_recording = Recording::new(&setup, "first");
    let mut server = setup
        .launch_command(first_recording.command())
        .start()
        .await;
    let mut announced = BTreeMap::new();
    let mut phones = Vec::new();
    for _ in 0..PHONE_COUNT {
        phones.push(Phone::pair(&server).await);
    }
    for phone in &mut phones {
        phone.listen().await;
    }
    let sender_tasks = phones
        .into_iter()
        .enumerate()
        .map(|(phone_index, phone)| tokio::spawn(send_commands(phone, phone_index)));
    let mut phones = Vec::new();
    for sender in sender_tasks.collect::<Vec<_>>() {
        let (phone, states) = sender.await.unwrap();
        announced.extend(states);
        phones.push(phone);
    }
    let mut steps = stop_and_parse(&mut server, &first_recording).await;

    // The second start loads an existing state.
    let second_recording = Recording::new(server.setup(), "second");
    server
        .restart_with(|setup| setup.launch_command(second_recording.command()))
        .await;
    let mut phone = phones.swap_remove(0);
    phone.use_server(&server);
    phone.view = phone.snapshot().await;
    announced.extend(send_commands(phone, 0).await.1);
    steps.extend(stop_and_parse(&mut server, &second_recording).await);

    for event_count in announced.keys() {
        let announces_count =
            |step: &Step| matches!(step, Step::Announced(sent) if sent >= event_count);
        assert!(
            steps.iter().any(announces_count),
            "the recording lacks the message with event count {event_count}"
        );
    }
    History { steps, announced }
}

/// Stops the server and parses its recording.
async fn stop_and_parse(server: &mut TestServer, recording: &Recording) -> Vec<Step> {
    let pid = server.pid();
    server.stop().await;
    recording.parse_steps(pid).await
}

/// Sends [`COMMANDS_PER_PHONE`] commands in a fixed cycle that starts at position `first_command`. Returns the phone and, by event
/// count, the states in the responses.
async fn send_commands(mut phone: Phone, first_command: usize) -> (Phone, BTreeMap<u64, Value>) {
    let mut announced = BTreeMap::new();
    for command_index in 0..COMMANDS_PER_PHONE {
        let response = match (command_index + first_command) % 5 {
            0 => phone.next().await,
            1 => phone.seek((100 + command_index) as f64).await,
            2 => phone.play(command_index as f64).await,
            3 => phone.ack(&phone.current_track()).await,
            _ => phone.pause((200 + command_index) as f64).await,
        };
        announced.insert(
            response["eventCount"].as_u64().unwrap(),
            durable_state(&response["snapshot"]),
        );
    }
    (phone, announced)
}

/// The extent of a check.
#[derive(Debug, Default)]
struct CheckCounts {
    /// Number of simulated power losses.
    power_losses: usize,
    /// Number of contents of the state file that were checked.
    disk_contents: usize,
}

/// Simulates a power loss after each step and checks every possible content of the disk.
fn check_all_power_losses(
    history: &History,
    honoured_syncs: HonouredSyncs,
) -> Result<CheckCounts, String> {
    let mut counts = CheckCounts::default();
    let mut disk = Disk::new(honoured_syncs);
    let mut newest_announced_event_count = 0;
    let mut checked_states = HashMap::new();
    for (index, step) in history.steps.iter().enumerate() {
        match step {
            Step::Announced(event_count) => {
                newest_announced_event_count = newest_announced_event_count.max(*event_count)
            }
            Step::Disk(operation) => disk.apply(operation),
        }
        counts.power_losses += 1;
        for disk_content in disk.contents_after_power_loss("state.json") {
            counts.disk_contents += 1;
            let result = match disk_content {
                None if newest_announced_event_count == 0 => Ok(()),
                None => Err("the state file is missing".to_owned()),
                Some(bytes) => checked_states
                    .entry(bytes)
                    .or_insert_with_key(|bytes| check_state(bytes, &history.announced))
                    .clone()
                    .and_then(
                        |event_count| match event_count >= newest_announced_event_count {
                            true => Ok(()),
                            false => Err(format!("the state has the event count {event_count}")),
                        },
                    ),
            };
            result.map_err(|error| {
                format!("power loss after step {index}, with event count {newest_announced_event_count} announced: {error}")
            })?;
        }
    }
    Ok(counts)
}

/// The event count of the state in `bytes`. An error if the state differs from the announced state with the same event count.
fn check_state(bytes: &[u8], announced: &BTreeMap<u64, Value>) -> Result<u64, String> {
    let room = lockstep::store::parse(bytes)?;
    let event_count = room.durable.event_count;
    let state = serde_json::to_value(&room.durable).unwrap();
    match announced.get(&event_count) {
        Some(announced) if *announced != state => Err(format!(
            "event count {event_count} was announced as {announced}, but the file has {state}"
        )),
        _ => Ok(event_count),
    }
}

#[tokio::test]
async fn power_loss_at_any_step_keeps_every_state_that_a_client_received() {
    let history = record_history().await;
    let counts = check_all_power_losses(&history, HonouredSyncs::default())
        .unwrap_or_else(|error| panic!("{error}"));
    println!("{counts:?}, {} states announced", history.announced.len());
    assert!(
        history.announced.len() >= COMMANDS_PER_PHONE,
        "the phones received too few states"
    );

    // The check must fail for a disk that ignores syncs of files or of folders, because announced states are lost.
    for (file_syncs, folder_syncs) in [(false, true), (true, false), (false, false)] {
        let result = check_all_power_losses(
            &history,
            HonouredSyncs {
                files: file_syncs,
                folders: folder_syncs,
            },
        );
        println!(
            "file syncs honoured: {file_syncs}, folder syncs honoured: {folder_syncs}: {result:?}"
        );
        assert!(
            result.is_err(),
            "the check succeeded although the disk ignored syncs"
        );
    }
    // The check must also fail if states are announced before the last sync has returned.
    let mut announced_too_early = history;
    for index in 1..announced_too_early.steps.len() {
        if matches!(announced_too_early.steps[index], Step::Announced(_))
            && announced_too_early.steps[index - 1].is_sync()
        {
            announced_too_early.steps.swap(index - 1, index);
        }
    }
    let result = check_all_power_losses(&announced_too_early, HonouredSyncs::default());
    assert!(
        result.is_err(),
        "the check succeeded although states were announced too early"
    );
}
