//! Plans to try an expression on before a pack is stored: one that is simple, and those that lack what rules tend to
//! take for granted.

use std::sync::Arc;

use jiff::Timestamp;
use kubechat_crds::command_plan::BlastRadius;
use kubechat_crds::{CommandPlanSpec, Level};
use serde_json::{Value, json};

use super::expression::{Program, context};
use super::vars;

/// Why an expression fails on every plan, if it does.
pub(super) fn never_works(program: &Program) -> Option<String> {
    let mut why = None;
    for (_, plan) in plans() {
        match run(program, &plan) {
            Ok(_) => return None,
            Err(error) => why = Some(error),
        }
    }
    why
}

/// An ordinary plan that an expression fails on, and why.
pub(super) fn sometimes_fails(program: &Program) -> Option<(&'static str, String)> {
    plans()
        .into_iter()
        .find_map(|(name, plan)| run(program, &plan).err().map(|why| (name, why)))
}

/// Whether an expression is true of every plan here.
pub(super) fn always(program: &Program) -> bool {
    plans().iter().all(|(_, plan)| run(program, plan) == Ok(true))
}

fn run(program: &Program, plan: &CommandPlanSpec) -> Result<bool, String> {
    let patterns = Arc::new(program.patterns.clone());
    let mut context = context(&patterns);
    let too_long = |e: vars::TooLong| format!("{} is too long", e.0);
    let step = plan.steps.first().ok_or("no step")?;
    let target = step.targets.first().ok_or("no target")?;
    let view = vars::NamespaceView {
        name: vars::namespace_of(target).unwrap_or_default(),
        fact: plan.facts.namespaces.first(),
        protected: false,
    };
    let values = [
        (
            "plan",
            vars::plan(plan, plan.risk.level, plan.risk.score, false).map_err(too_long)?,
        ),
        ("requester", vars::requester(&plan.requester).map_err(too_long)?),
        ("now", vars::now(Timestamp::UNIX_EPOCH)),
        ("step", vars::step(step).map_err(too_long)?),
        ("target", vars::target(target).map_err(too_long)?),
        ("namespaceObject", vars::namespace(&view).map_err(too_long)?),
    ];
    for (name, value) in values {
        context.add_variable_from_value(name, value);
    }
    program.run(&context)
}

/// The plans, with what each is an example of.
fn plans() -> Vec<(&'static str, CommandPlanSpec)> {
    let web = json!({"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments", "namespace": "shop", "name": "web"});
    let node = json!({"version": "v1", "kind": "Node", "resource": "nodes", "name": "node-1"});
    let labels = json!({
        "env": "prod", "environment": "prod", "team": "shop", "tier": "web", "kubernetes.io/metadata.name": "shop",
        "kubechat.io/protected": "true"
    });
    let of_shop = |labels: Value| json!([{"name": "shop", "labels": labels}]);
    [
        (
            "a scale in a namespace with labels",
            plan("scale", "update", Level::Caution, &web, &of_shop(labels)),
        ),
        (
            "a delete in a namespace without labels",
            plan("delete", "delete", Level::Destructive, &web, &of_shop(json!({}))),
        ),
        (
            "a change of a Node, which stands in no namespace",
            plan("cordon", "update", Level::Caution, &node, &json!([])),
        ),
    ]
    .into_iter()
    .filter_map(|(name, plan)| Some((name, plan?)))
    .collect()
}

/// Read from JSON like a stored plan, so that it has what a stored plan has.
fn plan(
    action: &str,
    effect: &str,
    level: Level,
    target: &Value,
    namespaces: &Value,
) -> Option<CommandPlanSpec> {
    let params = if action == "scale" {
        json!({"replicas": 3})
    } else {
        json!({})
    };
    let plan = json!({
        "chatRequestRef": {"name": "sample", "uid": ""},
        "requester": {"username": "alice", "groups": ["system:authenticated"]},
        "steps": [{
            "id": "s1", "action": action, "effect": effect, "targets": [target], "params": params, "level": level,
            "command": "kubectl scale deployment/web --replicas=3 -n shop", "rollback": {"kind": "None", "why": ""}
        }],
        "risk": {"level": level, "score": level.score_floor()},
        "facts": {"namespaces": namespaces},
        "expiresAt": "", "clusterUID": "", "digest": ""
    });
    let mut plan: CommandPlanSpec = serde_json::from_value(plan).ok()?;
    plan.blast_radius = Some(BlastRadius {
        complete: true,
        ..BlastRadius::default()
    });
    Some(plan)
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_a_plan_of_each_sort() {
        assert_eq!(super::plans().len(), 3);
    }
}
