//! YAML's block style, line by line; what is no YAML ends what was open.

use super::super::work::look;
use super::{Frames, MAX_DEPTH, Range, json};

/// Reads the whole text.
pub(super) fn read(frames: &mut Frames<'_>) {
    let text = frames.text;
    let bytes = text.as_bytes();
    frames.enter(None, -1, false, 0);
    let (mut at, mut end) = (0, 0);
    while at < text.len() {
        // A line of many brackets is begun again after each: its end is looked for once.
        if at >= end {
            end = line_end(bytes, at);
        }
        // A line is read for its depth, its key and its value.
        let next = line(frames, at, end).max(at + 1);
        if !frames.spend(3 * (next - at)) {
            return;
        }
        at = next;
    }
    // The end of the text may be where somebody cut it: only a root that named its kind is known.
    while frames.stack.len() > 1 {
        frames.leave(text.len(), true);
    }
    frames.leave(text.len(), true);
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let count = rest.iter().take_while(|b| **b != b'\n').count();
    look(count);
    at + count
}

/// Reads the line `at..end`; answers where the next one begins.
fn line(frames: &mut Frames<'_>, at: usize, end: usize) -> usize {
    let text = frames.text;
    let bytes = text.as_bytes();
    let next = end + 1;
    // A diff or a quoted mail: its mark stands for a space.
    let mut i = at;
    if matches!(bytes.get(i), Some(b'+' | b'>' | b'|')) {
        i += 1;
    }
    while i < end && matches!(bytes.get(i), Some(b' ' | b'\t')) {
        i += 1;
    }
    let rest = text.get(i..end).unwrap_or_default().trim_end();
    if rest.is_empty() || rest.starts_with('#') {
        return next;
    }
    if rest.starts_with("---") || rest.starts_with("...") {
        frames.leave_all(at, true);
        frames.enter(None, -1, false, next);
        return next;
    }
    // Dashes open items.
    while bytes.get(i) == Some(&b'-') && matches!(bytes.get(i + 1), Some(b' ' | b'\n' | b'\r') | None) {
        let indent = column(at, i);
        while frames.stack.len() > 1
            && frames
                .stack
                .last()
                .is_some_and(|top| top.indent > indent || top.indent == indent && top.item)
        {
            frames.leave(at, true);
        }
        push(frames, None, indent, true, i + 1);
        i += 1;
        while i < end && bytes.get(i) == Some(&b' ') {
            i += 1;
        }
    }
    let indent = column(at, i);
    if i >= end {
        return next;
    }
    if matches!(bytes.get(i), Some(b'{' | b'[')) {
        return json_from(frames, i, None);
    }
    let Some((key, mut value)) = key(text, i, end) else {
        return other(frames, i, end, indent);
    };
    while frames.stack.len() > 1 && frames.stack.last().is_some_and(|top| top.indent >= indent) {
        frames.leave(at, true);
    }
    while value < end && matches!(bytes.get(value), Some(b' ' | b'\t')) {
        value += 1;
    }
    let said = text.get(value..end).unwrap_or_default().trim_end();
    match said.as_bytes().first() {
        None | Some(b'#' | b'&') => {
            push(frames, Some(key), indent, false, value.min(end));
            next
        }
        Some(b'|' | b'>') => block(frames, key, indent, end),
        Some(b'{' | b'[') => json_from(frames, value, Some(key)),
        Some(quote @ (b'"' | b'\'')) => quoted(frames, key, value, *quote, end),
        Some(_) => {
            let (stop, after) = folded(text, value, value + said.len(), indent, next);
            frames.scalar(Some(key), (value, stop));
            after
        }
    }
}

fn column(at: usize, i: usize) -> isize {
    isize::try_from(i - at).unwrap_or(isize::MAX)
}

fn push(frames: &mut Frames<'_>, key: Option<Range>, indent: isize, item: bool, start: usize) {
    if frames.stack.len() >= MAX_DEPTH {
        frames.leave_all(start, false);
        frames.enter(None, -1, false, start);
    }
    frames.enter(key, indent, item, start);
}

/// What is no `key: value`: an item of a list or something deeper than what is open, JSON in the line, or prose, which
/// ends what is open.
fn other(frames: &mut Frames<'_>, at: usize, end: usize, indent: isize) -> usize {
    let text = frames.text;
    let closes = |top: &super::Frame| top.indent > indent || top.indent == indent && !top.item;
    while frames.stack.len() > 1 && frames.stack.last().is_some_and(closes) {
        frames.leave(at, true);
    }
    if frames.stack.len() > 1 {
        let value = text.get(at..end).unwrap_or_default().trim_end();
        frames.scalar(None, (at, at + value.len()));
        return end + 1;
    }
    frames.leave_all(at, true);
    frames.enter(None, -1, false, at);
    match text.get(at..end).and_then(|line| line.find(['{', '['])) {
        Some(found) => json_from(frames, at + found, None),
        None => end + 1,
    }
}

