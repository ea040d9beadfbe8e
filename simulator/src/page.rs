//! One page with a picture of every policy: load, share and latency over time, drawn in place.

use std::{fmt::Write as _, path::Path};

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use crate::{
    error::{Error, Result},
    run::{Outcome, Report},
    table,
    tally::{RouteSecond, Tally},
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, Y> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>;
/// Label, points, style.
type Line = (&'static str, Vec<(f64, f64)>, ShapeStyle);
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (960, 380);
const LOAD_HEIGHT: u32 = 220;
const LEAD: RGBColor = RGBColor(31, 97, 181);
const SHARE: RGBColor = RGBColor(67, 157, 66);
const OFFERED: RGBColor = RGBColor(150, 150, 150);
const LATENCY: RGBColor = RGBColor(217, 95, 14);

/// Writes `index.html` into a folder, which is made where it is missing.
///
/// # Errors
/// [`Error::File`] and [`Error::Plot`].
pub fn write(folder: &Path, scenario: &str, report: &Report) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    let path = folder.join("index.html");
    std::fs::write(&path, page(scenario, report)?).map_err(|error| Error::file(&path, error))
}

/// The page; it needs nothing but itself.
///
/// # Errors
/// [`Error::Plot`].
pub fn page(scenario: &str, report: &Report) -> Result<String> {
    let title = escaped(scenario);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>body{{font-family:sans-serif;margin:2em;max-width:1000px}}pre{{overflow-x:auto;font-size:12px}}</style>\n\
         </head><body>\n<h1>{title}</h1>\n<pre>{}</pre>\n",
        escaped(&table::table(report))
    );
    for outcome in &report.policies {
        let svg = picture(outcome, report)?;
        write!(html, "<h2>{}</h2>\n{svg}\n", outcome.policy.name).unwrap_or_default();
    }
    html.push_str("</body></html>\n");
    Ok(html)
}

fn picture(outcome: &Outcome, report: &Report) -> Result<String> {
    let mut svg = String::new();
    let mut drawn = || -> Drawn {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (load, latency) = root.split_vertically(LOAD_HEIGHT);
        draw_load(&load, &outcome.first, report.layout.pools[0].lead_load)?;
        draw_latency(&latency, &outcome.first)?;
        root.present()?;
        Ok(())
    };
    drawn().map_err(|error| Error::Plot(error.to_string()))?;
    Ok(svg)
}

fn draw_load(area: &Area<'_>, tally: &Tally, objective: f64) -> Drawn {
    let lead = |of: fn(&RouteSecond) -> f64| points(tally, |second| second.routes.first().map(of));
    let offered = lead(|route| route.offered);
    let highest = offered.iter().map(|point| point.1).fold(1.1, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(20)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..length(tally), 0.0..highest)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .y_desc("load, share")
        .x_label_formatter(&|t| format!("{t:.0}"))
        .y_label_formatter(&|v| format!("{v:.1}"))
        .draw()?;
    let target = vec![(0.0, objective), (length(tally), objective)];
    draw_lines(
        &mut chart,
        [
            ("offered to the lead", offered, OFFERED.stroke_width(2)),
            ("the lead's load", lead(|route| route.lead_load), LEAD.stroke_width(2)),
            ("the lead's share", lead(share), SHARE.stroke_width(2)),
            ("objective", target, LEAD.mix(0.4).stroke_width(1)),
        ],
    )
}

fn draw_latency(area: &Area<'_>, tally: &Tally) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..length(tally), (1.0..10_000.0).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .y_desc("p99, ms")
        .x_label_formatter(&|t| format!("{t:.0}"))
        .y_label_formatter(&|v| format!("{v:.0}"))
        .draw()?;
    let p99 = points(tally, |second| Some(second.p99_ms.clamp(1.0, 10_000.0)));
    draw_lines(&mut chart, [("p99", p99, LATENCY.stroke_width(1))])
}

fn draw_lines<Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'_, Y>,
    lines: impl IntoIterator<Item = Line>,
) -> Drawn {
    for (label, points, style) in lines {
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 12))
        .background_style(WHITE.mix(0.85))
        .draw()?;
    Ok(())
}

fn share(route: &RouteSecond) -> f64 {
    let all: u32 = route.entries.iter().sum();
    let counted = || if all == 0 { 1.0 } else { f64::from(route.entries[0]) / f64::from(all) };
    route.shares.as_ref().and_then(|shares| shares.first().copied()).unwrap_or_else(counted)
}

fn points(tally: &Tally, of: impl Fn(&crate::tally::Second) -> Option<f64>) -> Vec<(f64, f64)> {
    tally.seconds.iter().enumerate().filter_map(|(t, second)| Some((t as f64, of(second)?))).collect()
}

fn length(tally: &Tally) -> f64 {
    tally.seconds.len().max(1) as f64
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
