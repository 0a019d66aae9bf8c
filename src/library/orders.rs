//! What the keeper of the library is asked and told from outside, and how many such orders become one look at the folder.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::draft::SETTLED;

/// When things change without an end, they are looked at all the same after so long.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What the keeper is asked or told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Something has changed in the folder.
    Noticed,
    /// Changes may have been missed, and may be from now on.
    Deaf,
    /// Somebody wants the folder looked through now, and believed whatever is found.
    Rescan,
}

/// What a look is to do besides looking.
#[derive(Default)]
pub(super) struct Wanted {
    /// Believe whatever is found.
    pub(super) forced: bool,
    /// Watch anew.
    pub(super) watch: bool,
}

impl Wanted {
    fn hear(&mut self, order: Order) {
        match order {
            Order::Noticed => {}
            Order::Deaf => self.watch = true,
            Order::Rescan => self.forced = true,
        }
    }
}

/// Waits until nothing has changed for a while, so that many changes are looked at together. A rescan is wanted at once.
pub(super) fn settle(first: Order, orders: &Receiver<Order>) -> Wanted {
    let deadline = Instant::now() + LONGEST_WAIT;
    let mut wanted = Wanted::default();
    wanted.hear(first);
    while !wanted.forced {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(order) = orders.recv_timeout(SETTLED.min(left)) else {
            break;
        };
        wanted.hear(order);
    }
    // Whoever asks many times asks for one look.
    orders.try_iter().for_each(|order| wanted.hear(order));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_orders_are_one_look_and_a_rescan_does_not_wait() {
        let (asks, orders) = std::sync::mpsc::channel();
        for order in [Order::Rescan, Order::Deaf, Order::Noticed, Order::Rescan] {
            asks.send(order).unwrap();
        }
        let began = Instant::now();
        let wanted = settle(Order::Noticed, &orders);
        assert!(wanted.forced && wanted.watch);
        assert!(began.elapsed() < SETTLED);
        assert!(orders.try_recv().is_err());
    }
}
