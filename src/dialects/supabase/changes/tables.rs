//! What has become of a channel's tables: their columns and rights, and those that come and go.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    channel::{Changes, Said, WATCHES},
    places::{Places, resolve, wanted},
};
use crate::{error::Result, session::Next, topic::Topic};

impl Changes {
    /// Wishes anew where columns were heard to be others than those that the wishes were made for.
    pub(super) async fn keep_to_columns(&mut self) -> Result<()> {
        let altered = self.source.hub.altered().filter(|altered| self.as_of <= *altered);
        if altered.is_none() || self.stale {
            return Ok(());
        }
        let as_of = Instant::now();
        for relation in self.places.keys().cloned().collect::<Vec<_>>() {
            self.refresh(&relation, altered).await?;
        }
        if !self.stale {
            self.follower.want(&wanted(&self.places));
            self.as_of = as_of;
        }
        Ok(())
    }

    /// Sees to it that a table's columns and rights are those of now, or no older than at a time; false when its wishes have
    /// to be looked at again.
    pub(super) async fn refresh(
        &mut self,
        relation: &Arc<str>,
        since: Option<Instant>,
    ) -> Result<bool> {
        let (permit, who) = (&self.source.permit, &self.who);
        let table = match since {
            Some(since) => permit.table_since(who, relation, since).await?,
            None => permit.table(who, relation).await?,
        };
        let Some(table) = table else {
            self.places.remove(relation);
            return Ok(true);
        };
        if let Some(place) = self.places.get_mut(relation) {
            self.stale |= !place.refresh(&table);
        }
        Ok(!self.stale)
    }

    /// Looks for the tables of all wishes again. A table that is new is read in the log from where it was told of.
    pub(super) async fn look_again(&mut self, out: &mut Vec<Said>) -> Result<()> {
        let as_of = Instant::now();
        let (places, wrong) = resolve(&self.source.permit, &self.who, &self.wishes).await?;
        let known: Vec<Topic> = self.follower.topics().cloned().collect();
        self.settle(places, as_of);
        self.stale = false;
        if let Some(wrong) = wrong {
            self.say_wrong(wrong, out);
        }
        let watches = self.pending.front().and_then(|next| match next {
            Next::Change(delivery, cursor) if delivery.change.topic.as_str() == WATCHES => {
                Some(cursor.clone())
            }
            _ => None,
        });
        let Some(cursor) = watches else { return Ok(()) };
        self.pending.pop_front();
        if self.follower.topics().any(|topic| !known.contains(topic)) {
            self.pending.clear();
            self.follower.rewind_to(&cursor)?;
        }
        Ok(())
    }

    /// Takes over what has been found, and holds the topics for it.
    pub(super) fn settle(&mut self, places: Places, as_of: Instant) {
        let gone: Vec<Topic> = self
            .follower
            .topics()
            .filter(|topic| topic.as_str() != WATCHES)
            .filter(|topic| !places.values().any(|place| place.table.topic == **topic))
            .cloned()
            .collect();
        for topic in gone {
            self.follower.release(&topic);
        }
        self.follower.want(&wanted(&places));
        self.places = places;
        self.as_of = as_of;
    }
}
