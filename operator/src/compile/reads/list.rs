//! list, get, count: the API server's own tables, so that every kind (CRDs too) shows its printer columns.

use kubechat_core::plan::{KindRef, object};
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::{Intent, Output, SortBy};
use serde_json::Value;

use super::super::answer::{MAX_ROWS, scrubbed, text, with_table};
use super::super::{Stop, Turn, resolve};
use super::{citation, place};
use crate::cluster::objects::{Column, Objects, PAGE, Query, Row, TablePage};

/// Pages read to count or filter at most: 20,000 objects.
const MAX_PAGES: usize = 40;

/// Rows of a kind.
pub(super) async fn list(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let of_owner = !intent.target.names.is_empty() && intent.target.kind.as_deref() == Some("Pod");
    if !intent.target.names.is_empty() && !of_owner {
        return get(turn, intent).await;
    }
    let (kind, namespace) = kind_and_namespace(turn, intent)?;
    let mut page = read(turn, intent, kind, namespace.as_deref()).await?;
    if of_owner {
        // "the pods of web": pods of that name, or whose name an owner of that name made.
        page.rows
            .retain(|row| intent.target.names.iter().any(|name| belongs(row, name)));
        page.total = i64::try_from(page.rows.len()).unwrap_or(i64::MAX);
    }
    let most = intent.params.sort.and_then(|by| most_first(&mut page, by));
    let wide = intent.params.output == Some(Output::Wide);
    let columns: Vec<(usize, &Column)> = page
        .columns
        .iter()
        .enumerate()
        .filter(|(_, c)| wide || c.priority == 0)
        .collect();
    let with_namespace = kind.namespaced && namespace.is_none();
    let mut titles: Vec<String> = columns.iter().map(|(_, c)| c.name.clone()).collect();
    if with_namespace {
        titles.insert(0, "Namespace".to_owned());
    }
    let rows: Vec<Vec<String>> = page
        .rows
        .iter()
        .map(|row| {
            let mut cells: Vec<String> = columns.iter().map(|(i, _)| cell(row.cells.get(*i))).collect();
            if with_namespace {
                cells.insert(0, cell(row.object.pointer("/metadata/namespace")));
            }
            cells
        })
        .collect();
    let words = format!(
        "{}{}",
        sentence(page.total, kind, intent, page.complete),
        place(kind.namespaced, namespace.as_deref())
    );
    if rows.is_empty() {
        return Ok(text(&format!("{words}.")));
    }
    let words = most.map_or_else(|| words.clone(), |most| format!("{words}; {most}"));
    Ok(with_table(
        &format!("{words}:"),
        titles,
        rows,
        page.total,
        "more rows than an answer holds: narrow it by a namespace or a selector",
    ))
}

/// One or several objects by name.
pub(super) async fn get(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let found = resolve::objects(turn, intent).await?;
    let form = intent.params.output.unwrap_or(Output::Table);
    let mut answers = vec![];
    for one in &found {
        let masked = object::masked(&one.object);
        let name = format!("{}/{}", one.kind.kind.to_lowercase(), object::name(&one.object));
        let mut answer = match form {
            Output::Yaml => text(&scrubbed(&serde_saphyr::to_string(&masked).unwrap_or_default())),
            Output::Json => text(&scrubbed(
                &serde_json::to_string_pretty(&masked).unwrap_or_default(),
            )),
            Output::Name => text(&name),
            Output::Table | Output::Wide => {
                let namespace = one.object.pointer("/metadata/namespace").and_then(Value::as_str);
                let page = Objects::new(&turn.person, &one.kind, namespace)
                    .table(Some(object::name(&one.object)), &Query::default())
                    .await?;
                let columns: Vec<(usize, &Column)> = page
                    .column_definitions
                    .iter()
                    .enumerate()
                    .filter(|(_, c)| form == Output::Wide || c.priority == 0)
                    .collect();
                let rows = page
                    .rows
                    .iter()
                    .map(|r| columns.iter().map(|(i, _)| cell(r.cells.get(*i))).collect())
                    .collect();
                let place = place(one.kind.namespaced, namespace);
                with_table(
                    &format!("{name}{place}:"),
                    columns.iter().map(|(_, c)| c.name.clone()).collect(),
                    rows,
                    1,
                    "",
                )
            }
        };
        answer.citations.push(citation(one));
        answers.push(answer);
    }
    Ok(super::answer::join(answers))
}

/// How many there are.
pub(super) async fn count(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let (kind, namespace) = kind_and_namespace(turn, intent)?;
    let page = read(turn, intent, kind, namespace.as_deref()).await?;
    Ok(text(&format!(
        "{}{}.",
        sentence(page.total, kind, intent, page.complete),
        place(kind.namespaced, namespace.as_deref())
    )))
}

fn kind_and_namespace<'a>(
    turn: &'a Turn<'_>,
    intent: &Intent,
) -> Result<(&'a KindRef, Option<String>), Stop> {
    let Some(kind) = resolve::named_kind(turn, intent)? else {
        return Err(Stop::needs_input(
            "Of which kind? For example pods, deployments, services",
            vec![],
        ));
    };
    let namespace = resolve::namespace_of(turn, intent, kind)?;
    Ok((kind, namespace))
}

