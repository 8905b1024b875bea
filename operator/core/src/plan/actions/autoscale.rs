//! autoscale: a HorizontalPodAutoscaler for a workload. One that is there is changed, never doubled.

use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::{Action, Intent, IntentParams};
use serde_json::{Value, json};

use super::change::{Asked, Change, Line, Make, Mark, Pods, Reads};
use super::{Draft, Found, Refusal, blank, inverse, label_of, object, quoted, update};
use crate::plan::scaling;
use crate::risk::{floors, weights};

const GROUP: &str = "autoscaling";
const KIND: &str = "HorizontalPodAutoscaler";
/// CPU use in percent where nobody says one, as `kubectl autoscale` leaves it to the server.
const CPU_PERCENT: i32 = 80;

pub(super) const CHANGE: Change = Change {
    kinds: &[("apps", "Deployment"), ("apps", "StatefulSet")],
    params: &["minReplicas", "maxReplicas", "cpuPercent", "currentReplicas"],
    says: &[
        "autoscale web between 2 and 5 replicas",
        "autoscale web between 2 and 5 replicas at 70% cpu",
        "kubectl autoscale deployment web --min=2 --max=5 --cpu-percent=70",
    ],
    make: Make::Of(draft),
    reads: Reads::List(GROUP, KIND),
    floor: floors::autoscale,
    floors: &[floors::AUTOSCALE, floors::SCALE_DOWN, floors::SCALE_UNKNOWN],
    instead: None,
    weight: |step| match floors::autoscale_lost(step) {
        Some(0) => weights::AUTOSCALE,
        Some(_) => weights::SCALE_DOWN,
        None => weights::SCALE_TO_ZERO,
    },
    pods: |step| {
        if floors::autoscale_lost(step) == Some(0) {
            Pods::Kept
        } else {
            Pods::Scaled
        }
    },
    harmless: false,
    line,
    undo: "the numbers before; one that was made is deleted (destructive)",
    mark: Mark::StepId,
};

/// `kubectl autoscale` makes one; it does not change one that is there.
fn line(step: &Step, line: &Line) -> String {
    let p = &step.params;
    let manifest: Option<Value> = step
        .manifest
        .as_deref()
        .and_then(|m| serde_json::from_str(m).ok());
    let Some(manifest) = manifest else {
        let patch = step.patch.as_deref().unwrap_or_default();
        return format!("patch {} --type=merge -p {}", line.objects, quoted(patch));
    };
    let of = |field: &str| {
        let text = manifest
            .pointer("/spec/scaleTargetRef")
            .and_then(|t| t.get(field)?.as_str());
        text.unwrap_or_default().to_owned()
    };
    let flag = |name: &str, n: Option<i32>| n.map(|n| format!(" --{name}={n}")).unwrap_or_default();
    format!(
        "autoscale {}/{}{}{}{}",
        of("kind").to_lowercase(),
        of("name"),
        flag("min", p.min_replicas),
        flag("max", p.max_replicas),
        flag("cpu-percent", p.cpu_percent)
    )
}

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let found = asked.found;
    if found.kind.is(GROUP, KIND) {
        return adjust(asked.intent, found, None);
    }
    let name = label_of(found);
    if !found.kind.scalable {
        return Err(Refusal::Invalid(format!(
            "{name} cannot be scaled: its kind has no scale subresource"
        )));
    }
    let of = |hpa: &&Found| {
        let text = |p: &str| hpa.object.pointer(p).and_then(Value::as_str);
        text("/spec/scaleTargetRef/kind") == Some(found.kind.kind.as_str())
            && text("/spec/scaleTargetRef/name") == Some(object::name(&found.object))
    };
    let mine: Vec<&Found> = asked.beside.related.iter().filter(of).collect();
    match mine.as_slice() {
        [] => make(asked),
        [one] => adjust(asked.intent, one, live(found)),
        several => Err(Refusal::NeedsInput {
            message: format!(
                "{name} has {} autoscalers, which work against each other. Which one is to be changed?",
                several.len()
            ),
            candidates: several.iter().map(|h| label_of(h)).collect(),
        }),
    }
}

/// How many replicas the workload is to have now, where that can be read. What a prompt says of it is no evidence.
fn live(found: &Found) -> Option<i32> {
    let current = scaling::current(&found.kind.group, &found.kind.kind, &found.object, None)?;
    i32::try_from(current).ok()
}

fn ask(name: &str) -> Refusal {
    Refusal::NeedsInput {
        message: format!("How many replicas at most should {name} have?"),
        candidates: vec![],
    }
}

fn bounds(min: i32, max: i32) -> Result<(), Refusal> {
    if min > max {
        return Err(Refusal::Invalid(format!(
            "at least {min} and at most {max} replicas is no range"
        )));
    }
    Ok(())
}

