//! The two windows of one series: a fine one that plans shares, a coarse one that sees a minute ahead.

use foreshift_api::{
    Span,
    resource_persona::{History, Window},
    wire::{self, COARSE, FINE},
};
use foreshift_engine::persona::grid::{self, Grid};

const _: () = assert!(grid::STEPS == wire::WINDOW);

/// A series on both grids; the numbers of a status are thousandths: permille of load, millicores.
#[derive(Debug)]
pub(super) struct Series {
    fine: Grid,
    coarse: Grid,
}

impl Default for Series {
    fn default() -> Self {
        Self { fine: Grid::new(FINE.get()), coarse: Grid::new(COARSE.get()) }
    }
}

impl Series {
    /// Goes on from thousandths, oldest first, that end at the steps of `history`; a window of another period
    /// than ours starts afresh.
    pub(super) fn resumed(fine: &[i32], coarse: &[i32], history: &History) -> Self {
        let grid = |values: &[i32], window: &Window, period: Span| {
            if values.is_empty() || window.period != period {
                return Grid::new(period.get());
            }
            Grid::resumed(period.get(), values.iter().map(|&value| f64::from(value) / 1000.0), window.step)
        };
        Self { fine: grid(fine, &history.fine, FINE), coarse: grid(coarse, &history.coarse, COARSE) }
    }

    /// It was `value` on average until `unix`.
    pub(super) fn push(&mut self, unix: f64, value: f64) {
        self.fine.push(unix, value);
        self.coarse.push(unix, value);
    }

    /// Thousandths of the fine window, oldest first.
    pub(super) fn fine(&self) -> Vec<i32> {
        thousandths(&self.fine)
    }

    /// Thousandths of the coarse window, oldest first.
    pub(super) fn coarse(&self) -> Vec<i32> {
        thousandths(&self.coarse)
    }

    /// Both windows with their grids.
    pub(super) fn history(&self) -> History {
        let window = |grid: &Grid, period| Window {
            period,
            step: grid.newest().unwrap_or(0),
            load: thousandths(grid),
        };
        History { fine: window(&self.fine, FINE), coarse: window(&self.coarse, COARSE) }
    }
}

fn thousandths(grid: &Grid) -> Vec<i32> {
    grid.values().map(|value| (value * 1000.0).round() as i32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_is_where_it_goes_on() {
        let mut series = Series::default();
        for second in 0..=60 {
            series.push(f64::from(1000 + second), f64::from(second) / 100.0);
        }
        let history = series.history();
        assert_eq!((history.fine.step, history.fine.load.len()), (530, 30));
        assert_eq!((history.coarse.step, history.coarse.load.len()), (70, 4));
        let mut resumed = Series::resumed(&history.fine.load, &history.coarse.load, &history);
        assert_eq!(resumed.history(), history);
        resumed.push(1062.0, 0.7);
        let fine = resumed.history().fine;
        assert_eq!((fine.step, fine.load.last()), (531, Some(&700)));
    }

    #[test]
    fn a_window_on_another_grid_is_not_mixed_with_ours() {
        let window = Window { period: Span::from_secs(5), step: 200, load: vec![1, 2] };
        let history = History { fine: window.clone(), coarse: window };
        let series = Series::resumed(&[1, 2], &[1, 2], &history);
        assert!(series.fine().is_empty() && series.coarse().is_empty());
    }
}
