//! Answers that come in pieces.

use super::*;

/// Lines of an Ollama answer, each as a chunk.
fn streamed(words: &str, last: &str) -> Vec<u8> {
    let mut all =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    let mut chunk = |line: &str| all.extend(format!("{:x}\r\n{line}\n\r\n", line.len() + 1).bytes());
    for letter in words.chars() {
        let said = json!({"message": {"role": "assistant", "content": letter.to_string()}, "done": false});
        chunk(&said.to_string());
    }
    chunk(last);
    all.extend(b"0\r\n\r\n");
    all
}

const LAST: &str = r#"{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":20,"eval_count":10}"#;

#[tokio::test]
async fn a_streamed_answer_tells_how_far_it_is_and_is_read_once_it_is_whole() {
    let act = Act::From(|heard| {
        assert!(heard.contains("\"stream\":true"), "{heard}");
        let at = heard.rfind("KCID_NAME_").unwrap();
        streamed(&scale(&heard[at..at + 17]), LAST)
    });
    let bad = Bad::serve(vec![act]).await;
    let (book, (progress, mut seen)) = (Book::default(), watch::channel(Progress::default()));
    let asked = provider(&bad.url, Reach::Loopback).unwrap();
    let ask = Ask {
        progress: Some(&progress),
        ..question(PROMPT, &book)
    };
    let found = asked.interpret(ask).await.unwrap();
    assert_eq!(found.intents[0].target.names, ["payments-api"]);
    assert_eq!(found.tokens, (20, 10));
    assert!(seen.has_changed().unwrap());
    let told = seen.borrow_and_update().clone();
    assert!(told.letters > 0, "{told:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none_however_whole_its_words_look() {
    for last in [
        r#"{"error":"out of memory"}"#,
        r#"{"message":{"content":""},"done":false}"#,
        "what?",
    ] {
        let words = scale("KCID_NAME_0000000");
        let bad = Bad::serve(vec![Act::Bytes(streamed(&words, last))]).await;
        let failed = ask(&bad, PROMPT).await.unwrap_err();
        assert!(matches!(failed, Failure::Form(_)), "{last}: {failed:?}");
    }
}

#[test]
fn what_a_server_does_not_count_is_estimated_so_that_no_budget_stays_open() {
    for (said, asked, answered, expected) in [
        ((20, 10), 900, 900, (20, 10)),
        ((0, 0), 900, 90, (300, 30)),
        ((0, 10), 900, 90, (300, 10)),
        ((20, 0), 900, 0, (20, 1)),
        ((0, 0), 0, 0, (1, 1)),
    ] {
        assert_eq!(charged(said, asked, answered), expected, "{said:?}");
    }
}
