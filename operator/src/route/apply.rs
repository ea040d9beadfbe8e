//! Writes what differs, reads back what is in force, and notices who else writes.
//!
//! Slices that gain endpoints are written before those that lose some, and what is no longer needed is deleted
//! last, so that the target is never empty on the way.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use foreshift_api::{JournalRoute, operator_field_manager::SLICES};
use foreshift_view::{Observed, RouteKey, time::elapsed};
use k8s_openapi::{api::discovery::v1::EndpointSlice, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};

use super::{
    Context,
    plan::Outcome,
    slices::{self, is_ours, same},
};
use crate::write::WriteError;

/// The watch shows an own write within milliseconds; until then the answer to it is believed for this long.
const WATCH_LAG: Duration = Duration::from_secs(2);

/// Foreign edits of one target within this time make it contested.
const CONTEST_WINDOW: Duration = Duration::from_mins(1);
const CONTEST_EDITS: usize = 3;

/// A contested target is written this often at most: two writers in a loop help nobody.
const CONTEST_PAUSE: Duration = Duration::from_secs(10);

/// What was written for one route.
#[derive(Debug, Default)]
pub struct Written {
    slices: BTreeMap<String, Record>,
    edits: VecDeque<Timestamp>,
    last_write: Option<Timestamp>,
}

/// What is in force after a tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// Shares that the listed endpoints come to, permille, lead first; `None` if none is listed.
    pub programmed: Option<Vec<u16>>,
    /// Whether what shall be listed was read back.
    pub complete: bool,
    /// Why it is not.
    pub failure: Option<String>,
    /// Who else writes, and what to do about it.
    pub contested: Option<String>,
}

#[derive(Clone, Debug)]
struct Record {
    desired: EndpointSlice,
    returned: EndpointSlice,
    at: Timestamp,
}

/// What must happen to the target's slices.
#[derive(Debug, Default, PartialEq)]
struct Pending {
    patch: Vec<EndpointSlice>,
    delete: Vec<Arc<EndpointSlice>>,
}

/// Makes the target's slices what the outcome asks for. Never fails: what went wrong is part of the answer.
pub async fn apply(
    ctx: &Context,
    route: &JournalRoute,
    outcome: &Outcome,
    observed: &Observed,
    written: &mut Written,
    now: Timestamp,
) -> Applied {
    let Some(valid) = &outcome.in_force else { return Applied::default() };
    let key = RouteKey::of(route);
    let found: Vec<Arc<EndpointSlice>> =
        observed.services.get(&valid.target).map(|target| target.slices.clone()).unwrap_or_default();
    let mut applied = Applied { contested: foreign(&found, &valid.target), ..Applied::default() };

    if let Some(shares) = &outcome.shares {
        let desired = slices::build(&key, valid, observed, shares, &written.listed(&found));
        let pending = written.pending(&desired, &found, now);
        if written.is_contested(now) {
            applied.contested.get_or_insert_with(|| written.contest(&valid.target));
        }
        let api: Api<EndpointSlice> = Api::namespaced(ctx.client.clone(), &key.namespace);
        applied.failure = written.carry_out(ctx, &api, pending, now).await.err().map(|e| e.to_string());
        applied.complete =
            applied.failure.is_none() && !desired.is_empty() && written.holds(&desired, &found);
    }
    let names: Vec<&str> = valid.resources().map(|resource| resource.service.as_str()).collect();
    applied.programmed = slices::realised(&written.in_force(&found, now), &names);
    applied
}

impl Written {
    /// What shall be listed since the last tick; after a start, what is listed.
    fn listed<'a>(&'a self, found: &'a [Arc<EndpointSlice>]) -> Vec<&'a EndpointSlice> {
        if self.slices.is_empty() {
            return found.iter().map(Arc::as_ref).filter(|slice| is_ours(slice)).collect();
        }
        self.slices.values().map(|record| &record.desired).collect()
    }

