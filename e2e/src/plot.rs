//! The runs as pictures: forecast against observed load, shares over time, latency.

use std::path::Path;

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use crate::{
    error::{Error, Result},
    outcome::SATURATED,
    sample::Sample,
};

/// One run to draw.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Its heading.
    pub title: &'a str,
    /// A sample a second.
    pub samples: &'a [Sample],
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Label, points, style.
type Line = (&'static str, Vec<(f64, f64)>, ShapeStyle);
type Drawn = Result<(), Box<dyn std::error::Error>>;

const COLUMN: u32 = 640;
const PANELS: [u32; 3] = [330, 190, 250];
const LEAD: RGBColor = RGBColor(31, 78, 121);
const ALTERNATES: [RGBColor; 2] = [RGBColor(87, 157, 66), RGBColor(166, 206, 150)];
const FORECAST: RGBColor = RGBColor(217, 95, 14);
const OFFERED: RGBColor = RGBColor(150, 150, 150);
const SATURATION: RGBColor = RGBColor(200, 30, 30);
/// Leaves room for the legend over the highest rate of all shapes.
const HIGHEST_LOAD: f64 = 2.2;
/// How far ahead the longest forecast that a route shows looks.
const AHEAD: f64 = 60.0;

/// Draws runs side by side into an SVG file.
pub fn draw(path: &Path, runs: &[Series<'_>], objective: f64) -> Result<()> {
    let size = (COLUMN * runs.len() as u32, PANELS.iter().sum());
    let seconds = runs.iter().flat_map(|run| run.samples).map(|s| s.t).fold(1.0, f64::max);
    let drawn = || -> Drawn {
        let root = SVGBackend::new(path, size).into_drawing_area();
        root.fill(&WHITE)?;
        for (run, column) in runs.iter().zip(root.split_evenly((1, runs.len()))) {
            let (load, rest) = column.split_vertically(PANELS[0]);
            let (shares, latency) = rest.split_vertically(PANELS[1]);
            draw_load(&load, *run, seconds, objective)?;
            draw_shares(&shares, run.samples, seconds)?;
            draw_latency(&latency, run.samples, seconds)?;
        }
        root.present()?;
        Ok(())
    };
    drawn().map_err(|error| Error::Plot { path: path.to_owned(), why: error.to_string() })
}

fn draw_load(area: &Area<'_>, run: Series<'_>, seconds: f64, objective: f64) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .caption(run.title, ("sans-serif", 22))
        .margin_right(14)
        .x_label_area_size(22)
        .y_label_area_size(54)
        .build_cartesian_2d(0.0..seconds, 0.0..HIGHEST_LOAD)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .y_desc("load of the node")
        .x_labels(8)
        .x_label_formatter(&|t| format!("{t:.0}"))
        .y_labels(10)
        .y_label_formatter(&|v| format!("{v:.1}"))
        .draw()?;
    let saturated = run.samples.iter().filter(|s| s.load[0] >= SATURATED);
    chart
        .draw_series(saturated.map(|s| {
            Rectangle::new([(s.t - 1.0, 0.0), (s.t, HIGHEST_LOAD)], SATURATION.mix(0.12).filled())
        }))?;
    for (level, color) in [(objective, LEAD), (SATURATED, SATURATION)] {
        chart.draw_series(DashedLineSeries::new(
            [(0.0, level), (seconds, level)],
            3,
            4,
            color.mix(0.6).stroke_width(1),
        ))?;
    }
    let points = |of: &dyn Fn(&Sample) -> Option<f64>, later: f64| -> Vec<(f64, f64)> {
        let on_paper = |s: &Sample| of(s).map(|load| (s.t + later, load.min(HIGHEST_LOAD)));
        run.samples.iter().filter_map(on_paper).filter(|(t, _)| *t <= seconds).collect()
    };
    let lines: [Line; 5] = [
        ("offered", points(&|s| Some(s.offered), 0.0), OFFERED.stroke_width(3)),
        ("alternates", points(&|s| Some(s.load[1].max(s.load[2])), 0.0), ALTERNATES[0].stroke_width(1)),
        ("lead", points(&|s| Some(s.load[0]), 0.0), LEAD.stroke_width(2)),
        ("lead's p90 planned with", points(&|s| s.p90, 0.0), FORECAST.stroke_width(2)),
        (
            "p90 said 60 s before, all on the lead",
            points(&|s| s.p90_in_60s, AHEAD),
            FORECAST.mix(0.45).stroke_width(1),
        ),
    ];
    draw_lines(&mut chart, lines)?;
    legend(&mut chart)
}

fn draw_shares(area: &Area<'_>, samples: &[Sample], seconds: f64) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin_right(14)
        .x_label_area_size(22)
        .y_label_area_size(54)
        .build_cartesian_2d(0.0..seconds, 0.0..1.0)?;
    let mesh = |v: &f64| format!("{:.0} %", v * 100.0);
    chart
        .configure_mesh()
        .disable_mesh()
        .y_desc("shares")
        .x_labels(8)
        .x_label_formatter(&|t| format!("{t:.0}"))
        .y_labels(5)
        .y_label_formatter(&mesh)
        .draw()?;
    let resources = [
        ("lead", LEAD.mix(0.85)),
        ("alternate 1", ALTERNATES[0].mix(1.0)),
        ("alternate 2", ALTERNATES[1].mix(1.0)),
    ];
    for (resource, (label, color)) in resources.into_iter().enumerate() {
        let blocks = steps(samples).map(|(from, to, share)| {
            let below: f64 = share[..resource].iter().sum();
            Rectangle::new([(from, below), (to, below + share[resource])], color.filled())
        });
        chart
            .draw_series(blocks)?
            .label(label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 18, y + 5)], color.filled()));
    }
    legend(&mut chart)
}

