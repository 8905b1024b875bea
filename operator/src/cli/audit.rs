//! `kubechat audit init|verify|list`: works on the log's files, needs no cluster.

use std::path::Path;

use kubechat_audit::{Entry, Filter, VerifyExit, init_key, list_file, read_key, verify_file};

use super::error::CliError;
use super::exit::Exit;
use super::render::{Look, Page, Tone, table};
use super::ui;
use crate::args::{AuditCommand, AuditFormat, AuditListArgs, ColorChoice, Format};

/// What a command prints, and how it ends.
type Printed = (String, Exit);

/// `kubechat audit ...`.
pub(crate) fn audit(command: &AuditCommand, color: ColorChoice) -> Result<Exit, CliError> {
    let look = ui::look(Format::Table, color);
    let (text, exit) = match command {
        AuditCommand::Init { key } => init(&look, key)?,
        AuditCommand::Verify { db, key, output } => verify(&look, db, key.as_deref(), *output)?,
        AuditCommand::List(args) => list(&look, args)?,
    };
    ui::print(&text);
    Ok(exit)
}

fn init(look: &Look, path: &Path) -> Result<Printed, CliError> {
    let key = init_key(path).map_err(|error| CliError::Other(error.to_string()))?;
    let mut page = Page::new(look);
    page.line(
        0,
        Tone::Good,
        &format!("Made audit key {} in {}.", key.id(), path.display()),
    );
    page.line(
        0,
        Tone::Plain,
        "Keep a copy apart from the log: whoever has both can rewrite it.",
    );
    Ok((page.finish(), Exit::Done))
}

fn verify(look: &Look, db: &Path, key: Option<&Path>, output: AuditFormat) -> Result<Printed, CliError> {
    let Some(key) = key else {
        return Err(CliError::Usage(
            "the log was not verified: without its key the chain cannot be checked, and a log whose chain is not checked \
             proves nothing. Name the key with --key (the file that `kubechat audit init` made)"
                .to_owned(),
        ));
    };
    // Exit code 2: nothing could be said about the log.
    let report = read_key(key)
        .map_err(|error| error.to_string())
        .and_then(|key| verify_file(db, &key).map_err(|error| error.to_string()))
        .map_err(CliError::Usage)?;
    let text = match output {
        AuditFormat::Table => {
            let mut page = Page::new(look);
            let mut tone = if report.is_valid() { Tone::Good } else { Tone::Bad };
            for line in report.to_string().lines() {
                page.line(0, tone, line);
                tone = Tone::Plain;
            }
            page.finish()
        }
        AuditFormat::Json => json(&report)?,
    };
    Ok((text, Exit::Audit(report.exit())))
}

fn list(look: &Look, args: &AuditListArgs) -> Result<Printed, CliError> {
    let AuditListArgs {
        db,
        key,
        event_type,
        plan,
        request,
        user,
        since_seq,
        limit,
        output,
    } = args;
    if let Some(key) = key {
        let (text, verdict) = verify(look, db, Some(key), *output)?;
        if verdict != Exit::Audit(VerifyExit::Valid) {
            return Ok((text, verdict));
        }
    }
    let filter = Filter {
        event_type: *event_type,
        plan: plan.clone(),
        request: request.clone(),
        user: user.clone(),
        since_seq: *since_seq,
        limit: *limit,
    };
    let entries = list_file(db, &filter).map_err(|error| CliError::Usage(error.to_string()))?;
    let text = match output {
        AuditFormat::Table => rows(look, &entries),
        AuditFormat::Json => json(&entries)?,
    };
    Ok((text, Exit::Done))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, CliError> {
    Ok(ui::formatted(Format::Json, value)?.unwrap_or_default())
}

fn rows(look: &Look, entries: &[Entry]) -> String {
    let columns = [
        "SEQ", "TIME", "EVENT", "OUTCOME", "BY", "VERB", "OBJECT", "PLAN", "MESSAGE",
    ];
    let cells: Vec<Vec<String>> = entries.iter().map(row).collect();
    table::table(look, &columns, &cells, |_, _| Tone::Plain)
}

fn row(entry: &Entry) -> Vec<String> {
    let dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let object = entry.target.as_ref().map(|target| {
        let place = target
            .namespace
            .as_ref()
            .map(|n| format!("{n}/"))
            .unwrap_or_default();
        let (kind, name) = (dash(target.kind.as_deref()), dash(target.name.as_deref()));
        format!("{place}{}/{name}", kind.to_lowercase())
    });
    vec![
        entry.seq.to_string(),
        format!("{:.0}", entry.time),
        entry.event_type.to_string(),
        format!("{} ({})", entry.outcome, entry.reason),
        entry.actor.username.clone(),
        entry.verb.clone(),
        dash(object.as_deref()),
        dash(entry.ids.plan.as_deref()),
        entry.message.clone(),
    ]
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