    /// Compares with what the cache shows, and counts what others changed since.
    fn pending(
        &mut self,
        desired: &[EndpointSlice],
        found: &[Arc<EndpointSlice>],
        now: Timestamp,
    ) -> Pending {
        let mut pending = Pending::default();
        for slice in desired {
            let name = slice.name_any();
            let shown = found.iter().find(|found| found.name_any() == name);
            let record = self.slices.get(&name).filter(|record| same(slice, &record.desired));
            if self.settled(slice, shown.map(Arc::as_ref), now) {
                continue;
            }
            if record.is_some() {
                self.edits.push_back(now);
            }
            pending.patch.push(slice.clone());
        }
        self.edits.retain(|&at| elapsed(at, now) < CONTEST_WINDOW);
        if self.is_contested(now) && self.last_write.is_some_and(|at| elapsed(at, now) < CONTEST_PAUSE) {
            return Pending::default();
        }
        let listed = |name: &str| {
            found.iter().find(|found| found.name_any() == name).map_or(0, |found| found.endpoints.len())
        };
        pending.patch.sort_by_key(|slice| slice.endpoints.len() < listed(&slice.name_any()));
        let needed = |slice: &EndpointSlice| desired.iter().any(|d| d.metadata.name == slice.metadata.name);
        if !desired.is_empty() {
            pending.delete = found.iter().filter(|slice| is_ours(slice) && !needed(slice)).cloned().collect();
        }
        pending
    }

    /// Whether a slice needs no write: it is as it shall be, or as the API server answered when it was written so,
    /// or was written a moment ago.
    fn settled(&self, desired: &EndpointSlice, shown: Option<&EndpointSlice>, now: Timestamp) -> bool {
        if shown.is_some_and(|shown| same(desired, shown)) {
            return true;
        }
        self.slices.get(&desired.name_any()).filter(|record| same(desired, &record.desired)).is_some_and(
            |record| {
                elapsed(record.at, now) < WATCH_LAG
                    || shown.is_some_and(|shown| same(&record.returned, shown))
            },
        )
    }

    async fn carry_out(
        &mut self,
        ctx: &Context,
        api: &Api<EndpointSlice>,
        pending: Pending,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let params = PatchParams::apply(SLICES).force();
        for desired in pending.patch {
            self.last_write = Some(now);
            let name = desired.name_any();
            let body = Patch::Apply(&desired);
            let returned = ctx.gate.send("slice", api.patch(&name, &params, &body)).await?;
            self.slices.insert(name, Record { desired, returned, at: now });
        }
        for slice in pending.delete {
            let preconditions = Preconditions { uid: slice.uid(), resource_version: None };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            match ctx.gate.send("slice", api.delete(&slice.name_any(), &params)).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => drop(self.slices.remove(&slice.name_any())),
            }
        }
        Ok(())
    }

    /// Whether every slice was read back with the endpoints that it shall list.
    fn holds(&self, desired: &[EndpointSlice], found: &[Arc<EndpointSlice>]) -> bool {
        let lists = |slice: &EndpointSlice, desired: &EndpointSlice| {
            let addresses = |s: &EndpointSlice| -> Vec<String> {
                s.endpoints.iter().flat_map(|endpoint| endpoint.addresses.clone()).collect()
            };
            addresses(slice) == addresses(desired)
        };
        desired.iter().all(|desired| {
            let name = desired.name_any();
            found.iter().any(|found| found.name_any() == name && lists(found, desired))
                || self.slices.get(&name).is_some_and(|record| lists(&record.returned, desired))
        })
    }

    /// Our slices as they are now: as the watch shows them, or newer, as the API server has just answered.
    fn in_force(&self, found: &[Arc<EndpointSlice>], now: Timestamp) -> Vec<EndpointSlice> {
        let mut slices: BTreeMap<String, EndpointSlice> = found
            .iter()
            .filter(|slice| is_ours(slice))
            .map(|slice| (slice.name_any(), (**slice).clone()))
            .collect();
        for (name, record) in &self.slices {
            if elapsed(record.at, now) < WATCH_LAG {
                slices.insert(name.clone(), record.returned.clone());
            }
        }
        slices.into_values().collect()
    }

    fn is_contested(&self, now: Timestamp) -> bool {
        self.edits.iter().filter(|&&at| elapsed(at, now) < CONTEST_WINDOW).count() >= CONTEST_EDITS
    }

    fn contest(&self, target: &str) -> String {
        format!(
            "another writer changed the EndpointSlices of `{target}` {} times within a minute; stop it, or take `{target}` out of this route",
            self.edits.len()
        )
    }
}

