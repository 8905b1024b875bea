//! Answers within their bounds.

use kubechat_crds::chat_request::{Answer, Table};
use kubechat_crds::condition::clip;

/// Rows of a table at most.
pub(super) const MAX_ROWS: usize = 200;
/// Bytes of a table at most.
pub(super) const MAX_TABLE_BYTES: usize = 64 * 1024;

/// An answer of words only.
#[must_use]
pub fn text(words: &str) -> Answer {
    let words = clip(words.to_owned(), 4096);
    Answer {
        first_line: first_line(&words),
        text: words,
        ..Answer::default()
    }
}

/// A text of the cluster (a log, a manifest) without what looks like a secret: an answer has more readers than the text had.
#[must_use]
pub(super) fn scrubbed(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_SCRUBBED);
    let mut clean = kubechat_core::redact::shown(text.get(..end).unwrap_or_default());
    if end < text.len() {
        // Half a secret may stand where it was cut, and look like none.
        clean.truncate(clean.floor_char_boundary(clean.len().saturating_sub(MAX_VALUE)));
        clean.push_str("\n.. (longer than what is looked at for an answer)");
    }
    clean
}

/// A cell as an answer may show it. It is looked at beside its column's title, which may be what tells that it is a secret.
fn cell(title: &str, said: &str) -> String {
    let front = format!("{title}: ");
    match scrubbed(&format!("{front}{said}")).strip_prefix(&front) {
        Some(clean) => clean.to_owned(),
        // What was found begins within the title.
        None => WITHHELD.to_owned(),
    }
}

/// What stands for a cell of which nothing may be shown.
const WITHHELD: &str = "(withheld)";

/// Longest value that is looked for as one.
const MAX_VALUE: usize = 4096;

/// Bytes of a text of the cluster that are looked at for an answer of 4 KiB.
const MAX_SCRUBBED: usize = 64 * 1024;

/// An answer that says what is needed.
#[must_use]
pub fn needs_input(message: &str, candidates: Vec<String>) -> Answer {
    let candidates = candidates.into_iter().take(20).map(|c| clip(c, 512)).collect();
    Answer {
        candidates,
        ..text(message)
    }
}

/// An answer with a table, cut to the bounds; what was cut is said.
#[must_use]
pub(super) fn with_table(
    words: &str,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    total: i64,
    more: &str,
) -> Answer {
    let columns: Vec<String> = columns.into_iter().take(20).map(|c| clip(c, 63)).collect();
    let titles: Vec<String> = columns.iter().map(|title| scrubbed(title)).collect();
    let mut kept = vec![];
    let mut bytes = 0;
    let had = rows.len();
    for row in rows.into_iter().take(MAX_ROWS) {
        let row: Vec<String> = row
            .into_iter()
            .zip(&columns)
            .map(|(said, title)| clip(cell(title, &said), 1024))
            .collect();
        bytes += row.iter().map(String::len).sum::<usize>();
        if bytes > MAX_TABLE_BYTES {
            break;
        }
        kept.push(row);
    }
    let cut = kept.len() < had || i64::try_from(kept.len()).unwrap_or(i64::MAX) < total;
    let table = Table {
        columns: titles,
        rows: kept,
        total,
        continue_: cut.then(|| clip(more.to_owned(), 500)),
    };
    Answer {
        table: Some(table),
        ..text(words)
    }
}

/// Several answers of one turn as one: texts one after the other, the first table.
#[must_use]
pub(super) fn join(answers: Vec<Answer>) -> Answer {
    let mut all = answers.into_iter();
    let mut joined = all.next().unwrap_or_default();
    for next in all {
        joined.text = clip(format!("{}\n\n{}", joined.text, next.text), 4096);
        match (&joined.table, next.table) {
            (None, table) => joined.table = table,
            (Some(_), Some(table)) => {
                let rows: Vec<String> = table.rows.iter().map(|r| r.join("  ")).collect();
                joined.text = clip(
                    format!(
                        "{}\n{}\n{}",
                        joined.text,
                        table.columns.join("  "),
                        rows.join("\n")
                    ),
                    4096,
                );
            }
            (Some(_), None) => {}
        }
        joined.citations.extend(next.citations);
    }
    joined.citations.truncate(50);
    joined
}

