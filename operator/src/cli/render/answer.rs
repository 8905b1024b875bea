//! What was understood, and the answer to it.

use kubechat_crds::ChatRequest;
use kubechat_crds::chat_request::{Answer, InterpretationStatus, Table};

use super::{Look, Page, Tone};

/// What was understood, in one sentence; empty before the prompt was read.
pub(crate) fn understood(look: &Look, request: &ChatRequest) -> String {
    let mut page = Page::new(look);
    if let Some(interpretation) = request
        .status
        .as_ref()
        .and_then(|status| status.interpretation.as_ref())
    {
        understood_line(&mut page, interpretation);
    }
    page.finish()
}

fn understood_line(page: &mut Page<'_>, interpretation: &InterpretationStatus) {
    // What was not clear stands in the answer, with what would be.
    let clear = !interpretation.understood.starts_with("Not clear");
    if clear && !interpretation.understood.is_empty() {
        page.field(0, "Understood", Tone::Plain, &interpretation.understood);
    }
}

/// The answer; empty when there is none.
pub(crate) fn answer(look: &Look, request: &ChatRequest) -> String {
    let mut page = Page::new(look);
    if let Some(answer) = request.status.as_ref().and_then(|status| status.answer.as_ref()) {
        body(&mut page, answer);
    }
    page.finish()
}

fn body(page: &mut Page<'_>, answer: &Answer) {
    if !answer.text.is_empty() {
        page.line(0, Tone::Plain, &answer.text);
    }
    if let Some(shown) = &answer.table {
        table(page, shown);
    }
    for finding in &answer.findings {
        let about = finding
            .object
            .as_ref()
            .map(|object| format!(" ({object})"))
            .unwrap_or_default();
        let tone = match finding.severity.as_str() {
            "Error" => Tone::Bad,
            "Warning" => Tone::Warn,
            _ => Tone::Plain,
        };
        page.field(0, &finding.severity, tone, &format!("{}{about}", finding.text));
    }
    if !answer.candidates.is_empty() {
        page.gap();
        page.line(0, Tone::Strong, "Did you mean:");
        for candidate in &answer.candidates {
            page.line(2, Tone::Plain, &format!("- {candidate}"));
        }
    }
    if let Some(suggestion) = &answer.suggestion {
        page.gap();
        page.line(
            0,
            Tone::Strong,
            "This one would work (save it and run kubectl create -f on it):",
        );
        // Not wrapped: it is to be copied.
        for line in suggestion.lines() {
            page.spans(2, &[(Tone::Plain, line)]);
        }
    }
}

fn table(page: &mut Page<'_>, table: &Table) {
    page.gap();
    let columns: Vec<&str> = table.columns.iter().map(String::as_str).collect();
    page.table(&columns, &table.rows);
    let shown = i64::try_from(table.rows.len()).unwrap_or(i64::MAX);
    if table.total > shown {
        page.line(
            0,
            Tone::Faint,
            &format!("{shown} of {} rows are shown.", table.total),
        );
    }
    if let Some(more) = &table.continue_ {
        page.line(0, Tone::Faint, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::request;
    use kubechat_crds::ObjectId;
    use kubechat_crds::chat_request::Finding;

    const LOOK: Look = Look {
        width: Some(80),
        color: false,
    };

    fn with(answer: Answer) -> ChatRequest {
        let mut request = request();
        request.status.as_mut().unwrap().answer = Some(answer);
        request
    }

    #[test]
    fn a_list_is_a_text_and_a_table_that_says_when_rows_are_missing() {
        let request = with(Answer {
            text: "2 pods in demo.".into(),
            table: Some(Table {
                columns: vec!["NAME".into(), "STATUS".into()],
                rows: vec![
                    vec!["nginx-1".into(), "Running".into()],
                    vec!["nginx-2".into(), "Pending".into()],
                ],
                total: 7,
                continue_: Some("Ask for a selector to see the rest.".into()),
            }),
            ..Answer::default()
        });
        assert_eq!(
            answer(&LOOK, &request),
            "2 pods in demo.\n\nNAME     STATUS\nnginx-1  Running\nnginx-2  Pending\n\
             2 of 7 rows are shown.\nAsk for a selector to see the rest.\n"
        );
        assert_eq!(
            understood(&LOOK, &request),
            "Understood: Scale nginx to 5 replicas.\n"
        );
    }

    #[test]
    fn an_unclear_sentence_gets_candidates_and_a_manifest_that_can_be_copied() {
        let request = with(Answer {
            text: "There is no deployment ngnix in demo.".into(),
            candidates: vec!["deployment/nginx in demo".into()],
            suggestion: Some("apiVersion: kubechat.io/v1beta1\nspec:\n  prompt: x".into()),
            ..Answer::default()
        });
        assert_eq!(
            answer(&LOOK, &request),
            "There is no deployment ngnix in demo.\n\nDid you mean:\n  - deployment/nginx in demo\n\n\
             This one would work (save it and run kubectl create -f on it):\n\
             \u{20} apiVersion: kubechat.io/v1beta1\n  spec:\n    prompt: x\n"
        );
    }

    #[test]
    fn text_of_the_cluster_cannot_reach_the_terminal_raw() {
        let request = with(Answer {
            text: "log: \u{1b}]0;owned\u{7}\u{202e}".into(),
            findings: vec![Finding {
                id: "x".into(),
                severity: "Error".into(),
                object: Some(ObjectId {
                    kind: "Pod".into(),
                    name: "p".into(),
                    ..ObjectId::default()
                }),
                text: "crash\u{200b}loop".into(),
            }],
            candidates: vec!["a\u{1b}c".into()],
            ..Answer::default()
        });
        assert_eq!(
            answer(&LOOK, &request),
            "log: \\u{1b}]0;owned\\u{7}\\u{202e}\nError: crash\\u{200b}loop (pod/p)\n\n\
             Did you mean:\n  - a\\u{1b}c\n"
        );
    }

    #[test]
    fn no_answer_is_no_text() {
        assert_eq!(answer(&LOOK, &request()), "");
    }
}