struct Read {
    columns: Vec<Column>,
    rows: Vec<Row>,
    total: i64,
    /// False: there are more than were looked at.
    complete: bool,
}

/// Pages of a table: as many as a count or a filter needs, else one.
async fn read(
    turn: &Turn<'_>,
    intent: &Intent,
    kind: &KindRef,
    namespace: Option<&str>,
) -> Result<Read, Stop> {
    let api = Objects::new(&turn.person, kind, namespace);
    let mut read = Read {
        columns: vec![],
        rows: vec![],
        total: 0,
        complete: true,
    };
    let mut token = String::new();
    for _ in 0..MAX_PAGES {
        let query = Query {
            labels: intent.target.selector.as_deref(),
            continue_: Some(token.as_str()).filter(|t| !t.is_empty()),
            limit: PAGE,
            ..Query::default()
        };
        let TablePage {
            metadata,
            column_definitions,
            rows,
        } = api.table(None, &query).await.map_err(resolve::bad_selector)?;
        if read.columns.is_empty() {
            read.columns = column_definitions;
        }
        let rows: Vec<Row> = match &intent.params.state {
            Some(state) => rows
                .into_iter()
                .filter(|r| in_state(&read.columns, r, state))
                .collect(),
            None => rows,
        };
        read.total += i64::try_from(rows.len()).unwrap_or(i64::MAX);
        read.rows.extend(rows);
        if let Some(by) = intent.params.sort {
            most_first(&mut read, by);
        }
        read.rows.truncate(MAX_ROWS);
        token = metadata.continue_;
        if token.is_empty() {
            return Ok(read);
        }
        // The server knows the rest where nothing was filtered by it.
        if let (None, None, None, Some(rest)) = (
            &intent.params.state,
            &intent.params.sort,
            &intent.target.selector,
            metadata.remaining_item_count,
        ) {
            read.total += rest;
            return Ok(read);
        }
    }
    read.complete = false;
    Ok(read)
}

/// Puts the rows with the most of it first, and says which that is.
fn most_first(read: &mut Read, by: SortBy) -> Option<String> {
    let title = match by {
        SortBy::Restarts => "Restarts",
        // What is in use stands in no column of a list: `top` reads it.
        SortBy::Cpu | SortBy::Memory => return None,
    };
    let index = read.columns.iter().position(|c| c.name == title)?;
    // `5 (3m ago)` is how the API server writes a number of restarts.
    let number = |row: &Row| -> u64 {
        let cell = cell(row.cells.get(index));
        let digits = cell.split(' ').next().unwrap_or_default();
        digits.parse().unwrap_or(0)
    };
    read.rows.sort_by_key(|row| std::cmp::Reverse(number(row)));
    let first = read.rows.first()?;
    let name = cell(first.object.pointer("/metadata/name"));
    Some(match number(first) {
        0 => format!("no {}", title.to_lowercase()),
        most => format!("most {}: {name} ({most})", title.to_lowercase()),
    })
}

/// Whether a pod is called so, or was made by something called so.
fn belongs(row: &Row, name: &str) -> bool {
    let pod = row
        .object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    pod == name || pod.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
}

/// Whether a row's status column says this state. `failing` means anything but running or completed.
fn in_state(columns: &[Column], row: &Row, state: &str) -> bool {
    let Some(index) = columns
        .iter()
        .position(|c| c.name == "Status" || c.name == "Phase")
    else {
        return true;
    };
    let value = cell(row.cells.get(index)).to_lowercase();
    match state.to_lowercase().as_str() {
        "failing" | "failed" | "broken" | "unhealthy" | "notready" => {
            let waiting = columns
                .iter()
                .position(|c| c.name == "Ready")
                .map(|i| cell(row.cells.get(i)))
                .is_some_and(|r| not_all(&r));
            !matches!(
                value.as_str(),
                "running" | "completed" | "succeeded" | "active" | "ready" | "bound"
            ) || waiting && value == "running"
        }
        "notrunning" => value != "running",
        wanted => value == wanted || value.split(',').any(|part| part == wanted),
    }
}

/// `1/2` means not all.
fn not_all(ready: &str) -> bool {
    ready.split_once('/').is_some_and(|(a, b)| a != b)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "<none>".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn sentence(total: i64, kind: &KindRef, intent: &Intent, complete: bool) -> String {
    let state = intent
        .params
        .state
        .as_ref()
        .map(|s| format!("{} ", s.to_lowercase()))
        .unwrap_or_default();
    let noun = if total == 1 {
        kind.kind.to_lowercase()
    } else {
        kind.resource.clone()
    };
    let by = intent
        .target
        .selector
        .as_ref()
        .map(|s| format!(" with {s}"))
        .unwrap_or_default();
    let more = if complete { "" } else { "at least " };
    let number = if total == 0 {
        "no".to_owned()
    } else {
        total.to_string()
    };
    format!("{more}{number} {state}{noun}{by}")
}
