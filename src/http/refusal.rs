//! Words the refusals of the room's rules: who may do what a device may not.

use crate::room::{DurableState, MemberId, Refusal};

/// Words a refusal: names the members who may do it, or says what is not possible and why.
pub(super) fn sentence(refusal: Refusal, room: &DurableState) -> String {
    let hosts: Vec<_> = room.hosts.iter().map(|host| name(room, *host)).collect();
    let hosts = match &hosts[..] {
        [] => None,
        [host] => Some(format!("{host} is host")),
        [others @ .., last] => Some(format!("{} and {last} are hosts", others.join(", "))),
    };
    let dj = room.dj.map(|dj| format!("{} is DJ", name(room, dj)));
    let no_host = "There is no host yet: the first to change a rule becomes host";
    match refusal {
        Refusal::HostsOnly => hosts.unwrap_or_else(|| no_host.into()),
        Refusal::DjOnly => dj.or(hosts).unwrap_or_else(|| no_host.into()),
        Refusal::OwnerOnly(Some(owner)) => owner_sentence(&name(room, owner), [hosts]),
        Refusal::OwnerOnly(None) => hosts.unwrap_or_else(|| no_host.into()),
        Refusal::PickerOnly(Some(owner)) => owner_sentence(&name(room, owner), [dj, hosts]),
        Refusal::PickerOnly(None) => match (dj, hosts) {
            (Some(dj), Some(hosts)) => format!("{dj}, and {hosts}"),
            (dj, hosts) => dj.or(hosts).unwrap_or_else(|| no_host.into()),
        },
        Refusal::OrderedByRule => {
            "Tracks cannot be moved here: the rules determine their order".into()
        }
        Refusal::SkipVotesAreOff => {
            "Skipping by vote is not possible here: the rules do not permit it".into()
        }
        Refusal::ChatIsOff => "Messages cannot be written here: the chat is off".into(),
    }
}

/// Names the owner of something, and the others who may change it.
fn owner_sentence<const N: usize>(owner: &str, others: [Option<String>; N]) -> String {
    let others: Vec<_> = others.into_iter().flatten().collect();
    match others.split_last() {
        None => format!("This is for {owner}"),
        Some((last, [])) => format!("This is for {owner}, and {last}"),
        Some((last, others)) => format!("This is for {owner}, {}, and {last}", others.join(", ")),
    }
}

/// The name of a device, as the page shows it.
fn name(room: &DurableState, member: MemberId) -> String {
    let client = room.clients.get(&member);
    let name = client.map(|client| client.name.clone());
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("Phone {}", member.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::room::{Client, Room};

    fn room(hosts: &[u32], dj: Option<u32>) -> DurableState {
        let names = ["Ada", "Ben", "", "Cleo"];
        let clients: BTreeMap<_, _> = (1..)
            .zip(names)
            .map(|(n, name)| {
                let name = name.to_owned();
                let client = Client {
                    name,
                    ..Client::default()
                };
                (MemberId(n), client)
            })
            .collect();
        DurableState {
            clients: Arc::new(clients),
            hosts: Arc::new(hosts.iter().copied().map(MemberId).collect()),
            dj: dj.map(MemberId),
            ..Room::default().durable
        }
    }

    #[test]
    fn sentences_name_who_may() {
        let no_host = "There is no host yet: the first to change a rule becomes host";
        for (refusal, hosts, dj, expected) in [
            (Refusal::HostsOnly, &[1][..], None, "Ada is host"),
            (
                Refusal::HostsOnly,
                &[1, 2],
                Some(4),
                "Ada and Ben are hosts",
            ),
            (
                Refusal::HostsOnly,
                &[1, 2, 3],
                None,
                "Ada, Ben and Phone 3 are hosts",
            ),
            (Refusal::HostsOnly, &[], None, no_host),
            (Refusal::DjOnly, &[1], Some(2), "Ben is DJ"),
            (Refusal::DjOnly, &[1], None, "Ada is host"),
            (Refusal::DjOnly, &[], None, no_host),
            (
                Refusal::OwnerOnly(Some(MemberId(2))),
                &[1],
                None,
                "This is for Ben, and Ada is host",
            ),
            (
                Refusal::OwnerOnly(Some(MemberId(2))),
                &[],
                Some(4),
                "This is for Ben",
            ),
            (Refusal::OwnerOnly(None), &[1], Some(4), "Ada is host"),
            (
                Refusal::PickerOnly(Some(MemberId(2))),
                &[1],
                Some(4),
                "This is for Ben, Cleo is DJ, and Ada is host",
            ),
            (
                Refusal::PickerOnly(Some(MemberId(2))),
                &[],
                Some(4),
                "This is for Ben, and Cleo is DJ",
            ),
            (
                Refusal::PickerOnly(None),
                &[1],
                Some(4),
                "Cleo is DJ, and Ada is host",
            ),
            (Refusal::PickerOnly(None), &[1], None, "Ada is host"),
            (
                Refusal::SkipVotesAreOff,
                &[1],
                Some(4),
                "Skipping by vote is not possible here: the rules do not permit it",
            ),
        ] {
            assert_eq!(sentence(refusal, &room(hosts, dj)), expected, "{refusal:?}");
        }
    }
}