/// Slices of the target that are not ours and draw traffic past the plan.
fn foreign(found: &[Arc<EndpointSlice>], target: &str) -> Option<String> {
    let slice = found.iter().find(|slice| !is_ours(slice) && !slice.endpoints.is_empty())?;
    Some(format!(
        "EndpointSlice `{}` lists endpoints for `{target}` past this route; delete it, or name another target",
        slice.name_any()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{NOW, endpoint, later, slice};

    fn ours(resource: &str, endpoints: usize) -> EndpointSlice {
        let endpoints = (0..endpoints).map(|i| endpoint(&format!("{resource}-{i}"), "n1")).collect();
        let mut slice = slice("journal", "IPv4", endpoints);
        slice.metadata.name = Some(format!("journal-{resource}-ipv4"));
        slice.labels_mut().insert(slices::MANAGED_BY.into(), slices::MANAGER.into());
        slice
    }

    fn shown(slices: &[EndpointSlice]) -> Vec<Arc<EndpointSlice>> {
        slices.iter().cloned().map(Arc::new).collect()
    }

    fn note(written: &mut Written, slice: &EndpointSlice, at: Timestamp) {
        let record = Record { desired: slice.clone(), returned: slice.clone(), at };
        written.slices.insert(slice.name_any(), record);
    }

    #[test]
    fn nothing_is_written_while_everything_is_as_it_shall_be() {
        let desired = [ours("a", 4), ours("b", 1)];
        assert_eq!(Written::default().pending(&desired, &shown(&desired), NOW), Pending::default());
    }

    #[test]
    fn slices_that_gain_are_written_before_those_that_lose_and_deletions_come_last() {
        let found = shown(&[ours("a", 4), ours("b", 1), ours("gone", 2)]);
        let pending = Written::default().pending(&[ours("a", 2), ours("b", 3)], &found, NOW);
        let order: Vec<String> = pending.patch.iter().map(EndpointSlice::name_any).collect();
        assert_eq!(order, ["journal-b-ipv4", "journal-a-ipv4"]);
        assert_eq!(pending.delete[0].name_any(), "journal-gone-ipv4");
    }

    #[test]
    fn the_slices_of_others_are_never_deleted_and_are_told() {
        let mut foreign_slice = ours("x", 1);
        foreign_slice.metadata.labels = None;
        let found = shown(&[ours("a", 4), foreign_slice]);
        let pending = Written::default().pending(&[ours("a", 4)], &found, NOW);
        assert_eq!(pending, Pending::default());
        assert!(foreign(&found, "journal").unwrap().contains("`journal-x-ipv4`"));
        assert!(foreign(&found[..1], "journal").is_none());
    }

    #[test]
    fn an_answer_is_believed_until_the_watch_has_had_time_to_show_it() {
        let mut written = Written::default();
        note(&mut written, &ours("a", 4), NOW);
        let behind = shown(&[ours("a", 1)]);
        assert!(written.pending(&[ours("a", 4)], &behind, later(1)).patch.is_empty());
        assert_eq!(written.pending(&[ours("a", 4)], &behind, later(3)).patch.len(), 1);
        assert_eq!(written.edits.len(), 1);
    }

    #[test]
    fn what_the_api_server_leaves_out_is_not_written_for_ever() {
        let mut written = Written::default();
        let mut returned = ours("a", 2);
        returned.endpoints[0].hints = None;
        let record = Record { desired: ours("a", 2), returned: returned.clone(), at: NOW };
        written.slices.insert("journal-a-ipv4".into(), record);
        assert!(written.pending(&[ours("a", 2)], &shown(&[returned]), later(60)).patch.is_empty());
    }

    #[test]
    fn a_writer_that_keeps_at_it_makes_the_target_contested_and_is_answered_more_slowly() {
        let mut written = Written::default();
        let edited = shown(&[ours("a", 1)]);
        let mut writes = 0;
        for second in (0..60).step_by(3) {
            let now = later(second);
            let pending = written.pending(&[ours("a", 4)], &edited, now);
            if !pending.patch.is_empty() {
                writes += 1;
                written.last_write = Some(now);
                note(&mut written, &ours("a", 4), now);
            }
        }
        assert!(written.is_contested(later(60)));
        assert!((4..=9).contains(&writes), "{writes}");
        assert!(!written.is_contested(later(180)));
    }

    #[test]
    fn nothing_is_deleted_when_nothing_is_to_be_listed() {
        let pending = Written::default().pending(&[], &shown(&[ours("a", 4)]), NOW);
        assert_eq!(pending, Pending::default());
    }
}
