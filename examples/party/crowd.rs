//! A crowd of synthetic phones that use a server as phones do, all at once and not always well, and hold it to what
//! the protocol promises. They know it only by its sockets.
//!
//! | module | what lives there |
//! | --- | --- |
//! | `phone`, `hands` | a phone's life; what it does while it listens |
//! | `device`, `download`, `stream`, `press` | requests, downloads, event streams; what can be pressed |
//! | `view` | the room as one stream tells it |
//! | `ledger` | what everybody has seen: `chronicle` (events and states), `devices`, `waits` (barriers), `promises` |
//! | `world`, `report` | what is known beforehand; what was found |

mod chronicle;
mod device;
mod devices;
mod download;
mod hands;
mod ledger;
mod phone;
mod press;
mod promises;
mod report;
mod stream;
mod view;
mod waits;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use device::{Device, Outcome, dial};
use ledger::Ledger;
use phone::{Mood, Phone};
use press::{Press, Slip};
use promises::Promise;
use stream::EventStream;
use view::View;
use waits::Waits;
use world::World;

pub(crate) use ledger::Progress;
pub(crate) use report::Report;

/// How often the crowd looks whether something is overdue.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How soon what is heard is looked at again.
const BLINK: Duration = Duration::from_millis(20);
/// Who comes in the end, so that in every party somebody has to be excused.
const GUESTS: [Mood; 2] = [Mood::Stalled, Mood::Fumbling];
/// How long the last commands may take to reach everybody, and lost phones to come back.
const SETTLING: Duration = Duration::from_secs(60);

/// What is to happen.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// `http://HOST:PORT`.
    pub(crate) url: String,
    /// The pairing code.
    pub(crate) code: String,
    /// How many phones.
    pub(crate) phones: u32,
    /// For how long they press and go.
    pub(crate) length: Duration,
    /// What the choices come from.
    pub(crate) seed: u64,
    /// The server's `--leave-grace-ms`.
    pub(crate) grace: Duration,
    /// Whether nobody else uses the server, so that all that happens is the crowd's doing.
    pub(crate) alone: bool,
}

/// Has the crowd do as planned. `tell` is told how it goes, twice a second.
///
/// # Errors
/// The server cannot be used at all.
pub(crate) async fn run(plan: Plan, tell: impl Fn(&Progress)) -> io::Result<Report> {
    let (quieten, quiet) = watch::channel(false);
    let world = Arc::new(look_up(plan, quiet).await?);
    let (watcher, stream, view) = begin_watching(&world).await?;
    let first = view.count;
    let mut tasks = JoinSet::new();
    tasks.spawn(watch_all(world.clone(), stream, view));
    for number in 1..=world.plan.phones {
        tasks.spawn(Phone::new(world.clone(), number).live());
    }
    let end = Instant::now() + world.plan.length;
    let mut ticks = interval(LOOK_PAUSE);
    while Instant::now() < end {
        ticks.tick().await;
        tend(&world, &watcher).await;
        tell(&world.ledger.progress(world.plan.phones as usize));
    }
    quieten.send_replace(true);
    settle(&world, &watcher).await;
    outwait(&world, &watcher, &mut tasks).await;
    catch_up(&world, &watcher).await;
    // Gone at once, as they came: their last requests have no outcome.
    tasks.shutdown().await;
    let mut book = world.ledger.book();
    let book = &mut *book;
    let alone = world.plan.alone;
    book.chronicle.audit(first, alone, &mut book.promises);
    if alone {
        let (waits, promises) = (&book.waits, &mut book.promises);
        book.chronicle
            .nobody_skipped_unasked(first, &waits.start_at_once, promises);
    }
    Ok(Report::of(book, &world.plan))
}

/// Finds the server and its music.
async fn look_up(plan: Plan, quiet: watch::Receiver<bool>) -> io::Result<World> {
    let address = find(&plan.url).await?;
    let index = index(address, &plan.code).await.map_err(io::Error::other)?;
    Ok(World {
        ledger: Ledger::new(plan.grace),
        plan,
        address,
        tracks: world::tracks(&index),
        quiet,
    })
}

async fn find(url: &str) -> io::Result<SocketAddr> {
    let host = url.strip_prefix("http://").unwrap_or(url);
    let host = host.trim_end_matches('/');
    let mut addresses = tokio::net::lookup_host(host).await?;
    addresses
        .next()
        .ok_or_else(|| io::Error::other(format!("{host} has no address")))
}

/// The index, for a device that is there for nothing else.
async fn index(address: SocketAddr, code: &str) -> reqwest::Result<Value> {
    let (http, url) = (dial(), format!("http://{address}"));
    let body = json!({ "code": code, "clientName": "scout" });
    let pairing = http.post(format!("{url}/pair")).json(&body).send().await?;
    let paired: Value = pairing.error_for_status()?.json().await?;
    let token = paired["clientId"].as_str().unwrap_or_default();
    let request = |method, path| {
        http.request(method, format!("{url}{path}"))
            .bearer_auth(token)
    };
    let rows = request(Method::GET, "/index").send().await?;
    let rows = rows.error_for_status()?.json().await?;
    let left = request(Method::POST, "/leave").send().await?;
    left.error_for_status()?;
    Ok(rows)
}