/// Reads JSON from `at`, and what more of it stands on the line where it ends.
fn json_from(frames: &mut Frames<'_>, at: usize, key: Option<Range>) -> usize {
    let bytes = frames.text.as_bytes();
    let mut i = json::read(frames, at, key);
    let mut end = line_end(bytes, i);
    loop {
        // Many pieces may stand on one line: its end is looked for once.
        if i > end {
            end = line_end(bytes, i);
        }
        match frames.text.get(i..end).and_then(|line| line.find(['{', '['])) {
            Some(found) if frames.spend(found + 1) => i = json::read(frames, i + found, None),
            _ => return end + 1,
        }
    }
}

/// A key at `at` and where its value begins.
fn key(text: &str, at: usize, end: usize) -> Option<(Range, usize)> {
    let bytes = text.as_bytes();
    let first = *bytes.get(at)?;
    let (range, colon) = if matches!(first, b'"' | b'\'') {
        let close = (at + 1..end).find(|i| bytes.get(*i) == Some(&first))?;
        ((at + 1, close), close + 1)
    } else {
        let name =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'$' | b'*' | b'@');
        // A colon within a word is part of it (`f:data:`).
        let inner = |i: usize| bytes.get(i) == Some(&b':') && bytes.get(i + 1).is_some_and(|b| name(*b));
        let stop = (at..end)
            .find(|i| !bytes.get(*i).is_some_and(|b| name(*b)) && !inner(*i))
            .unwrap_or(end);
        ((at, stop), stop)
    };
    let spaced = matches!(bytes.get(colon + 1), Some(b' ' | b'\t' | b'\n' | b'\r') | None);
    (range.0 < range.1 && bytes.get(colon) == Some(&b':') && spaced).then_some((range, colon + 1))
}

/// A literal or folded block: every line deeper than its key.
fn block(frames: &mut Frames<'_>, key: Range, indent: isize, end: usize) -> usize {
    let text = frames.text;
    let bytes = text.as_bytes();
    let start = end + 1;
    let mut at = start;
    let mut stop = start;
    while at < text.len() {
        let line = line_end(bytes, at);
        let blank = (at..line).all(|i| bytes.get(i).is_some_and(u8::is_ascii_whitespace));
        let depth = (at..line)
            .take_while(|i| matches!(bytes.get(*i), Some(b' ' | b'\t')))
            .count();
        if !blank && column(0, depth) <= indent {
            break;
        }
        if !blank {
            stop = line;
        }
        at = line + 1;
    }
    let first = (start..stop)
        .find(|i| !bytes.get(*i).is_some_and(u8::is_ascii_whitespace))
        .unwrap_or(start);
    if first < stop {
        frames.scalar(Some(key), (first, stop));
    }
    at.min(text.len().max(start))
}

/// Longest quoted value.
const MAX_QUOTED: usize = 65_536;

/// A quoted value, over several lines if need be.
fn quoted(frames: &mut Frames<'_>, key: Range, at: usize, quote: u8, end: usize) -> usize {
    let bytes = frames.text.as_bytes();
    let mut i = at + 1;
    let far = (at + MAX_QUOTED).min(bytes.len());
    while i < far {
        match bytes.get(i) {
            Some(b'\\') if quote == b'"' => i += 2,
            Some(b) if *b == quote => {
                if quote == b'\'' && bytes.get(i + 1) == Some(&quote) {
                    i += 2;
                    continue;
                }
                frames.scalar(Some(key), (at + 1, i));
                return line_end(bytes, i) + 1;
            }
            _ => i += 1,
        }
    }
    // Never closed: the line is its value, and the next line may say the same of all that follows.
    frames.spend(far.saturating_sub(at));
    look(far.saturating_sub(at));
    frames.scalar(Some(key), (at + 1, end));
    end + 1
}

/// A plain value goes on over deeper lines that are neither fields nor items.
fn folded(text: &str, start: usize, stop: usize, indent: isize, next: usize) -> (usize, usize) {
    let bytes = text.as_bytes();
    // A comment is no part of it.
    let said = text.get(start..stop).unwrap_or_default();
    let mut stop = said.find(" #").map_or(stop, |at| start + at);
    let mut at = next;
    while at < text.len() {
        let line = line_end(bytes, at);
        let depth = (at..line).take_while(|i| bytes.get(*i) == Some(&b' ')).count();
        let rest = text.get(at + depth..line).unwrap_or_default().trim_end();
        let deeper = column(0, depth) > indent;
        if rest.is_empty() || !deeper || rest.starts_with("- ") || key(text, at + depth, line).is_some() {
            break;
        }
        stop = at + depth + rest.len();
        at = line + 1;
    }
    (stop, at)
}
