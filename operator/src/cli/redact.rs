//! `kubechat redact`: a text as a model or another reader would get it.

use std::io::Read;
use std::time::Instant;

use kubechat_core::redact;
use serde_json::json;

use super::error::CliError;
use super::exit::Exit;
use super::ui;
use crate::args::{AuditFormat, RedactArgs};

pub(crate) fn redact(args: &RedactArgs) -> Result<Exit, CliError> {
    let RedactArgs {
        file,
        measure,
        output,
    } = args;
    let text = read(file)?;
    let blocked = |why: redact::Blocked| CliError::Usage(format!("{why}. Nothing was printed"));
    let redacted = redact::redact(&text).map_err(blocked)?;
    let milliseconds: Vec<f64> = (0..measure.unwrap_or(0))
        .map(|_| {
            let start = Instant::now();
            // The answer is the one above.
            let _ = std::hint::black_box(redact::redact(std::hint::black_box(&text)));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    match output {
        AuditFormat::Table => ui::print(&redacted.text),
        AuditFormat::Json => {
            let hits: Vec<_> = redact::find(&text)
                .map_err(blocked)?
                .into_iter()
                .map(|hit| {
                    let line = text.get(..hit.start).unwrap_or_default().matches('\n').count() + 1;
                    json!({"class": hit.class, "start": hit.start, "end": hit.end, "line": line})
                })
                .collect();
            let mut said = json!({"counts": redacted.counts, "secrets": hits});
            if !milliseconds.is_empty() {
                said["milliseconds"] = json!(milliseconds);
            }
            ui::print(&format!("{said:#}\n"));
        }
    }
    Ok(Exit::Done)
}

fn read(file: &std::path::Path) -> Result<String, CliError> {
    let limit = u64::try_from(redact::MAX_TEXT)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let unread = |error: std::io::Error| CliError::Usage(format!("{}: {error}", file.display()));
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin()
            .take(limit)
            .read_to_string(&mut text)
            .map_err(unread)?;
    } else {
        let open = std::fs::File::open(file).map_err(unread)?;
        open.take(limit).read_to_string(&mut text).map_err(unread)?;
    }
    Ok(text)
}
