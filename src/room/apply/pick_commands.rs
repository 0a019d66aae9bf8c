//! The commands that change the picks: `pick`, `nudge`, `unpick` and `move`.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::id::{MemberId, TrackId};
use super::super::pick_order;
use super::super::picks::Pick;
use super::super::queue;
use super::super::rules::PickOrder;
use super::super::transition::Transition;

impl Transition {
    /// Makes tracks picks, behind the earlier ones. Passes over the current track and earlier picks.
    pub(super) fn pick(&mut self, member: MemberId, tracks: &[TrackId]) -> Result<(), Rejection> {
        self.expect_known_tracks(tracks)?;
        let durable = &self.room.durable;
        let picks = durable.picks.iter().map(|pick| pick.track_id);
        let mut in_line: HashSet<_> = picks.chain(self.room.current_track_id()).collect();
        let track_ids: Vec<_> = tracks
            .iter()
            .copied()
            .filter(|track| in_line.insert(*track))
            .collect();
        let after = durable.last_pick_or_current_id();
        let after = after
            .filter(|_| !track_ids.is_empty())
            .ok_or(Rejection::NothingToPick)?;
        self.expect_room_for_picks(member, track_ids.len())?;
        self.move_in_ring(&track_ids, after);
        self.append_picks(Some(member), &track_ids);
        if self.room.durable.rules.order != PickOrder::First {
            self.sort_picks();
        }
        self.emit(EventKind::QueuePicked { track_ids });
        Ok(())
    }

    /// Makes a track the first pick. A track that was a pick already stays that of the device that picked it. If the rules
    /// determine the order of the picks, the pick is pinned, so that it stays before the others.
    pub(super) fn nudge(&mut self, member: MemberId, track_id: TrackId) -> Result<(), Rejection> {
        self.expect_known_track(track_id)?;
        let current = self.current_track_id()?;
        if track_id == current {
            return Err(Rejection::AlreadyCurrent);
        }
        if self.room.durable.pick_position(track_id).is_none() {
            self.expect_room_for_picks(member, 1)?;
            self.append_picks(Some(member), &[track_id]);
        }
        self.move_in_ring(&[track_id], current);
        self.make_first_pick(track_id);
        self.emit(EventKind::QueueNudged { track_id });
        Ok(())
    }

    /// Makes a pick that directly follows the current track the first one. If the rules determine the order, pins it, and sorts the
    /// others: the start of a pick that was promised until now may have kept one in front.
    pub(super) fn make_first_pick(&mut self, track_id: TrackId) {
        let durable = &mut self.room.durable;
        let is_pinned = durable.rules.order != PickOrder::First;
        if let Some(mut pick) = durable.take_pick(track_id) {
            pick.pinned = is_pinned;
            Arc::make_mut(&mut durable.picks).insert(0, pick);
        }
        match is_pinned {
            true => self.sort_picks(),
            false => self.keep_order_of_arrival(),
        }
    }

    /// Moves picks to the end of the ring. Passes over tracks that are not picks.
    pub(super) fn unpick(&mut self, tracks: &[TrackId]) -> Result<(), Rejection> {
        self.expect_known_tracks(tracks)?;
        let durable = &self.room.durable;
        let picks = durable.picks.iter().map(|pick| pick.track_id);
        let mut picked: HashSet<_> = picks.collect();
        let named = tracks.iter().copied();
        let track_ids: Vec<_> = named.filter(|track| picked.remove(track)).collect();
        if track_ids.is_empty() {
            return Err(Rejection::NotPicked);
        }
        let current = self.current_track_id()?;
        let durable = &mut self.room.durable;
        Arc::make_mut(&mut durable.picks).retain(|pick| picked.contains(&pick.track_id));
        let (new_queue, index) = queue::move_before(&durable.queue, current, &track_ids);
        durable.queue = Arc::new(new_queue);
        durable.queue_index = index;
        self.emit(EventKind::QueueUnpicked { track_ids });
        Ok(())
    }