/// Pairs the one device that only follows, and is never interrupted.
async fn begin_watching(world: &Arc<World>) -> io::Result<(Device, EventStream, View)> {
    let trouble = |what: String| io::Error::other(what);
    let watcher = Device::pair(world, "watcher")
        .await
        .ok_or_else(|| trouble("the server pairs nobody".into()))?;
    let request = watcher.request(Method::GET, "/events?role=remote");
    let mut stream = EventStream::open(request).await.map_err(trouble)?;
    let first = stream.next().await.map_err(trouble)?;
    let mut view = View::of(first.payload.clone()).map_err(|(_, text)| trouble(text))?;
    world.ledger.watch(&first, &mut view);
    Ok((watcher, stream, view))
}

/// Follows the room from beginning to end.
async fn watch_all(world: Arc<World>, mut stream: EventStream, mut view: View) {
    loop {
        match stream.next().await {
            Ok(event) => {
                if !world.ledger.watch(&event, &mut view) {
                    return;
                }
            }
            Err(breach) => return world.ledger.hold(Promise::ComesBack, Some(breach)),
        }
    }
}

/// Looks whether anything takes too long. Before it says so it asks the server: what was heard may be behind.
async fn tend(world: &World, watcher: &Device) {
    {
        let book = &mut *world.ledger.book();
        book.devices.give_up_lost(&mut book.promises);
    }
    match world.ledger.is_anybody_overdue() {
        Some(true) => {
            if let Some(shown) = watcher.look().await {
                world.ledger.cry_overdue(shown);
            }
        }
        Some(false) => world.ledger.hold(Promise::Patience, None),
        None => {}
    }
}

/// Tends until that holds; whether it does in the end.
async fn tend_until(world: &World, watcher: &Device, holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + SETTLING;
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK_PAUSE).await;
        tend(world, watcher).await;
    }
    true
}

/// Waits until everybody is back and has heard of everything.
async fn settle(world: &World, watcher: &Device) {
    let back = tend_until(world, watcher, || {
        let devices = &world.ledger.book().devices;
        devices.here() == world.plan.phones as usize && devices.all_delivered()
    });
    let breach = (!back.await).then(|| "not everybody is back in the end".into());
    world.ledger.hold(Promise::ComesBack, breach);
}

/// However short the party was: two guests come who never get ready, the next track is asked for, and the wait for
/// them ends. By then nobody else presses anything, and nobody is slow.
async fn outwait(world: &Arc<World>, watcher: &Device, tasks: &mut JoinSet<()>) {
    if world.tracks.is_empty() {
        return;
    }
    let all = world.plan.phones as usize + GUESTS.len();
    for (mood, number) in GUESTS.into_iter().zip(world.plan.phones + 1..) {
        tasks.spawn(Phone::always(mood, world.clone(), number).live());
    }
    let waits = |look: fn(&Waits) -> Option<u64>| look(&world.ledger.book().waits);
    let here = || world.ledger.book().devices.here() == all;
    let mut kept = tend_until(world, watcher, here).await;
    let before = waits(|waits| Some(waits.opened));
    let asked = timeout(SETTLING, ask_for_next(world, watcher)).await;
    kept &= asked.is_ok();
    kept &= tend_until(world, watcher, || {
        waits(|waits| Some(waits.opened)) > before
    })
    .await;
    if let Some(opened_at) = waits(Waits::opened_at) {
        let over = || waits(Waits::opened_at) != Some(opened_at);
        kept &= tend_until(world, watcher, over).await;
    }
    let breach = (!kept).then(|| {
        let waits = &world.ledger.book().waits;
        format!(
            "guests who never get ready do not come, or are still waited for in the end: {waits:?}"
        )
    });
    world.ledger.hold(Promise::Patience, breach);
}

/// Asks until it is granted and heard of.
async fn ask_for_next(world: &World, watcher: &Device) {
    loop {
        let view = world.ledger.book().watched().cloned();
        let Some(view) = view else { return };
        let outcome = watcher.press(&Press::Next, Slip::None, &view, true).await;
        while world.ledger.book().watched().map(|now| now.count) == Some(view.count) {
            sleep(BLINK).await;
        }
        if outcome == Some(Outcome::Accepted) {
            return;
        }
    }
}

/// Compares one last time.
async fn catch_up(world: &World, watcher: &Device) {
    let Some(shown) = watcher.look().await else {
        return;
    };
    let heard = async {
        while world.ledger.book().watched().map(|view| view.count) < Some(shown) {
            sleep(BLINK).await;
        }
    };
    let heard = timeout(SETTLING, heard).await;
    world.ledger.hold(
        Promise::Reaches,
        heard.err().map(|_| "the last events are not heard".into()),
    );
}
