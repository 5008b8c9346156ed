//! Which share of the chosen experts is in memory, by the share of all experts that fits there.

/// Fraction of the experts resident and share of picks that need no read: Qwen3-30B-A3B at k = 8. The first two
/// points are hit rates that others measured on the real model with least-recently-used caches (53 % with an
/// eighth resident, 72 to 76 % with a quarter). Nobody has published one above that: the third is this project's,
/// of 10,000 tokens of a synthetic model made to have that locality, text that changes its topic every 384
/// tokens (docs/performance.md).
const BUILT_IN: [(f64, f64); 3] = [(0.125, 0.53), (0.245, 0.74), (0.354, 0.80)];

/// A curve of hit rates, straight between its points.
#[derive(Clone, Debug, PartialEq)]
pub struct Locality {
    /// `(fraction resident, hit rate)`, ascending from (0, 0) to (1, 1).
    points: Vec<(f64, f64)>,
    source: String,
}

/// Why a curve was refused.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}; write `fraction,hit_rate` with both from 0 to 1, neither falling")]
pub struct LocalityError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl Locality {
    /// The built-in curve.
    pub fn builtin() -> Self {
        Self::through(BUILT_IN.to_vec(), "built in: Qwen3-30B-A3B, k = 8")
    }

    /// Reads lines `fraction,hit_rate`. Empty lines, lines that begin with `#` and a first line of names
    /// are skipped; nothing resident hits nothing and everything resident hits always.
    ///
    /// # Errors
    /// The first line that makes no sense.
    pub fn parse(text: &str, source: &str) -> Result<Self, LocalityError> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (i, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') || (i == 0 && line.starts_with("fraction")) {
                continue;
            }
            let refuse = |problem: String| LocalityError { line: i + 1, problem };
            let numbers = line.split_once(',').and_then(|(a, b)| Some((number(a)?, number(b)?)));
            let point = numbers.ok_or_else(|| refuse(format!("`{line}` is not two numbers from 0 to 1")))?;
            if points.last().is_some_and(|last| point.0 <= last.0 || point.1 < last.1) {
                return Err(refuse(format!("`{line}` does not follow the line before it")));
            }
            points.push(point);
        }
        Ok(Self::through(points, source))
    }

    fn through(mut points: Vec<(f64, f64)>, source: &str) -> Self {
        if points.first().is_none_or(|first| first.0 > 0.0) {
            points.insert(0, (0.0, 0.0));
        }
        if points.last().is_none_or(|last| last.0 < 1.0) {
            points.push((1.0, 1.0));
        }
        Self { points, source: source.to_owned() }
    }

    /// Where the curve is from, for people.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The hit rate when this fraction of the experts is resident.
    pub fn hit_rate(&self, fraction: f64) -> f64 {
        let fraction = fraction.clamp(0.0, 1.0);
        let after = self.points.partition_point(|point| point.0 < fraction).max(1);
        let ((x0, y0), (x1, y1)) = (self.points[after - 1], self.points[after]);
        y0 + (y1 - y0) * (fraction - x0) / (x1 - x0)
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|x| (0.0..=1.0).contains(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_curve_passes_its_points_and_its_ends() {
        let curve = Locality::builtin();
        for (fraction, rate) in [(0.0, 0.0), (0.125, 0.53), (0.245, 0.74), (1.0, 1.0), (7.0, 1.0)] {
            assert!((curve.hit_rate(fraction) - rate).abs() < 1e-12, "{fraction}");
        }
        assert!((curve.hit_rate(0.185) - (0.53 + 0.74) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_file_of_points_is_a_curve() {
        let curve = Locality::parse("fraction,hit_rate\n# mine\n0.5, 0.75\n\n", "f").unwrap();
        assert_eq!([0.25, 0.5, 0.75].map(|x| curve.hit_rate(x)), [0.375, 0.75, 0.875]);
        assert_eq!(Locality::parse("", "f").unwrap().hit_rate(0.3), 0.3);
        assert_eq!(Locality::parse("0,0.1\n1,0.9", "f").unwrap().hit_rate(0.5), 0.5);
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        for (text, line) in
            [("0.1;0.2", 1), ("0.1,0.2\n0.1,0.3", 2), ("0.2,0.5\n0.3,0.4", 2), ("#\n0.5,2", 2)]
        {
            assert_eq!(Locality::parse(text, "f").unwrap_err().line, line, "{text}");
        }
        assert!(Locality::parse("0.1,nan", "f").is_err());
    }
}
