//! The tables of docs/risk.md, made from the code.

use std::fmt::Write as _;

use super::{floors, forbidden, records, weights};

/// The forbidden class.
#[must_use]
pub fn forbidden_table() -> String {
    let mut text = "| rule | forbids |\n|---|---|\n".to_owned();
    for (rule, what) in forbidden::RULES.iter().chain([&records::RULE]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Set to rewrite the tables of docs/risk.md instead of comparing them.
    const REWRITE: &str = "KUBECHAT_REWRITE_DOCS";

    #[test]
    fn the_guide_shows_the_rules_and_weights_that_the_code_has() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/risk.md");
        let is = std::fs::read_to_string(&path).unwrap();
        let mut should = is.clone();
        for (name, table) in [
            ("forbidden", forbidden_table()),
            ("floors", floors_table()),
            ("weights", weights_table()),
        ] {
            let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
            let (before, rest) = should.split_once(&begin).unwrap();
            let (_, after) = rest.split_once(&end).unwrap();
            should = format!("{before}{begin}\n{table}\n{end}{after}");
        }
        if std::env::var_os(REWRITE).is_some() {
            std::fs::write(&path, &should).unwrap();
            return;
        }
        assert!(
            is == should,
            "docs/risk.md is not what the code says: {REWRITE}=1 cargo test -p kubechat-core --lib risk::docs"
        );
    }
}
