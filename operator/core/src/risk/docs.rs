//! The tables of docs/risk.md, made from the code.

use std::fmt::Write as _;

use super::{floors, forbidden, weights};

/// The forbidden class.
#[must_use]
pub fn forbidden_table() -> String {
    let mut text = "| rule | forbids |\n|---|---|\n".to_owned();
    for (rule, what) in forbidden::RULES {
        let _ = writeln!(text, "| {rule} | {what} |");
    }
    text
}

/// The floor rules.
#[must_use]
pub fn floors_table() -> String {
    let mut text = "| at least | rule | a change that |\n|---|---|---|\n".to_owned();
    for floor in floors::ALL {
        let _ = writeln!(text, "| {} | {} | {} |", floor.level, floor.id, floor.text);
    }
    text
}

/// The factors and their weights.
#[must_use]
pub fn weights_table() -> String {
    let mut text = "| factor | when | weight | because it |\n|---|---|---|---|\n".to_owned();
    for weight in weights::ALL {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            weight.factor, weight.case, weight.percent, weight.text
        );
    }
    text
}
