//! Spreads the phones over several rooms, each of which is checked on its own.

use std::io;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;

use super::client::{self, Device, HttpResponse, pair_request};
use super::simulation::Plan;

/// The most rooms that one device can make.
const ROOMS_PER_MAKER: u32 = 3;

/// Makes rooms until there are `count`, with the house room, and returns a plan for each. The pairings in all rooms are events of the
/// house room, so only in the others each event has a known cause.
///
/// # Errors
/// The server refuses a request.
pub(crate) async fn spread(plan: Plan, count: u32) -> io::Result<Vec<Plan>> {
    if count <= 1 {
        return Ok(vec![plan]);
    }
    let phones = |number: u32| plan.phones / count + u32::from(number < plan.phones % count);
    let mut plans = vec![Plan {
        phones: phones(0).max(1),
        exclusive: false,
        ..plan.clone()
    }];
    let http = Client::builder()
        .no_proxy()
        .build()
        .map_err(io::Error::other)?;
    let mut maker = None;
    for number in 1..count {
        if number % ROOMS_PER_MAKER == 1 {
            let paired = send(pair_request(&http, &plan.url, &plan.code, "maker")).await?;
            maker = Device::from_pair_response(http.clone(), plan.url.clone(), &paired);
        }
        let maker = maker
            .as_ref()
            .ok_or_else(|| io::Error::other("the maker cannot pair"))?;
        let make = maker.request(Method::POST, "/rooms");
        let made = send(make.json(&json!({ "name": format!("Room {number}") }))).await?;
        let made = made.json_or_null();
        let room = made["roomId"].as_str().unwrap_or_default().to_owned();
        let code = send(maker.request(Method::GET, &format!("/rooms/{room}/code"))).await?;
        let code = code.json_or_null()["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        plans.push(Plan {
            phones: phones(number).max(1),
            seed: plan.seed.wrapping_add(number.into()),
            room: Some(room),
            code,
            ..plan.clone()
        });
    }
    Ok(plans)
}

async fn send(request: RequestBuilder) -> io::Result<HttpResponse> {
    let response = client::send(request, std::time::Duration::from_secs(30)).await;
    let response = response.map_err(|error| io::Error::other(error.to_string()))?;
    match response.status {
        200..300 => Ok(response),
        status => Err(io::Error::other(format!("{status}: {}", response.text()))),
    }
}
