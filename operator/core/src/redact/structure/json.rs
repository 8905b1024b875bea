//! JSON, and YAML's flow style: forgiving, and done at the first thing that is neither.

use super::super::work::look;
use super::{Frames, MAX_DEPTH, Range};

/// Reads from the `{` or `[` at `at`, the value of the field `key`. Answers where it ended: after the last bracket, or
/// at what it did not understand.
pub(super) fn read(frames: &mut Frames<'_>, at: usize, key: Option<Range>) -> usize {
    let bytes = frames.text.as_bytes();
    let base = frames.stack.len();
    let mut i = at;
    let mut next_key = key;
    // The last string or word, until it is known whether it is a key.
    let mut last: Option<Range> = None;
    while let Some(b) = bytes.get(i).copied() {
        if !frames.spend(1) {
            break;
        }
        match b {
            b'{' | b'[' => {
                if frames.stack.len() - base >= MAX_DEPTH {
                    break;
                }
                frames.enter(next_key.take(), -1, false, i);
                i += 1;
            }
            b'}' | b']' => {
                if let Some(value) = last.take() {
                    frames.scalar(next_key.take(), value);
                }
                i += 1;
                frames.leave(i, true);
                if frames.stack.len() == base {
                    return i;
                }
            }
            b',' => {
                if let Some(value) = last.take() {
                    frames.scalar(next_key, value);
                }
                next_key = None;
                i += 1;
            }
            b':' if next_key.is_none() && last.is_some() => {
                next_key = last.take();
                i += 1;
            }
            b'"' | b'\'' => match frames.string_end(i) {
                Some(end) if last.is_none() => {
                    last = Some((i + 1, end));
                    i = end + 1;
                }
                end => {
                    // Cut off within a string: what there is of it is a value all the same.
                    if end.is_none() && next_key.is_some() {
                        let line = line_end(bytes, i);
                        frames.scalar(next_key, (i + 1, line));
                        i = line;
                    }
                    break;
                }
            },
            b' ' | b'\t' | b'\r' | b'\n' => i += 1,
            _ if last.is_none() => {
                let end = word_end(bytes, i);
                frames.spend(end - i);
                if end == i {
                    break;
                }
                last = Some((i, end));
                i = end;
            }
            _ => break,
        }
    }
    while frames.stack.len() > base {
        frames.leave(i, false);
    }
    i.max(at + 1)
}

/// Where the string that begins at `at` ends: at its closing quote, at the end of its line, or of the text.
pub(super) fn string_stop(bytes: &[u8], at: usize) -> usize {
    let quote = bytes.get(at).copied().unwrap_or_default();
    let mut i = at + 1;
    while let Some(b) = bytes.get(i) {
        match b {
            b'\\' => i += 2,
            b if *b == quote || *b == b'\n' => break,
            _ => i += 1,
        }
    }
    look(i - at);
    i
}

/// The closing quote of the string that begins at `at`; `None` where a line ends first.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let stop = string_stop(bytes, at);
    (bytes.get(stop)? == bytes.get(at)?).then_some(stop)
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let count = rest.iter().take_while(|b| **b != b'\n').count();
    look(count);
    at + count
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut end = at;
    for (n, b) in rest.iter().enumerate() {
        let colon_ends = *b == b':'
            && rest
                .get(n + 1)
                .is_none_or(|next| matches!(next, b' ' | b'"' | b'{' | b'['));
        if matches!(b, b',' | b'{' | b'}' | b'[' | b']' | b'\n' | b'"') || colon_ends {
            break;
        }
        end = at + n + 1;
    }
    while end > at && bytes.get(end - 1).is_some_and(u8::is_ascii_whitespace) {
        end -= 1;
    }
    end
}

/// Strings of JSON that hold quotes of their own, unescaped.
pub(super) fn nested(text: &str) -> Vec<(Range, String)> {
    let bytes = text.as_bytes();
    let mut out = vec![];
    let mut i = 0;
    while let Some(found) = text.get(i.min(text.len())..).and_then(|rest| rest.find("\\\"")) {
        let escape = i + found;
        // Back to the quote that opens the string, on the same line, and never into what was read.
        let mut open = escape;
        while open > i {
            open -= 1;
            look(1);
            let b = bytes.get(open).copied().unwrap_or_default();
            let escaped = open > 0 && bytes.get(open - 1) == Some(&b'\\');
            if b == b'\n' || b == b'"' && !escaped {
                break;
            }
        }
        let end = match bytes.get(open) {
            Some(b'"') => string_end(bytes, open),
            _ => None,
        };
        let Some(end) = end else {
            // No string: on to the next quote that may open one, so that nothing is read twice.
            i = next_quote(bytes, escape + 2);
            continue;
        };
        let whole = text.get(open..=end).unwrap_or_default();
        if let Ok(inner) = serde_json::from_str::<String>(whole)
            && inner.len() < whole.len()
        {
            out.push(((open + 1, end), inner));
        }
        i = end.max(escape + 2);
    }
    out
}

/// The next quote that is not escaped, or the end of the line.
fn next_quote(bytes: &[u8], at: usize) -> usize {
    let mut i = at;
    while let Some(b) = bytes.get(i) {
        match b {
            b'\\' => i += 2,
            b'"' | b'\n' => return i,
            _ => i += 1,
        }
    }
    bytes.len()
}
