//! Lines over time, as an SVG that a page or a README can show.
//!
//! Knows: nothing.

use std::fmt::Write as _;

/// One line, in a panel of its own. Times in minutes.
pub(super) struct Panel {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 26.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.name{font-weight:600}\
    .axis{stroke:#999;stroke-width:1}.line{fill:none;stroke:#1d5fa8;stroke-width:1.5}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.axis{stroke:#777}.line{stroke:#7db4f0}}";

/// Draws the panels one below the other; each begins at zero.
pub(super) fn draw(panels: &[Panel]) -> String {
    let height = HEIGHT * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\"><style>{STYLE}</style>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = panel.draw(&mut svg, HEIGHT * number as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn draw(&self, svg: &mut String, above: f64) -> std::fmt::Result {
        let longest = self.points.iter().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
        let greatest = self.points.iter().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
        let most = round_up(greatest);
        let (right, top, bottom) = (WIDTH - RIGHT, above + TOP, above + HEIGHT - BOTTOM);
        let x = |minutes: f64| LEFT + (right - LEFT) * minutes / longest;
        let y = |value: f64| bottom - (bottom - top) * value / most;
        writeln!(
            svg,
            "<text class=\"name\" x=\"{LEFT}\" y=\"{}\">{}</text>",
            above + 18.0,
            self.name
        )?;
        writeln!(svg, "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {top}V{bottom}H{right}\"/>")?;
        for value in [0.0, most / 2.0, most] {
            let at = y(value) + 4.0;
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{at:.1}\" text-anchor=\"end\">{value}</text>",
                LEFT - 6.0
            )?;
        }
        for minutes in [0.0, longest / 2.0, longest] {
            let (at, below) = (x(minutes), bottom + 16.0);
            writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{minutes:.1} min</text>"
            )?;
        }
        let points: Vec<String> =
            self.points.iter().map(|(t, v)| format!("{:.1},{:.1}", x(*t), y(*v))).collect();
        writeln!(svg, "<polyline class=\"line\" points=\"{}\"/>", points.join(" "))
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not less.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|most| *most >= value)
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_that_is_not_less() {
        let ends: Vec<f64> =
            [0.7, 1.0, 3.0, 27.0, 130.0, 501.0].into_iter().map(round_up).collect();
        assert_eq!(ends, [1.0, 1.0, 5.0, 50.0, 200.0, 1_000.0]);
    }

    #[test]
    fn every_point_lies_in_its_panel() {
        let points = (0..50).map(|n| (f64::from(n), f64::from(n % 7) * 11.0)).collect();
        let svg = draw(&[Panel { name: "one", points }]);
        let line = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        for point in line.split(' ') {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y));
        }
    }
}
