//! Measures commands in many rooms, and in one room with as many phones. Each phone listens, and sets its own trim again and again: a
//! command that causes an event, and never conflicts with those of others.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until};

use crate::client::Device;
use crate::server::{Server, http_client, send};

/// The most rooms that one device can make.
const ROOMS_PER_MAKER: usize = 3;

/// Phones that listen in their rooms.
pub(crate) struct Crowd {
    phones: Vec<Device>,
    /// Read the event streams.
    readers: Vec<JoinHandle<()>>,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

/// Makes rooms until there are `count`, with the house room. Returns the base URL of each.
pub(crate) async fn make(server: &Server, count: usize) -> Vec<String> {
    let mut urls = vec![server.url("")];
    let mut makers = server.pair_many(count.div_ceil(ROOMS_PER_MAKER)).await;
    for number in 1..count {
        let maker = &mut makers[(number - 1) / ROOMS_PER_MAKER];
        let request = maker.request(Method::POST, "/rooms");
        let name = format!("Room {number}");
        let made = send(request.json(&json!({ "name": name })), 201).await;
        let made = made.json_or_null();
        urls.push(server.url(&format!("/rooms/{}", made["roomId"].as_str().unwrap())));
    }
    urls
}

impl Crowd {
    /// Pairs `phones` devices for each room, which enter and listen.
    pub(crate) async fn gather(server: &Server, rooms: &[String], phones: usize) -> Crowd {
        let mut crowd = Crowd {
            phones: Vec::new(),
            readers: Vec::new(),
        };
        for room in rooms {
            for _ in 0..phones {
                let (mut phone, _) = server.pair(&http_client()).await;
                if *room != phone.base_url {
                    send(
                        phone
                            .http
                            .post(format!("{room}/enter"))
                            .bearer_auth(&phone.token),
                        200,
                    )
                    .await;
                    phone.base_url.clone_from(room);
                }
                let events = phone.request(Method::GET, "/events").send().await;
                let mut events = events.unwrap().error_for_status().unwrap();
                crowd.readers.push(tokio::spawn(async move {
                    while let Ok(Some(_)) = events.chunk().await {}
                }));
                crowd.phones.push(phone);
            }
        }
        crowd
    }

    /// Lets each phone send a command every `interval`, spread evenly, for `duration`. Returns the times from command to response, in
    /// milliseconds.
    pub(crate) async fn measure(&self, interval: Duration, duration: Duration) -> Vec<f64> {
        // What the arrival of the phones has caused is over.
        sleep(Duration::from_secs(2)).await;
        let began = tokio::time::Instant::now();
        let count = self.phones.len() as u32;
        let senders = self
            .phones
            .iter()
            .zip(0..)
            .map(|(phone, number)| async move {
                let mut times = Vec::new();
                let mut due = began + interval * number / count;
                let mut trim_db = 0.0;
                while due < began + duration {
                    sleep_until(due).await;
                    trim_db = f64::abs(trim_db) - 1.0;
                    let body = json!({ "memberId": phone.member, "trimDb": trim_db });
                    let request = phone.request(Method::POST, "/trim").json(&body);
                    let sent_at = Instant::now();
                    send(request, 200).await;
                    times.push(sent_at.elapsed().as_secs_f64() * 1e3);
                    due += interval;
                }
                times
            });
        join_all(senders).await.concat()
    }
}
