//! A plan for people.

use hotset_engine::{BudgetSource, EmbeddingPlace, Plan};

/// The division of the budget, a line for each part.
pub fn text(plan: &Plan) -> String {
    let slots = plan.arena.slots();
    let embedding = match plan.embedding {
        EmbeddingPlace::Memory => "",
        EmbeddingPlace::Disk => "  embedding rows are read as tokens need them",
    };
    let each = match plan.sessions {
        1 => String::new(),
        sessions => format!(" for each of {sessions} sessions"),
    };
    let lines = [
        format!("memory   {:>10}  ({})", plan.budget, chosen_by(plan.budget_source)),
        format!("  program  {:>10}", plan.process),
        format!("  dense    {:>10}{embedding}", plan.dense),
        format!("  kv       {:>10}  {} tokens of context{each}", plan.kv, plan.context),
        format!("  scratch  {:>10}  {} prompt tokens at a time", plan.scratch, plan.chunk),
        format!(
            "  arena    {:>10}  {slots} of {} experts ({:.1} %, {:.1} per layer)",
            plan.arena.bytes(),
            plan.experts,
            100.0 * slots as f64 / plan.experts as f64,
            plan.arena.experts_per_layer(),
        ),
        format!("  in all   {:>10}  {} threads", plan.total(), plan.threads),
    ];
    lines.join("\n")
}

/// Who chose the budget, and what changes it.
pub fn chosen_by(source: BudgetSource) -> &'static str {
    match source {
        BudgetSource::Asked => "as asked",
        BudgetSource::Suggested => "the model's suggestion; --memory changes it",
        BudgetSource::Available => "what is free here, less 1 GiB; --memory changes it",
        BudgetSource::Slots => "what --experts-per-layer takes",
    }
}
