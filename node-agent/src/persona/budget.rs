//! Keeps the agent's part of a status within [`STATUS_BYTES`], whatever is observed.
//!
//! What is dropped, in this order: the series of the Services that use the least CPU, then their rows. The
//! busiest ones are those whose shares are planned, so theirs go last.

use std::cmp::Reverse;

use foreshift_api::resource_persona::{Affinity, ResourcePersonaStatus, WorkloadStatus};
use serde::Serialize;

/// Bytes of JSON that the agent writes at most. The whole status stays under 8 KiB: the rest is for the
/// operator's forecast.
pub const STATUS_BYTES: usize = 7 * 1024;

/// What one more element of a list, or a field that is there at last, costs beside itself.
const SEPARATORS: usize = 32;

/// Adds as much of `rows` to a status without any as fits, in their order; returns how many rows did not.
pub(super) fn fill(status: &mut ResourcePersonaStatus, rows: &[WorkloadStatus], bytes: usize) -> usize {
    let wanted = rows.len();
    let mut left = bytes.saturating_sub(size(status) + SEPARATORS);
    let mut busiest: Vec<usize> = (0..wanted).collect();
    busiest.sort_by_key(|&index| Reverse(rows[index].cpu.used.get().to_bits()));
    let mut kept: Vec<Option<WorkloadStatus>> = rows.iter().map(|_| None).collect();
    for &index in &busiest {
        let row = WorkloadStatus { fine: Vec::new(), coarse: Vec::new(), ..rows[index].clone() };
        let Some(rest) = left.checked_sub(size(&row) + 1) else { break };
        (kept[index], left) = (Some(row), rest);
    }
    for &index in &busiest {
        let Some(row) = &mut kept[index] else { break };
        let series = size(&rows[index].fine) + size(&rows[index].coarse) + SEPARATORS;
        let Some(rest) = left.checked_sub(series) else { break };
        (row.fine, row.coarse) = (rows[index].fine.clone(), rows[index].coarse.clone());
        left = rest;
    }
    status.workloads = kept.into_iter().flatten().collect();
    wanted - status.workloads.len()
}

/// Bytes of JSON for the affinities at most.
const AFFINITY_BYTES: usize = 2560;

/// As many of `rows`, in their order, as may be told of.
pub(super) fn affinity(mut rows: Vec<Affinity>) -> Vec<Affinity> {
    let mut left = AFFINITY_BYTES;
    let fitting = rows.iter().take_while(|row| {
        let rest = left.checked_sub(size(row) + 1);
        left = rest.unwrap_or(0);
        rest.is_some()
    });
    let fitting = fitting.count();
    rows.truncate(fitting);
    rows
}

/// Bytes of JSON; what cannot be written counts as too large.
pub(super) fn size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX / 2, |json| json.len())
}

#[cfg(test)]
mod tests {
    use foreshift_api::{Decimal, resource_persona::Usage};
    use proptest::prelude::*;

    use super::*;

    fn row(index: usize, used: f64, steps: usize) -> WorkloadStatus {
        let cpu = Usage { used: Decimal::rounded(used, 3), ..Usage::default() };
        let series = vec![1234; steps];
        WorkloadStatus {
            namespace: "shop".into(),
            service: format!("journal-{index}"),
            cpu,
            fine: series.clone(),
            coarse: series,
            ..WorkloadStatus::default()
        }
    }

    #[test]
    fn what_fits_is_kept_whole_and_in_order() {
        let rows = vec![row(0, 0.1, 32), row(1, 0.9, 32), row(2, 0.5, 32)];
        let mut status = ResourcePersonaStatus::default();
        assert_eq!(fill(&mut status, &rows, STATUS_BYTES), 0);
        assert_eq!(status.workloads, rows);
    }

    #[test]
    fn series_go_before_rows_and_the_least_busy_first() {
        let rows: Vec<_> = (0..6).map(|index| row(index, f64::from(index as u32), 32)).collect();
        let names = |bytes| {
            let mut status = ResourcePersonaStatus::default();
            fill(&mut status, &rows, bytes);
            let with_series = |row: &&WorkloadStatus| !row.fine.is_empty();
            (status.workloads.len(), status.workloads.iter().filter(with_series).count())
        };
        assert_eq!(names(4096), (6, 6));
        let (all, some) = names(2400);
        assert!(all == 6 && (1..6).contains(&some), "{all} rows, {some} series");
        let mut status = ResourcePersonaStatus::default();
        let dropped = fill(&mut status, &rows, 700);
        assert_eq!(dropped, 6 - status.workloads.len());
        assert_eq!(status.workloads.last().unwrap().service, "journal-5", "the busiest stays");
    }

    proptest! {
        #[test]
        fn no_list_of_services_breaks_the_budget(
            used in prop::collection::vec(0.0..64.0_f64, 0..64), steps in 0_usize..=32, bytes in 600..STATUS_BYTES,
        ) {
            let rows: Vec<_> = used.iter().enumerate().map(|(index, &used)| row(index, used, steps)).collect();
            let mut status = ResourcePersonaStatus::default();
            let dropped = fill(&mut status, &rows, bytes);
            prop_assert!(size(&status) <= bytes);
            prop_assert_eq!(dropped + status.workloads.len(), used.len());
        }
    }
}