fn first_line(words: &str) -> String {
    clip(words.lines().next().unwrap_or_default().to_owned(), 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_before_it_is_looked_at_shows_nothing_of_its_border() {
        // One mask stands for nearly all of it, and half a token follows.
        let key = "A".repeat(MAX_SCRUBBED - 60);
        let text = format!(
            "-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\nghp_{}",
            "aB3dE6".repeat(6)
        );
        let clean = scrubbed(&text);
        assert!(
            !clean.contains("ghp_") && clean.contains("longer than"),
            "{clean}"
        );
        let long = "a line\n".repeat(20_000);
        assert!(scrubbed(&long).starts_with("a line\na line") && scrubbed(&long).len() < MAX_SCRUBBED);
    }

    #[test]
    fn a_text_of_the_cluster_loses_what_looks_like_a_secret() {
        let log = "start\nAuthorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U\nend";
        let clean = scrubbed(log);
        assert!(
            !clean.contains("eyJzdWIi") && clean.contains("start") && clean.contains("end"),
            "{clean}"
        );
    }

    #[test]
    fn cells_of_a_table_lose_what_looks_like_a_secret_by_itself_or_by_its_column() {
        let token = format!("ghp_{}", "aB3dE6".repeat(6));
        let columns = ["Name", "Note", "Password", "Last seen"];
        let rows = vec![
            vec!["web-1", token.as_str(), "Hunter2Hunter2", "3m"],
            vec!["web-2", "--db-password Hunter2Hunter2", "<none>", "4m"],
            vec![
                "web-7d9f6b5c4-x2x9p",
                "nginx:1.28",
                "True",
                "2026-03-01T12:00:00Z",
            ],
        ];
        let rows = rows
            .into_iter()
            .map(|row| row.into_iter().map(str::to_owned).collect())
            .collect();
        let answer = with_table("t", columns.map(str::to_owned).to_vec(), rows, 3, "");
        let table = answer.table.unwrap();
        let all = serde_json::to_string(&table).unwrap();
        assert!(!all.contains("ghp_") && !all.contains("Hunter2"), "{all}");
        assert_eq!(table.columns, columns);
        assert_eq!(
            table.rows[2],
            [
                "web-7d9f6b5c4-x2x9p",
                "nginx:1.28",
                "True",
                "2026-03-01T12:00:00Z"
            ]
        );
        assert_eq!(
            (table.rows[1][0].as_str(), table.rows[1][3].as_str()),
            ("web-2", "4m")
        );
    }

    #[test]
    fn a_title_of_a_column_that_holds_a_secret_is_not_shown_and_nor_is_what_stands_below() {
        let token = format!("ghp_{}", "aB3dE6".repeat(6));
        let table = with_table("t", vec![token.clone()], vec![vec!["x".to_owned()]], 1, "")
            .table
            .unwrap();
        assert!(!table.columns[0].contains("aB3dE6"), "{:?}", table.columns);
        assert_eq!(table.rows, [[WITHHELD]]);
    }

    #[test]
    fn tables_are_cut_to_rows_and_bytes_and_say_so() {
        let rows = vec![vec!["x".repeat(1000)]; 300];
        let answer = with_table("t", vec!["A".into()], rows, 300, "narrow it");
        let table = answer.table.unwrap();
        assert!(table.rows.len() <= 65 && table.continue_.is_some() && table.total == 300);
        let whole = with_table("t", vec!["A".into()], vec![vec!["1".into()]], 1, "narrow it")
            .table
            .unwrap();
        assert_eq!(whole.continue_, None);
    }
}