    /// Moves a pick to before the pick `before`, or behind all picks.
    pub(super) fn move_pick(
        &mut self,
        track_id: TrackId,
        before: Option<TrackId>,
    ) -> Result<(), Rejection> {
        self.expect_known_track(track_id)?;
        let current = self.current_track_id()?;
        if let Some(before) = before {
            self.expect_known_track(before)?;
        }
        let durable = &mut self.room.durable;
        let is_pick = |track| durable.pick_position(track).is_some();
        if !is_pick(track_id) || !before.is_none_or(is_pick) {
            return Err(Rejection::NotPicked);
        }
        if before != Some(track_id) {
            if let Some(pick) = durable.take_pick(track_id) {
                let at = before.and_then(|before| durable.pick_position(before));
                let at = at.unwrap_or(durable.picks.len());
                let after = at.checked_sub(1).map(|at| durable.picks[at].track_id);
                Arc::make_mut(&mut durable.picks).insert(at, pick);
                self.move_in_ring(&[track_id], after.unwrap_or(current));
                self.keep_order_of_arrival();
            }
        }
        self.emit(EventKind::QueueMoved { track_id, before });
        Ok(())
    }

    /// Rejects picks beyond the limit of the rules for one device.
    fn expect_room_for_picks(&self, member: MemberId, count: usize) -> Result<(), Rejection> {
        let durable = &self.room.durable;
        let limit = durable.rules.max_picks;
        let is_exempt = limit == 0 || self.room.has_host_rights(member) || durable.is_dj(member);
        let own = durable.picks.iter().filter(|pick| pick.by == Some(member));
        match is_exempt || own.count() + count <= limit as usize {
            true => Ok(()),
            false => Err(Rejection::TooManyPicks { limit }),
        }
    }

    /// Adds picks of a device behind the others, without moving them in the ring.
    pub(super) fn append_picks(&mut self, by: Option<MemberId>, tracks: &[TrackId]) {
        let places = Arc::make_mut(&mut self.room.private.pick_places);
        let picks = Arc::make_mut(&mut self.room.durable.picks);
        pick_order::append(places, picks, by, tracks);
        picks.extend(tracks.iter().map(|track| Pick::new(*track, by)));
    }

    /// Records the order of the picks as the order in which they came.
    fn keep_order_of_arrival(&mut self) {
        let places = Arc::make_mut(&mut self.room.private.pick_places);
        pick_order::set_order_of_arrival(places, &self.room.durable.picks);
    }

    /// Puts the picks into the order of the rules, also in the ring. One whose start is promised stays first.
    pub(in crate::room) fn sort_picks(&mut self) {
        let promised = self.room.live.segue.map(|segue| segue.track_id);
        self.sort_picks_behind(promised);
    }

    /// Puts the picks into the order of the rules, also in the ring; `first` stays first, if it is.
    pub(super) fn sort_picks_behind(&mut self, first: Option<TrackId>) {
        let durable = &mut self.room.durable;
        let mut picks = durable.picks.to_vec();
        let places = &self.room.private.pick_places;
        pick_order::sort(&mut picks, durable.rules.order, places, first);
        if picks != *durable.picks {
            durable.picks = Arc::new(picks);
            self.place_picks();
        }
    }

    /// Moves the picks to directly after the current track, in their order.
    fn place_picks(&mut self) {
        let picks = self.room.durable.picks.iter();
        let tracks: Vec<_> = picks.map(|pick| pick.track_id).collect();
        if let Some(current) = self.room.current_track_id() {
            self.move_in_ring(&tracks, current);
        }
    }

    /// Moves tracks of the queue, none of which is the current one, to directly after the track `after`.
    pub(super) fn move_in_ring(&mut self, tracks: &[TrackId], after: TrackId) {
        let durable = &mut self.room.durable;
        let Some(current) = durable.queue.get(durable.queue_index) else {
            return;
        };
        let (new_queue, index) = queue::move_after(&durable.queue, *current, tracks, after);
        durable.queue = Arc::new(new_queue);
        durable.queue_index = index;
    }

    /// Rejects a command that names a track that is not in the queue.
    pub(super) fn expect_known_track(&self, track: TrackId) -> Result<(), Rejection> {
        self.expect_known_tracks(&[track])
    }

    fn expect_known_tracks(&self, tracks: &[TrackId]) -> Result<(), Rejection> {
        let catalog = &self.room.catalog;
        if tracks.iter().all(|track| catalog.contains(*track)) {
            Ok(())
        } else {
            Err(Rejection::UnknownTrack)
        }
    }
}