fn make(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let found = asked.found;
    let p = &asked.intent.params;
    let max = p.max_replicas.ok_or_else(|| ask(&label_of(found)))?;
    let min = p.min_replicas.unwrap_or(1);
    bounds(min, max)?;
    let percent = p.cpu_percent.unwrap_or(CPU_PERCENT);
    let name = object::name(&found.object);
    let namespace = found
        .object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    let taken = |h: &&Found| object::name(&h.object) == name;
    if let Some(other) = asked.beside.related.iter().find(taken) {
        return Err(Refusal::Invalid(format!(
            "{} scales something else, and the autoscaler of {} would have its name",
            label_of(other),
            label_of(found)
        )));
    }
    let target = Target {
        group: GROUP.to_owned(),
        version: "v2".to_owned(),
        kind: KIND.to_owned(),
        resource: "horizontalpodautoscalers".to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
        ..Target::default()
    };
    let params = IntentParams {
        min_replicas: Some(min),
        max_replicas: Some(max),
        cpu_percent: Some(percent),
        current_replicas: live(found),
        ..IntentParams::default()
    };
    let mut step = blank(Action::Autoscale, Effect::Create, vec![target], params);
    let manifest = json!({
        "apiVersion": "autoscaling/v2", "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"scaleTargetRef": {"apiVersion": found.kind.api_version(), "kind": found.kind.kind, "name": name},
            "minReplicas": min, "maxReplicas": max, "metrics": [cpu(percent)]},
    });
    step.manifest = Some(manifest.to_string());
    step.rollback = inverse(
        Action::Delete,
        IntentParams::default(),
        "delete the autoscaler (a destructive plan); the number of replicas stays as it is then".to_owned(),
    );
    Ok(Draft {
        step,
        sidecars: vec![],
        before: vec![],
    })
}

fn cpu(percent: i32) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}})
}

/// Changes the numbers of an autoscaler. Metrics other than CPU use are left alone. `live` is how many replicas what it
/// scales has, where that was read.
fn adjust(intent: &Intent, hpa: &Found, live: Option<i32>) -> Result<Draft, Refusal> {
    let name = label_of(hpa);
    let number = |p: &str| {
        let n = hpa.object.pointer(p).and_then(Value::as_i64);
        n.and_then(|n| i32::try_from(n).ok())
    };
    let p = &intent.params;
    if p.min_replicas.is_none() && p.max_replicas.is_none() && p.cpu_percent.is_none() {
        return Err(ask(&name));
    }
    let (old_min, old_max) = (
        number("/spec/minReplicas").unwrap_or(1),
        number("/spec/maxReplicas").unwrap_or(1),
    );
    let (min, max) = (
        p.min_replicas.unwrap_or(old_min),
        p.max_replicas.unwrap_or(old_max),
    );
    bounds(min, max)?;
    let mut patch = json!({"spec": {"minReplicas": min, "maxReplicas": max}});
    let old_percent = only_cpu(hpa);
    let percent = p.cpu_percent.filter(|new| Some(*new) != old_percent);
    if let Some(new) = percent {
        if old_percent.is_none() {
            return Err(Refusal::Invalid(format!(
                "{name} scales by more than CPU use, so its metrics are not changed by a percentage; change them with a patch"
            )));
        }
        patch["spec"]["metrics"] = json!([cpu(new)]);
    }
    if (min, max) == (old_min, old_max) && percent.is_none() {
        return Err(Refusal::Nothing(format!(
            "{name} has these numbers already; nothing was changed"
        )));
    }
    let numbers = |min, max, percent| IntentParams {
        min_replicas: Some(min),
        max_replicas: Some(max),
        cpu_percent: percent,
        ..IntentParams::default()
    };
    let rollback = inverse(
        Action::Autoscale,
        numbers(old_min, old_max, percent.and(old_percent)),
        format!("back to {old_min} to {old_max} replicas"),
    );
    // It lets no more than its maximum be.
    let seen = live.max(number("/status/currentReplicas")).unwrap_or(old_max);
    let told = IntentParams {
        current_replicas: Some(seen),
        ..numbers(min, max, percent)
    };
    let mut draft = update(intent, hpa, told, &patch, rollback);
    draft.before = vec![hpa.object.clone()];
    Ok(draft)
}

/// The wanted CPU use, where that is all an autoscaler goes by.
fn only_cpu(hpa: &Found) -> Option<i32> {
    let metrics = hpa.object.pointer("/spec/metrics")?.as_array()?;
    let [one] = metrics.as_slice() else {
        return None;
    };
    let percent = one.pointer("/resource/target/averageUtilization")?.as_i64()?;
    let percent = i32::try_from(percent).ok()?;
    (*one == cpu(percent)).then_some(percent)
}
