//! rollout-history and diff: what the revisions of a workload run, and what two of them differ in.

use kubechat_core::plan::{Revision, diff as fields, object};
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::super::answer::{scrubbed, text, with_table};
use super::super::{Stop, Turn, beside, resolve};
use super::{citation, compare};

/// The revisions of a workload, or one of them.
pub(super) async fn history(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let (name, revisions, cited) = revisions(turn, intent).await?;
    let mut answer = match intent.params.revision {
        Some(number) => {
            let template = object::masked(&one(&name, &revisions, number)?.template);
            let yaml = serde_saphyr::to_string(&template).unwrap_or_default();
            text(&scrubbed(&format!("Revision {number} of {name}:\n{yaml}")))
        }
        None => listed(&name, &revisions),
    };
    answer.citations.push(cited);
    Ok(answer)
}

/// What two revisions differ in, or one and what the workload is now.
pub(super) async fn diff(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let (name, revisions, cited) = revisions(turn, intent).await?;
    let newest = revisions.iter().map(|r| r.number).max().unwrap_or_default();
    let numbers = (
        intent.params.revision.unwrap_or(newest),
        intent.params.to_revision.unwrap_or(newest),
    );
    let (a, b) = (
        one(&name, &revisions, numbers.0)?,
        one(&name, &revisions, numbers.1)?,
    );
    let lines = fields::diff(0, Some(&a.template), Some(&b.template));
    let label = |n: i64| format!("revision {n} of {name}");
    let mut answer = compare::differences(&label(numbers.0), &label(numbers.1), &lines);
    answer.citations.push(cited);
    Ok(answer)
}

async fn revisions(
    turn: &Turn<'_>,
    intent: &Intent,
) -> Result<(String, Vec<Revision>, kubechat_crds::chat_request::Citation), Stop> {
    let found = resolve::objects(turn, intent).await?;
    let [workload] = found.as_slice() else {
        return Err(Stop::needs_input("The revisions of which one workload?", vec![]));
    };
    let name = format!(
        "{}/{}",
        workload.kind.kind.to_lowercase(),
        object::name(&workload.object)
    );
    let mut revisions = beside::revisions(&turn.person, turn, workload).await?;
    revisions.sort_by_key(|r| r.number);
    Ok((name, revisions, citation(workload)))
}

fn one<'r>(name: &str, revisions: &'r [Revision], number: i64) -> Result<&'r Revision, Stop> {
    revisions.iter().find(|r| r.number == number).ok_or_else(|| {
        let known: Vec<String> = revisions.iter().map(|r| r.number.to_string()).collect();
        let known = if known.is_empty() {
            "it has none".to_owned()
        } else {
            format!("it has {}", known.join(", "))
        };
        Stop::needs_input(format!("{name} has no revision {number}; {known}"), vec![])
    })
}

fn listed(name: &str, revisions: &[Revision]) -> Answer {
    if revisions.is_empty() {
        return text(&format!("{name} has no revisions."));
    }
    let newest = revisions.iter().map(|r| r.number).max().unwrap_or_default();
    let rows: Vec<Vec<String>> = revisions
        .iter()
        .map(|r| {
            let now = if r.number == newest { "now" } else { "" };
            vec![r.number.to_string(), images(&r.template), now.to_owned()]
        })
        .collect();
    with_table(
        &format!("{name} has {} revisions:", rows.len()),
        ["Revision", "Images", "State"].map(str::to_owned).to_vec(),
        rows,
        i64::try_from(revisions.len()).unwrap_or(i64::MAX),
        "more revisions than an answer holds",
    )
}

fn images(template: &Value) -> String {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    let images: Vec<&str> = containers
        .into_iter()
        .flatten()
        .filter_map(|c| c.get("image")?.as_str())
        .collect();
    images.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn revision(number: i64, image: &str) -> Revision {
        Revision {
            number,
            template: json!({"spec": {"containers": [{"name": "c", "image": image}]}}),
        }
    }

    #[test]
    fn the_newest_revision_is_the_one_of_now_and_an_unknown_one_names_those_there_are() {
        let all = [revision(1, "nginx:1.27"), revision(3, "nginx:1.28")];
        let table = listed("deployment/web", &all).table.unwrap();
        assert_eq!(table.rows, [["1", "nginx:1.27", ""], ["3", "nginx:1.28", "now"]]);
        assert!(one("deployment/web", &all, 3).is_ok());
        let Err(Stop::Halt(halted)) = one("deployment/web", &all, 2) else {
            panic!("it has no revision 2");
        };
        assert!(halted.message.contains("it has 1, 3"), "{}", halted.message);
    }
}