fn draw_latency(area: &Area<'_>, samples: &[Sample], seconds: f64) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin_right(14)
        .x_label_area_size(38)
        .y_label_area_size(54)
        .build_cartesian_2d(0.0..seconds, (0.5..10_000.0).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .y_desc("latency, ms")
        .x_labels(8)
        .x_label_formatter(&|t| format!("{t:.0}"))
        .y_label_formatter(&|v| format!("{v:.0}"))
        .draw()?;
    let points = |of: &dyn Fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
        samples.iter().filter_map(|s| of(s).map(|ms| (s.t, ms.max(0.5)))).collect()
    };
    let lines: [Line; 2] = [
        ("p99", points(&|s| s.recent.p99_ms), FORECAST.stroke_width(2)),
        ("p50", points(&|s| s.recent.p50_ms), LEAD.stroke_width(2)),
    ];
    draw_lines(&mut chart, lines)?;
    legend(&mut chart)
}

fn draw_lines<'a, Y: Ranged<ValueType = f64>>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>,
    lines: impl IntoIterator<Item = Line>,
) -> Drawn {
    for (label, points, style) in lines {
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    Ok(())
}

fn legend<'a, C>(chart: &mut ChartContext<'a, SVGBackend<'a>, C>) -> Drawn
where
    C: CoordTranslate,
{
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 12))
        .background_style(WHITE.mix(0.85))
        .draw()?;
    Ok(())
}

/// Stretches of time over which the shares stay the same.
fn steps(samples: &[Sample]) -> impl Iterator<Item = (f64, f64, [f64; 3])> {
    samples.chunk_by(|a, b| a.endpoints == b.endpoints).filter_map(|stretch| {
        let (first, last) = (stretch.first()?, stretch.last()?);
        Some(((first.t - 1.0).max(0.0), last.t, first.share()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Sample> {
        let sample = |t: u32| Sample {
            t: f64::from(t),
            offered: f64::from(t) / 10.0,
            load: [f64::from(t) / 10.0, 0.1, 0.0],
            endpoints: if t < 5 { [4, 0, 0] } else { [4, 4, 0] },
            p90: (t > 1).then_some(0.8),
            ..Sample::default()
        };
        (1..=10).map(sample).collect()
    }

    #[test]
    fn equal_shares_are_one_block() {
        let blocks: Vec<_> = steps(&samples()).map(|(from, to, _)| (from, to)).collect();
        assert_eq!(blocks, [(0.0, 4.0), (4.0, 10.0)]);
    }

    #[test]
    fn runs_are_drawn_side_by_side() {
        let path = std::env::temp_dir().join(format!("foreshift-plot-{}.svg", std::process::id()));
        let samples = samples();
        let runs = ["reactive", "Foreshift"].map(|title| Series { title, samples: &samples });
        draw(&path, &runs, 0.75).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(svg.contains("width=\"1280\"") && svg.contains("Foreshift") && svg.contains("shares"));
    }
}
