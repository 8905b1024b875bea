use kubechat_crds::approval::{BreakGlass, Claim, Signature, SignatureFormat};
use kubechat_crds::command_plan::Risk;
use kubechat_crds::risk_policy::TrustedApplier;
use kubechat_crds::{DecisionKind, LocalRef, RiskPolicy, RiskPolicySpec};

use super::*;
use crate::sshsig::sign;
use crate::sshsig::tests::{key_files, registered};

const FLUX: &str = "system:serviceaccount:flux-system:kustomize-controller";

fn trusting(claims: UnsignedClaims) -> RiskPolicy {
    let gitops = GitOps {
        trusted_appliers: vec![TrustedApplier {
            service_account: "flux-system/kustomize-controller".into(),
            namespaces: vec!["demo".into()],
        }],
        unsigned_claims: claims,
    };
    RiskPolicy::new(
        "git",
        RiskPolicySpec {
            gitops: Some(gitops),
            ..Default::default()
        },
    )
}

fn plan(level: Level) -> CommandPlanSpec {
    CommandPlanSpec {
        cluster_uid: "c".into(),
        digest: "sha256:d".into(),
        risk: Risk {
            level,
            ..Default::default()
        },
        ..Default::default()
    }
}

fn approve() -> ApprovalSpec {
    ApprovalSpec {
        plan_ref: LocalRef::new("p"),
        plan_digest: "sha256:d".into(),
        decision: DecisionKind::Approve,
        ..Default::default()
    }
}

fn signed_by(seed: u8, mut spec: ApprovalSpec, cluster: &str) -> ApprovalSpec {
    let value = sign(&key_files(seed).0, &statement(cluster, "demo", &spec).unwrap()).unwrap();
    spec.signature = Some(Signature {
        format: SignatureFormat::Sshsig,
        value,
    });
    spec
}

fn claiming(username: &str) -> ApprovalSpec {
    ApprovalSpec {
        approver: Some(Claim {
            username: username.into(),
        }),
        ..approve()
    }
}

fn named(username: &str) -> Identity {
    Identity {
        username: username.into(),
        ..Default::default()
    }
}

fn found(
    packs: &[RiskPolicy],
    level: Level,
    spec: &ApprovalSpec,
    by: &str,
    namespace: &str,
) -> Result<Decider, NotCounted> {
    let mut bob = registered("bob", 1);
    bob.spec.groups = vec!["sre".into(), "system:masters".into()];
    let keys = Keyring::new(&[bob, registered("carol", 2)]);
    let policies = Effective::from_policies(packs).unwrap();
    let origin = Origin {
        namespace,
        policies: Ok(&policies),
        keys: &keys,
        now: Timestamp::UNIX_EPOCH,
    };
    decider(&plan(level), spec, &named(by), &origin)
}

fn reason_of(
    packs: &[RiskPolicy],
    level: Level,
    spec: &ApprovalSpec,
    by: &str,
    namespace: &str,
) -> &'static str {
    found(packs, level, spec, by, namespace).map_or_else(|no| no.reason, |_| "")
}

#[test]
fn what_a_trusted_applier_brings_is_the_decision_of_who_signed_it() {
    let signed = signed_by(1, approve(), "c");
    let found = found(
        &[trusting(UnsignedClaims::None)],
        Level::Destructive,
        &signed,
        FLUX,
        "demo",
    )
    .unwrap();
    assert_eq!(
        (found.person.username.as_str(), found.signed, found.git),
        ("bob", true, true)
    );
    // A key's list of groups never makes anybody a superuser.
    assert_eq!(found.person.groups, ["sre"]);
}

type Flip = fn(&mut ApprovalSpec);

#[test]
fn every_signed_field_that_is_flipped_voids_the_signature() {
    let signed = || signed_by(1, approve(), "c");
    let flips: [(&str, Flip); 6] = [
        ("decision", |s| s.decision = DecisionKind::Deny),
        ("expiry", |s| {
            s.expires_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                Timestamp::UNIX_EPOCH,
            ));
        }),
        ("incident", |s| {
            s.break_glass = Some(BreakGlass {
                incident: "INC-1".into(),
            });
        }),
        ("an incident that reads like none", |s| {
            s.break_glass = Some(BreakGlass { incident: "-".into() });
        }),
        ("plan", |s| s.plan_ref.name = "q".into()),
        ("digest", |s| s.plan_digest = "sha256:e".into()),
    ];
    let packs = [trusting(UnsignedClaims::Caution)];
    assert_eq!(reason_of(&packs, Level::Caution, &signed(), FLUX, "demo"), "");
    for (what, flip) in flips {
        let mut spec = signed();
        flip(&mut spec);
        let found = reason_of(&packs, Level::Caution, &spec, FLUX, "demo");
        assert_eq!(found, reason::SIGNATURE_INVALID, "{what}");
        // Whoever carries it.
        let found = reason_of(&packs, Level::Caution, &spec, "bob", "demo");
        assert_eq!(found, reason::SIGNATURE_INVALID, "{what}");
    }
    let elsewhere = signed_by(1, approve(), "another-cluster");
    assert_eq!(
        reason_of(&packs, Level::Caution, &elsewhere, FLUX, "demo"),
        reason::SIGNATURE_INVALID
    );
}

