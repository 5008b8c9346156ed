//! Hit rates over slots per layer, one line for every cache, as SVG.

use std::fmt::Write as _;

use hotset_base::figures::HIT_RATE;
use hotset_replay::{Outcome, ReplayPolicy};

/// Of the whole picture, and of the part with the lines.
const SIZE: (f64, f64) = (760.0, 460.0);
const LEFT: f64 = 64.0;
const RIGHT: f64 = 590.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 404.0;

/// Told apart by people who see colours differently (Okabe and Ito); later lines are dashed.
const COLOURS: [&str; 7] = ["#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7"];

/// The picture.
pub fn curves(outcomes: &[Outcome], title: &str) -> String {
    let most = outcomes.iter().map(|o| o.experts_per_layer).max().unwrap_or(1) as f64;
    let x = |slots: usize| LEFT + (RIGHT - LEFT) * slots as f64 / most;
    let y = |hit_rate: f64| BOTTOM - (BOTTOM - TOP) * hit_rate;
    let mut svg = Svg::new();
    svg.text((LEFT, TOP - 18.0), "start", &format!("hit rate, {title}"));
    svg.text(((LEFT + RIGHT) / 2.0, BOTTOM + 42.0), "middle", "expert slots per layer");
    for percent in (0..=100).step_by(20) {
        let y = y(f64::from(percent) / 100.0);
        svg.line((LEFT, y), (RIGHT, y), "#dddddd");
        svg.text((LEFT - 8.0, y + 4.0), "end", &format!("{percent} %"));
    }
    let mut sizes: Vec<usize> = outcomes.iter().map(|o| o.experts_per_layer).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut free_from = f64::NEG_INFINITY;
    for size in sizes {
        svg.line((x(size), BOTTOM), (x(size), BOTTOM + 5.0), "#000000");
        if x(size) >= free_from {
            svg.text((x(size), BOTTOM + 20.0), "middle", &size.to_string());
            free_from = x(size) + 20.0;
        }
    }
    svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "#000000");
    svg.line((LEFT, TOP), (LEFT, BOTTOM), "#000000");
    for (i, (policy, line)) in lines(outcomes).into_iter().enumerate() {
        let points = line.iter().map(|&(slots, hit_rate)| (x(slots), y(hit_rate)));
        svg.curve(points, i);
        svg.legend(i, &policy.to_string());
    }
    svg.finish()
}

/// The points of every cache, in the order of its size.
fn lines(outcomes: &[Outcome]) -> Vec<(ReplayPolicy, Vec<(usize, f64)>)> {
    let mut lines: Vec<(ReplayPolicy, Vec<(usize, f64)>)> = Vec::new();
    for outcome in outcomes {
        let Some(hit_rate) = outcome.totals.get(&HIT_RATE) else { continue };
        let point = (outcome.experts_per_layer, hit_rate);
        match lines.iter_mut().find(|(policy, _)| *policy == outcome.policy) {
            Some((_, points)) => points.push(point),
            None => lines.push((outcome.policy, vec![point])),
        }
    }
    lines.iter_mut().for_each(|(_, points)| points.sort_by_key(|&(slots, _)| slots));
    lines
}

/// A picture under way.
struct Svg(String);

impl Svg {
    fn new() -> Self {
        let (width, height) = SIZE;
        Self(format!(
            "<svg data-by=\"hotset replay\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        ))
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(self.0, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
        );
    }

    fn curve(&mut self, points: impl Iterator<Item = (f64, f64)> + Clone, number: usize) {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<String> = points.clone().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            self.0,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{}/>",
            path.join(" "),
            dashes(number)
        );
        for (x, y) in points {
            let _ = writeln!(self.0, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
    }

    fn legend(&mut self, number: usize, name: &str) {
        let (x, y) = (RIGHT + 16.0, TOP + 20.0 * number as f64);
        let colour = COLOURS[number % COLOURS.len()];
        let _ = writeln!(
            self.0,
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" stroke-width=\"2\"{}/>",
            x + 24.0,
            dashes(number)
        );
        self.text((x + 30.0, y + 4.0), "start", name);
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn dashes(number: usize) -> &'static str {
    if number < COLOURS.len() { "" } else { " stroke-dasharray=\"6 4\"" }
}
