//! Figures as commands print them: names and values from the one table, the words of people beside them.

use hotset_base::figures::*;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// What is told of a request, or of a text that was scored.
pub static OF_A_RUN: [&Figure; 18] = [
    &COMPUTED_TOKENS,
    &TOKENS_PER_SECOND,
    &HIT_RATE,
    &HOT_OF_NATIVE,
    &AGREEMENT,
    &REGRET_RATE,
    &MASS_LOST,
    &REGRET_WAITED_PICKS,
    &REGRET_WAITED_MASS,
    &REGRET_SUBSTITUTED_PICKS,
    &REGRET_SUBSTITUTED_MASS,
    &REGRET_DROPPED_PICKS,
    &REGRET_DROPPED_MASS,
    &SWAP_INS_PER_TOKEN,
    &READ_MIB_PER_TOKEN,
    &STALL_MS_PER_TOKEN,
    &ADMITTED,
    &PRELOADED,
];

/// What a replay knows.
pub static OF_A_REPLAY: [&Figure; 13] = [
    &HIT_RATE,
    &SWAP_INS_PER_TOKEN,
    &READ_MIB_PER_TOKEN,
    &HOT_OF_NATIVE,
    &AGREEMENT,
    &REGRET_RATE,
    &REGRET_WAITED_PICKS,
    &REGRET_WAITED_MASS,
    &REGRET_SUBSTITUTED_PICKS,
    &REGRET_SUBSTITUTED_MASS,
    &REGRET_DROPPED_PICKS,
    &REGRET_DROPPED_MASS,
    &MASS_LOST,
];

/// What a trace has.
pub static OF_A_TRACE: [&Figure; 5] = [
    &HIT_RATE,
    &DEMAND_READS_PER_TOKEN,
    &PREFETCH_LATE_PER_TOKEN,
    &PREFETCH_STARTED_PER_TOKEN,
    &STALL_MS_PER_TOKEN,
];

/// Fields of a JSON object: the figures' names and values, null where there is nothing to say.
pub struct Fields(Vec<(&'static Figure, Option<f64>)>);

impl Fields {
    /// Of one run.
    pub fn of(totals: &Totals, figures: &[&'static Figure]) -> Self {
        Self(figures.iter().map(|&figure| (figure, totals.get(figure))).collect())
    }

    /// The means over those runs of which a figure says something, each counting alike.
    pub fn means(of: &[Totals], figures: &[&'static Figure]) -> Self {
        let mean = |figure: &Figure| {
            let values: Vec<f64> = of.iter().filter_map(|totals| totals.get(figure)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Self(figures.iter().map(|&figure| (figure, mean(figure))).collect())
    }

    /// One of them for people.
    pub fn told(&self, figure: &Figure, digits: usize) -> String {
        let field = self.0.iter().find(|(field, _)| field.name == figure.name);
        told_value(field.and_then(|(_, value)| *value), figure, digits)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (figure, value) in &self.0 {
            match value {
                Some(count) if figure.is_count() && count.fract() == 0.0 => {
                    map.serialize_entry(figure.name, &(*count as u64))?;
                }
                value => map.serialize_entry(figure.name, value)?,
            }
        }
        map.end()
    }
}

/// A figure for people, shares in per cent.
pub fn told(totals: &Totals, figure: &Figure, digits: usize) -> String {
    told_value(totals.get(figure), figure, digits)
}

fn told_value(value: Option<f64>, figure: &Figure, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.digits$}", figure.scale() * value))
}

/// Hit rate, swap-ins, bytes and stall; where not all was chosen as the model does, also what was given up.
/// Nothing if nothing was computed.
pub fn paging(of: &Totals) -> Option<String> {
    let regret = regret(of).map_or_else(String::new, |regret| format!(", {regret}"));
    (of.tokens > 0).then(|| {
        format!(
            "hit rate {} %, {} swap-ins, {} MiB read, {} ms stall per token{regret}",
            told(of, &HIT_RATE, 1),
            told(of, &SWAP_INS_PER_TOKEN, 1),
            told(of, &READ_MIB_PER_TOKEN, 2),
            told(of, &STALL_MS_PER_TOKEN, 1),
        )
    })
}

/// Agreement and regret by kind in per cent of the native picks and of their mass; nothing if all was chosen
/// as the model does.
pub fn regret(of: &Totals) -> Option<String> {
    let routing = &of.routing;
    if routing.agreed_picks == routing.native_picks && routing.routed_picks == routing.native_picks {
        return None;
    }
    let share = |kind: Regret, mass: &Figure| {
        let picks = kind.picks as f64 / routing.native_picks as f64;
        format!("{:.1} % ({} % of mass)", 100.0 * picks, told(of, mass, 1))
    };
    Some(format!(
        "agreement {} %, waited for {}, substituted {}, dropped {}",
        told(of, &AGREEMENT, 1),
        share(routing.regret.waited, &MASS_WAITED),
        share(routing.regret.substituted, &MASS_SUBSTITUTED),
        share(routing.regret.dropped, &MASS_DROPPED),
    ))
}
