//! A turn for the tests of this module: alice scales nginx.

use jiff::Timestamp;
use kube::core::ObjectMeta;
use kubechat_crds::chat_request::{InterpretationStatus, PlanRef};
use kubechat_crds::command_plan::{
    Access, CommandPlanSpec, DiffLine, Effect, Requirement, Risk, RiskFactor, Rollback, RollbackKind,
    StepStatus, Target,
};
use kubechat_crds::common::DecisionRecord;
use kubechat_crds::condition::{self, types};
use kubechat_crds::intent::{Action, IntentParams};
use kubechat_crds::{
    ApprovalSummary, ChatRequest, ChatRequestSpec, ChatRequestStatus, CommandPlan, CommandPlanStatus,
    DecisionKind, Identity, Level, PlanPhase, RequestPhase, Step, StepState, Via,
};

/// The time the tests take place.
pub(crate) fn now() -> Timestamp {
    "2026-05-01T10:00:00Z".parse().unwrap()
}

fn meta(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some("demo".into()),
        ..ObjectMeta::default()
    }
}

/// A request that has a plan.
pub(crate) fn request() -> ChatRequest {
    ChatRequest {
        metadata: meta("ask-1"),
        spec: ChatRequestSpec {
            prompt: "scale nginx to 5 replicas".into(),
            requester: Some(Identity {
                username: "alice".into(),
                ..Identity::default()
            }),
            ..ChatRequestSpec::default()
        },
        status: Some(ChatRequestStatus {
            interpretation: Some(InterpretationStatus {
                understood: "Scale nginx to 5 replicas.".into(),
                provider: "rules".into(),
                confidence: 95,
                ..InterpretationStatus::default()
            }),
            plan_ref: Some(PlanRef {
                name: "ask-1-plan".into(),
                digest: digest(),
            }),
            ..ChatRequestStatus::default()
        }),
    }
}

fn digest() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

fn step() -> Step {
    Step {
        id: "s1".into(),
        action: Action::Scale,
        effect: Effect::Update,
        targets: vec![Target {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            resource: "deployments".into(),
            namespace: Some("demo".into()),
            name: "nginx".into(),
            ..Target::default()
        }],
        selected_by: vec![],
        adopts: vec![],
        selector: None,
        params: IntentParams::default(),
        command: "kubectl scale deployment/nginx --replicas=5 -n demo".into(),
        patch: None,
        subresource: Some("scale".into()),
        manifest: None,
        manifest_digest: None,
        diff: vec![DiffLine {
            target: 0,
            path: "/spec/replicas".into(),
            before: Some("2".into()),
            after: Some("5".into()),
        }],
        access: vec![Access {
            verb: "patch".into(),
            resource: "deployments/scale.apps".into(),
            namespace: Some("demo".into()),
            allowed: true,
        }],
        owners: vec![],
        level: Level::Caution,
        rollback: Rollback {
            kind: RollbackKind::Inverse,
            action: Some(Action::Scale),
            params: None,
            undo: vec![],
            why: "scales back to 2".into(),
        },
    }
}

/// A plan of level caution that waits and that alice may confirm.
pub(crate) fn plan() -> CommandPlan {
    let mut plan = CommandPlan {
        metadata: meta("ask-1-plan"),
        spec: CommandPlanSpec {
            chat_request_ref: kubechat_crds::command_plan::RequestRef {
                name: "ask-1".into(),
                uid: "u".into(),
            },
            requester: Identity {
                username: "alice".into(),
                ..Identity::default()
            },
            steps: vec![step()],
            risk: Risk {
                level: Level::Caution,
                score: 25,
                factors: vec![RiskFactor {
                    id: "scale-up".into(),
                    weight: 25,
                    text: "Raises the number of replicas.".into(),
                    evidence: "2 -> 5".into(),
                }],
            },
            requirement: vec![Requirement {
                policy: "baseline".into(),
                count: 1,
                self_confirm: true,
                ..Requirement::default()
            }],
            expires_at: "2026-05-01T18:00:00Z".into(),
            cluster_uid: "c".into(),
            digest: digest(),
            ..CommandPlanSpec::default()
        },
        status: Some(CommandPlanStatus {
            approvals: Some(ApprovalSummary {
                summary: "0/1".into(),
                required: 1,
                received: 0,
                eligible: vec!["group approvers".into()],
                decisions: vec![],
            }),
            steps: vec![StepStatus {
                id: "s1".into(),
                ..StepStatus::default()
            }],
            ..CommandPlanStatus::default()
        }),
    };
    set_plan(
        &mut plan,
        PlanPhase::AwaitingApproval,
        "Unknown",
        "AwaitingApproval",
        "",
    );
    plan
}

/// A decision by this person.
pub(crate) fn decision(username: &str) -> DecisionRecord {
    DecisionRecord {
        name: format!("approve-{username}"),
        uid: format!("uid-{username}"),
        username: username.into(),
        via: Via::Direct,
        decision: DecisionKind::Approve,
        time: "2026-05-01T10:01:00Z".into(),
    }
}

/// Puts the request into a phase, with its condition `Succeeded`.
pub(crate) fn set_request(
    request: &mut ChatRequest,
    phase: RequestPhase,
    status: &str,
    reason: &str,
    message: &str,
) {
    let of = request.status.get_or_insert_default();
    of.phase = Some(phase);
    condition::set(
        &mut of.conditions,
        types::SUCCEEDED,
        status,
        reason,
        message,
        None,
        now(),
    );
}

/// Puts the plan into a phase, with its condition `Succeeded`.
pub(crate) fn set_plan(plan: &mut CommandPlan, phase: PlanPhase, status: &str, reason: &str, message: &str) {
    let of = plan.status.get_or_insert_default();
    of.phase = Some(phase);
    condition::set(
        &mut of.conditions,
        types::SUCCEEDED,
        status,
        reason,
        message,
        None,
        now(),
    );
}

/// Puts a step into a state.
pub(crate) fn set_step(plan: &mut CommandPlan, index: usize, state: StepState) {
    plan.status.as_mut().unwrap().steps[index].state = state;
}
