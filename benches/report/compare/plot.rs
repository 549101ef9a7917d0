//! The plot: a row a group of bars, each peer's middle as a share of the best, with the spread of the rounds.

use std::fmt::Write as _;

use super::{
    peers::Kind,
    results::{ROWS, Results, Row},
};

const WIDTH: f64 = 960.0;
const LABELS: f64 = 330.0;
const BARS: f64 = 430.0;
const BAR: f64 = 13.0;
const GAP: f64 = 14.0;
const TOP: f64 = 72.0;

/// The picture, for light and dark pages alike.
pub(super) fn svg(results: &Results) -> String {
    let kinds = results.kinds();
    let mut body = String::new();
    let mut y = TOP;
    for row in ROWS {
        let shown: Vec<Kind> =
            kinds.iter().copied().filter(|kind| results.cell(row, *kind).is_some()).collect();
        if shown.is_empty() {
            continue;
        }
        y = group(&mut body, results, row, &shown, y) + GAP;
    }
    let mut legend = String::new();
    for (nth, kind) in kinds.iter().enumerate() {
        let x = 24.0 + 150.0 * nth as f64;
        let _ = write!(
            legend,
            r#"<rect x="{x}" y="44" width="12" height="12" rx="2" fill="{}"/><text x="{}" y="54">{}</text>"#,
            colour(*kind),
            x + 18.0,
            kind.name()
        );
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Rowcast and its peers, row by row">
<style>text {{ fill: #1f2933 }} .quiet {{ fill: #66727f }} .spread {{ stroke: #1f2933 }} .paper {{ fill: #ffffff }} @media (prefers-color-scheme: dark) {{ text {{ fill: #e4e9ee }} .quiet {{ fill: #9aa5b1 }} .spread {{ stroke: #e4e9ee }} .paper {{ fill: #14181d }} }}</style>
<rect class="paper" width="{WIDTH}" height="{height}"/>
<text x="24" y="28" font-size="16" font-weight="600">How well each does, as a share of the best in its row (longer is better)</text>
{legend}
{body}</svg>
"##,
        height = y + 10.0
    )
}

/// One row's bars; returns where they end.
fn group(body: &mut String, results: &Results, row: Row, kinds: &[Kind], top: f64) -> f64 {
    let cells: Vec<_> =
        kinds.iter().filter_map(|kind| Some((*kind, results.cell(row, *kind)?))).collect();
    let worth = |value: f64| if row.is_less() { 1.0 / value.max(1e-9) } else { value };
    let best = cells.iter().map(|(_, cell)| worth(cell.middle)).fold(f64::MIN, f64::max);
    let middle = top + BAR * cells.len() as f64 / 2.0 + 4.0;
    let _ = writeln!(
        body,
        r#"<text x="{}" y="{middle}" text-anchor="end">{}</text>"#,
        LABELS - 12.0,
        row.name()
    );
    for (nth, (kind, cell)) in cells.iter().enumerate() {
        let y = top + BAR * nth as f64;
        let length = |value: f64| (worth(value) / best).min(1.15) * BARS;
        let (least, most) = (length(cell.least), length(cell.most));
        let _ = writeln!(
            body,
            r#"<rect x="{LABELS}" y="{}" width="{:.1}" height="{}" rx="2" fill="{}"/><line class="spread" x1="{:.1}" x2="{:.1}" y1="{m}" y2="{m}" stroke-width="1"/><text class="quiet" x="{:.1}" y="{}" font-size="10">{}</text>"#,
            y + 1.0,
            length(cell.middle).max(1.0),
            BAR - 2.0,
            colour(*kind),
            LABELS + least.min(most),
            LABELS + least.max(most),
            LABELS + length(cell.middle).max(least).max(most) + 6.0,
            y + BAR - 3.0,
            row.shown(cell.middle),
            m = y + BAR / 2.0,
        );
    }
    top + BAR * cells.len() as f64
}

/// Told apart by people who see colours differently, too (Okabe and Ito).
fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Chat => "#0072b2",
        Kind::Watched => "#56b4e9",
        Kind::ByHand => "#e69f00",
        Kind::SocketIo => "#009e73",
        Kind::Nchan => "#cc79a7",
        Kind::Sockudo => "#d55e00",
    }
}
