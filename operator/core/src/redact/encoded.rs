//! Runs of base64 and percent codes, decoded, so that what they hide is looked at too.

use base64::Engine as _;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};

use super::shape::Set;

/// Shortest run that is decoded.
const MIN_RUN: usize = 16;
/// Shortest line of wrapped base64.
const MIN_WRAPPED: usize = 32;
/// Bytes of a text at the front by which a run is known to be text.
const PROBE: usize = 16;

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// What a run says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inner {
    Text(String),
    /// Compressed: what it holds cannot be seen.
    Compressed,
}

/// A run: first byte, one past the last, what it says.
pub(super) type Run = (usize, usize, Inner);

/// All runs that decode to a text or to something compressed.
pub(super) fn runs(text: &str) -> Vec<Run> {
    let mut out = base64_runs(text);
    out.extend(percent_runs(text));
    out
}

const fn in_run(b: u8) -> bool {
    Set::Base64.has(b) && b != b'=' || matches!(b, b'-' | b'_')
}

fn base64_runs(text: &str) -> Vec<Run> {
    let bytes = text.as_bytes();
    let mut out = vec![];
    let mut at = 0;
    while at < bytes.len() {
        if !bytes.get(at).is_some_and(|b| in_run(*b)) {
            at += 1;
            continue;
        }
        let (end, wrapped) = whole(bytes, at);
        if end - at >= MIN_RUN
            && let Some(inner) = decode(text.get(at..end).unwrap_or_default(), wrapped)
        {
            out.push((at, end, inner));
        }
        at = end.max(at + 1);
    }
    out
}

/// The end of a run, over wrapped lines, and whether it is wrapped.
fn whole(bytes: &[u8], at: usize) -> (usize, bool) {
    let line = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        let run = rest.iter().take_while(|b| in_run(**b)).count();
        let pad = rest.iter().skip(run).take_while(|b| **b == b'=').count().min(2);
        (from + run, from + run + pad)
    };
    let (mut stop, mut end) = line(at);
    let mut from = at;
    let mut wrapped = false;
    while stop == end && end - from >= MIN_WRAPPED {
        // `\n` as it is, or as JSON writes it.
        let rest = bytes.get(end..).unwrap_or_default();
        let escaped = rest.starts_with(b"\\n");
        let gap = if escaped {
            2
        } else {
            rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
        };
        let breaks = escaped || rest.iter().take(gap).any(|b| *b == b'\n');
        let (next_stop, next_end) = line(end + gap);
        let alone = bytes
            .get(next_end)
            .is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'\\' | b'"'));
        if !breaks || next_stop == end + gap || !alone || next_stop - end - gap > end - from {
            break;
        }
        from = end + gap;
        (stop, end) = (next_stop, next_end);
        wrapped = true;
    }
    (end, wrapped)
}

fn decode(run: &str, wrapped: bool) -> Option<Inner> {
    let flat: String;
    let run = if wrapped {
        flat = run
            .replace("\\n", "")
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .collect();
        flat.as_str()
    } else {
        run
    };
    let engine = if run.contains(['-', '_']) { &URL } else { &STANDARD };
    // The front tells, before all is decoded.
    let front = engine
        .decode(run.get(..PROBE + 8).or_else(|| run.get(..PROBE))?)
        .ok()?;
    if front.starts_with(&[0x1f, 0x8b])
        || front.starts_with(b"BZh")
        || front.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
    {
        return Some(Inner::Compressed);
    }
    let front = front.get(..PROBE * 3 / 4)?;
    // A letter of several bytes may be cut; one that is wrong is no text.
    let broken = std::str::from_utf8(front).is_err_and(|error| error.error_len().is_some());
    if broken || !front.iter().all(|b| is_text(*b)) {
        return None;
    }
    let whole = run.trim_end_matches('=');
    // One letter too many at the end belongs to something else.
    let whole = if whole.len() % 4 == 1 {
        whole.get(..whole.len() - 1)?
    } else {
        whole
    };
    let decoded = engine.decode(whole).ok()?;
    Some(Inner::Text(String::from_utf8_lossy(&decoded).into_owned()))
}

const fn is_text(b: u8) -> bool {
    b.is_ascii_graphic() || matches!(b, b' ' | b'\n' | b'\r' | b'\t') || b >= 0x80
}

/// Words with percent codes, decoded.
fn percent_runs(text: &str) -> Vec<Run> {
    let bytes = text.as_bytes();
    let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'<' | b'>' | b'`');
    let mut out = vec![];
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('%')) {
        let mark = at + found;
        let before = bytes.get(at..mark).unwrap_or_default();
        let start = mark - before.iter().rev().take_while(|b| !ends(b)).count();
        let rest = bytes.get(mark..).unwrap_or_default();
        let end = mark + rest.iter().take_while(|b| !ends(b)).count();
        if let Some(said) = text.get(start..end).and_then(unpercent) {
            out.push((start, end, Inner::Text(said)));
        }
        at = end.max(mark + 1);
    }
    out
}

fn unpercent(word: &str) -> Option<String> {
    let bytes = word.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut decoded = false;
    let mut i = 0;
    while let Some(b) = bytes.get(i).copied() {
        let code = (b == b'%')
            .then(|| word.get(i + 1..i + 3))
            .flatten()
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(code) => {
                out.push(code);
                decoded = true;
                i += 3;
            }
            None => {
                out.push(b);
                i += 1;
            }
        }
    }
    decoded.then(|| String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_base64_is_read_wrapped_or_not_and_names_are_left_alone() {
        let plain = "password=hunter2 and some more words so that it is wrapped twice at least, or so";
        let code = STANDARD.encode(plain);
        let wrapped = code
            .as_bytes()
            .chunks(40)
            .map(|l| String::from_utf8_lossy(l))
            .collect::<Vec<_>>()
            .join("\n  ");
        for text in [format!("x: {code}"), format!("x:\n  {wrapped}\nend here")] {
            let found = runs(&text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].2, Inner::Text(plain.to_owned()), "{text}");
        }
        assert_eq!(
            runs("horizontal-pod-autoscaler-controller registry/team/application-name"),
            vec![]
        );
    }

    #[test]
    fn compressed_data_is_said_to_be_unseen() {
        assert_eq!(runs("H4sIAAAAAAAAA0vOzy0oSi0u")[0].2, Inner::Compressed);
    }

    #[test]
    fn percent_codes_are_read_word_by_word() {
        let found = runs("get /x?password%3Dhun%74er2 100% done");
        assert_eq!(
            found,
            vec![(4, 27, Inner::Text("/x?password=hunter2".to_owned()))]
        );
    }
}
