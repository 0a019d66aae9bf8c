//! The power fails at any moment, which is worse than kill −9: what a process wrote need not be on the disk.
//!
//! `strace` records what the real server asks of the disk while phones command it, and what it tells them. Every
//! beginning of that record is then played to a simulated disk whose power fails there. What the disk may do with
//! what was not synced is as much as POSIX allows, and more than ext4 and btrfs are known to do:
//!
//! - What was written to a file and not synced with it may be there or not, be cut at any length, or be zeros, in whole
//!   or in its first or last pages only. That the file was renamed, or its folder synced, changes nothing about that.
//! - A name that was made, moved or removed, and whose folder was not synced since, may be there, moved or gone, or not, each
//!   regardless of those before and after it. That the file was synced changes nothing about that.
//! - A sync holds for what was asked for before it began, from when it has returned.
//!
//! Whatever such a disk holds must be a state that the server can read, no older than the newest that anybody
//! was told of. How the record is read is in `recording`; what a disk may do, in `simulated_disk`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;
#[path = "power_loss/recording.rs"]
mod recording;
#[path = "power_loss/simulated_disk.rs"]
mod simulated_disk;

use std::collections::{BTreeMap, HashMap};

use common::{Phone, Setup, TestServer, durable};
use recording::Recording;
use serde_json::Value;
use simulated_disk::{Disk, Heeded, Step};

/// How many phones command at once, and how often each.
const PHONES: usize = 4;
const COMMANDS: usize = 12;

/// What happened, and which state each count names, as phones were told.
struct History {
    steps: Vec<Step>,
    told: BTreeMap<u64, Value>,
}

/// Records a server from its first start, over a restart, to its end.
async fn record() -> History {
    let setup = Setup::long_tracks();
    let first = Recording::new(&setup, "first");
    let mut server = setup.started_by(first.command()).start().await;
    let mut told = BTreeMap::new();
    let mut phones = Vec::new();
    for _ in 0..PHONES {
        phones.push(Phone::pair(&server).await);
    }
    for phone in &mut phones {
        phone.listen().await;
    }
    let storms = phones
        .into_iter()
        .enumerate()
        .map(|(n, phone)| tokio::spawn(storm(phone, n)));
    let mut phones = Vec::new();
    for storm in storms.collect::<Vec<_>>() {
        let (phone, heard) = storm.await.unwrap();
        told.extend(heard);
        phones.push(phone);
    }
    let mut steps = end(&mut server, &first).await;

    // The second start finds a state.
    let second = Recording::new(server.setup(), "second");
    server
        .start_again_with(|setup| setup.started_by(second.command()))
        .await;
    let mut phone = phones.swap_remove(0);
    phone.moved_to(&server);
    phone.view = phone.snapshot().await;
    told.extend(storm(phone, 0).await.1);
    steps.extend(end(&mut server, &second).await);

    for count in told.keys() {
        let is_it = |step: &Step| matches!(step, Step::Told(told) if told >= count);
        assert!(
            steps.iter().any(is_it),
            "the record misses that {count} was told"
        );
    }
    History { steps, told }
}

/// Ends the server and reads what it did.
async fn end(server: &mut TestServer, recording: &Recording) -> Vec<Step> {
    let pid = server.pid();
    server.stop().await;
    recording.steps_of(pid).await
}

/// A phone that commands while all the others do, and what it was told.
async fn storm(mut phone: Phone, first: usize) -> (Phone, BTreeMap<u64, Value>) {
    let mut told = BTreeMap::new();
    for n in 0..COMMANDS {
        let answer = match (n + first) % 5 {
            0 => phone.next().await,
            1 => phone.seek((100 + n) as f64).await,
            2 => phone.play(n as f64).await,
            3 => phone.ack(&phone.current()).await,
            _ => phone.pause((200 + n) as f64).await,
        };
        told.insert(
            answer["eventCount"].as_u64().unwrap(),
            durable(&answer["snapshot"]),
        );
    }
    (phone, told)
}

/// What was looked at.
#[derive(Debug, Default)]
struct Looked {
    moments: usize,
    disks: usize,
}

/// Lets the power fail after each step, and looks at all that the disk may hold then.
fn look(history: &History, heeded: Heeded) -> Result<Looked, String> {
    let mut looked = Looked::default();
    let mut disk = Disk::new(heeded);
    let mut newest_told = 0;
    let mut read = HashMap::new();
    for (at, step) in history.steps.iter().enumerate() {
        match step {
            Step::Told(count) => newest_told = newest_told.max(*count),
            Step::Disk(operation) => disk.apply(operation),
        }
        looked.moments += 1;
        for found in disk.after_power_loss("state.json") {
            looked.disks += 1;
            let judged = match found {
                None if newest_told == 0 => Ok(()),
                None => Err("there is no state".to_owned()),
                Some(bytes) => read
                    .entry(bytes)
                    .or_insert_with_key(|bytes| judge(bytes, &history.told))
                    .clone()
                    .and_then(|count| match count >= newest_told {
                        true => Ok(()),
                        false => Err(format!("the state is that of {count}")),
                    }),
            };
            judged.map_err(|why| {
                format!("the power fails after step {at}, when {newest_told} was told: {why}")
            })?;
        }
    }
    Ok(looked)
}

/// The count of the state in `bytes`, if it is one, and the one that was told under that count.
fn judge(bytes: &[u8], told: &BTreeMap<u64, Value>) -> Result<u64, String> {
    let room = lockstep::store::parse(bytes)?;
    let count = room.durable.event_count;
    let found = serde_json::to_value(&room.durable).unwrap();
    match told.get(&count) {
        Some(told) if *told != found => Err(format!("{count} was told to be {told}, not {found}")),
        _ => Ok(count),
    }
}

#[tokio::test]
async fn whenever_the_power_fails_the_disk_holds_a_state_no_older_than_anybody_knows() {
    let history = record().await;
    let looked = look(&history, Heeded::default()).unwrap_or_else(|why| panic!("{why}"));
    println!("{looked:?}, {} states told", history.told.len());
    assert!(history.told.len() >= COMMANDS, "too little happened");

    // This test can fail: on a disk that takes no heed of the one sync or the other, states are lost.
    for (files, folders) in [(false, true), (true, false), (false, false)] {
        let lost = look(&history, Heeded { files, folders });
        println!("files synced: {files}, folders: {folders}: {lost:?}");
        assert!(lost.is_err(), "a sync that makes no difference");
    }
    // Nor would it go unnoticed if phones were told before the last sync has returned.
    let mut hasty = history;
    for at in 1..hasty.steps.len() {
        if matches!(hasty.steps[at], Step::Told(_)) && hasty.steps[at - 1].is_sync() {
            hasty.steps.swap(at - 1, at);
        }
    }
    assert!(look(&hasty, Heeded::default()).is_err());
}
