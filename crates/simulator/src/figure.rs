//! Draws what was measured: a line for each number of nodes, over the headroom. In colours that can be read on white and on
//! black.

use crate::measure::Cell;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Of one panel, its frame.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 190.0;
const TOP: f64 = 58.0;
/// The colours of lines, for rising numbers of nodes. Source: Okabe and Ito, "Color universal design" (2008).
const COLOURS: [&str; 4] = ["#0072b2", "#009e73", "#e69f00", "#cc79a7"];
/// The part of a panel's height between two lines of its grid.
const STEPS: u32 = 5;

/// One of the two parts of the figure.
struct Panel {
    title: &'static str,
    /// Where its frame begins.
    left: f64,
    /// What its lower edge stands for. The upper one stands for 100 %.
    lowest: f64,
    of: fn(&Cell) -> f64,
    headrooms: BTreeSet<u64>,
}

/// The figure, as a text in SVG.
pub(crate) fn of(cells: &[Cell]) -> String {
    let nodes: BTreeSet<usize> = cells.iter().map(|cell| cell.nodes).collect();
    let headrooms: BTreeSet<u64> = cells.iter().map(|cell| cell.headroom).collect();
    let panels = [
        Panel {
            title: "decided locally",
            left: 50.0,
            lowest: 0.0,
            of: Cell::local,
            headrooms: headrooms.clone(),
        },
        Panel {
            title: "charged of the limit when it is spent",
            left: 430.0,
            lowest: below_all(cells, Cell::charged),
            of: Cell::charged,
            headrooms,
        },
    ];
    let mut text = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 750 300\" width=\"750\" height=\"300\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#808080\">\n",
    );
    for (count, colour) in nodes.iter().zip(COLOURS) {
        let place = nodes.range(..count).count();
        draw(
            &mut text,
            format_args!("<text x=\"{}\" y=\"18\" fill=\"{colour}\">{count} nodes</text>", 50 + 90 * place),
        );
    }
    for panel in &panels {
        panel.frame(&mut text);
        for (count, colour) in nodes.iter().zip(COLOURS) {
            panel.line(&mut text, cells.iter().filter(|cell| cell.nodes == *count), colour);
        }
    }
    text + "</svg>\n"
}

impl Panel {
    fn frame(&self, text: &mut String) {
        let Self { title, left, lowest, .. } = self;
        draw(
            text,
            format_args!("<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{title}</text>", TOP - 16.0),
        );
        for step in 0..=STEPS {
            let value = lowest + (100.0 - lowest) * f64::from(step) / f64::from(STEPS);
            let (y, right) = (self.y(value), left + WIDTH);
            draw(
                text,
                format_args!(
                    "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#808080\" stroke-opacity=\".35\"/>"
                ),
            );
            let (x, y) = (left - 6.0, y + 4.0);
            let digits = usize::from(100.0 - lowest < 10.0);
            draw(
                text,
                format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{value:.digits$}%</text>"),
            );
        }
        for headroom in self.headrooms.iter().copied() {
            let (x, y) = (self.x(headroom), TOP + HEIGHT + 18.0);
            draw(text, format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{headroom}</text>"));
        }
        let (x, y) = (left + WIDTH / 2.0, TOP + HEIGHT + 38.0);
        draw(
            text,
            format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">headroom, requests</text>"),
        );
    }

    fn line<'a>(&self, text: &mut String, cells: impl Iterator<Item = &'a Cell>, colour: &str) {
        let points: Vec<(f64, f64)> =
            cells.map(|cell| (self.x(cell.headroom), self.y((self.of)(cell)))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let path = path.join(" ");
        draw(
            text,
            format_args!(
                "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            ),
        );
        for (x, y) in points {
            draw(text, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"));
        }
    }

    fn x(&self, headroom: u64) -> f64 {
        let scale = |headroom: Option<&u64>| headroom.map_or(0.0, |it| (*it as f64).ln());
        let (first, last) = (scale(self.headrooms.first()), scale(self.headrooms.last()));
        let part = if last > first { (scale(Some(&headroom)) - first) / (last - first) } else { 0.5 };
        self.left + 12.0 + (WIDTH - 24.0) * part
    }

    fn y(&self, value: f64) -> f64 {
        TOP + HEIGHT * (100.0 - value) / (100.0 - self.lowest)
    }
}

/// The highest of some round percentages below which nothing is.
fn below_all(cells: &[Cell], of: fn(&Cell) -> f64) -> f64 {
    let lowest = cells.iter().map(of).fold(100.0, f64::min);
    [99.5, 99.0, 98.0, 95.0, 90.0, 50.0].into_iter().find(|edge| *edge <= lowest).unwrap_or(0.0)
}

fn draw(text: &mut String, element: std::fmt::Arguments<'_>) {
    // Writing to a text does not fail.
    let _written = writeln!(text, "{element}");
}