#[test]
fn a_service_account_decides_nothing_by_itself() {
    let packs = [trusting(UnsignedClaims::Caution)];
    let signed = signed_by(1, approve(), "c");
    for (by, namespace, expected) in [
        (FLUX, "demo", ""),
        (FLUX, "prod", reason::UNTRUSTED_APPLIER),
        (
            "system:serviceaccount:flux-system:other",
            "demo",
            reason::UNTRUSTED_APPLIER,
        ),
        (
            "system:serviceaccount:demo:kustomize-controller",
            "demo",
            reason::UNTRUSTED_APPLIER,
        ),
        ("system:kube-controller-manager", "demo", reason::NOT_A_PERSON),
        ("", "demo", reason::NOT_A_PERSON),
    ] {
        assert_eq!(
            reason_of(&packs, Level::Caution, &signed, by, namespace),
            expected,
            "{by}"
        );
    }
    let nobody = [RiskPolicy::new("plain", RiskPolicySpec::default())];
    assert_eq!(
        reason_of(&nobody, Level::Caution, &signed, FLUX, "demo"),
        reason::UNTRUSTED_APPLIER
    );
}

#[test]
fn a_claim_without_a_signature_counts_up_to_caution_and_only_where_policies_say_so() {
    let (takes, refuses) = (
        trusting(UnsignedClaims::Caution),
        RiskPolicy {
            metadata: kube_name("other"),
            ..trusting(UnsignedClaims::None)
        },
    );
    let missing = reason::SIGNATURE_MISSING;
    for (packs, level, spec, expected) in [
        (vec![takes.clone()], Level::Caution, claiming("carol"), ""),
        (
            vec![takes.clone()],
            Level::Destructive,
            claiming("carol"),
            missing,
        ),
        (vec![refuses.clone()], Level::Caution, claiming("carol"), missing),
        (
            vec![takes.clone(), refuses],
            Level::Caution,
            claiming("carol"),
            missing,
        ),
        (vec![takes.clone()], Level::Caution, approve(), missing),
        (
            vec![takes.clone()],
            Level::Caution,
            claiming(""),
            reason::NOT_A_PERSON,
        ),
        (vec![takes], Level::Caution, claiming(FLUX), reason::NOT_A_PERSON),
    ] {
        assert_eq!(
            reason_of(&packs, level, &spec, FLUX, "demo"),
            expected,
            "{level} {spec:?}"
        );
    }
}

fn kube_name(name: &str) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        name: Some(name.into()),
        ..Default::default()
    }
}

#[test]
fn a_signature_and_a_claim_name_the_same_person() {
    let packs = [trusting(UnsignedClaims::Caution)];
    let mismatch = reason::CLAIM_MISMATCH;
    let with_claim = |name: &str| {
        let mut spec = signed_by(1, approve(), "c");
        spec.approver = claiming(name).approver;
        spec
    };
    for (spec, by, expected) in [
        (with_claim("bob"), FLUX, ""),
        (with_claim("carol"), FLUX, mismatch),
        // A person signs with a key of his own and claims nothing.
        (signed_by(1, approve(), "c"), "bob", ""),
        (signed_by(2, approve(), "c"), "bob", mismatch),
        (claiming("bob"), "bob", mismatch),
        (signed_by(3, approve(), "c"), "bob", reason::UNKNOWN_KEY),
    ] {
        assert_eq!(
            reason_of(&packs, Level::Caution, &spec, by, "demo"),
            expected,
            "{by} {spec:?}"
        );
    }
    let own = found(
        &packs,
        Level::Caution,
        &signed_by(1, approve(), "c"),
        "bob",
        "demo",
    )
    .unwrap();
    assert!(own.signed && !own.git);
}

#[test]
fn while_the_policies_cannot_be_read_nothing_from_git_is_decided() {
    let problem = PolicyProblem {
        reason: reason::POLICY_NOT_READY,
        message: "m".into(),
    };
    let origin = Origin {
        namespace: "demo",
        policies: Err(&problem),
        keys: &Keyring::default(),
        now: Timestamp::UNIX_EPOCH,
    };
    let no = decider(&plan(Level::Caution), &approve(), &named(FLUX), &origin).unwrap_err();
    assert!(no.unknown && no.reason == reason::POLICY_NOT_READY);
}
