//! Whose decision an Approval is: the person who created it, or the person whose key signed what a trusted applier of Git
//! content brought.
//!
//! **Invariants:** a service account never decides; a claim nobody signed counts up to caution at most, and only where a
//! policy says so; a signature binds cluster, namespace, plan, digest, decision, expiry and incident.

use jiff::Timestamp;
use kubechat_crds::risk_policy::{GitOps, UnsignedClaims};
use kubechat_crds::{ApprovalSpec, ApproverKeySpec, CommandPlanSpec, Identity, Level, RiskPolicySpec};

use crate::lifecycle::approval::NotCounted;
use crate::policy::{Effective, PolicyProblem};
use crate::sshsig::{Keyring, statement};
use crate::{reason, shown};

/// The person a decision counts for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decider {
    /// As stamped, or as the ApproverKey names him.
    pub person: Identity,
    /// A key of this person signed it.
    pub signed: bool,
    /// A trusted applier brought it.
    pub git: bool,
}

/// What a decider is found by.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Namespace of the Approval.
    pub namespace: &'a str,
    /// The live policies.
    pub policies: Result<&'a Effective, &'a PolicyProblem>,
    /// The registered keys.
    pub keys: &'a Keyring,
    /// Now.
    pub now: Timestamp,
}

/// Whether some pack trusts this service account to bring decisions into this namespace.
#[must_use]
pub fn trusted_applier<'a>(
    packs: impl Iterator<Item = &'a RiskPolicySpec>,
    account: &'a Identity,
    namespace: &'a str,
) -> bool {
    trusting(packs, account, namespace).next().is_some()
}

/// The GitOps sections that trust it.
fn trusting<'a>(
    packs: impl Iterator<Item = &'a RiskPolicySpec>,
    account: &'a Identity,
    namespace: &'a str,
) -> impl Iterator<Item = &'a GitOps> {
    let name = account
        .service_account()
        .map(|(namespace, name)| format!("{namespace}/{name}"));
    packs
        .filter_map(|pack| pack.gitops.as_ref())
        .filter(move |gitops| {
            gitops.trusted_appliers.iter().any(|a| {
                Some(&a.service_account) == name.as_ref() && a.namespaces.iter().any(|n| n == namespace)
            })
        })
}

/// Whose decision it is. The stamp must have been proven by its seal before.
///
/// # Errors
/// Why it is nobody's.
pub fn decider(
    plan: &CommandPlanSpec,
    spec: &ApprovalSpec,
    by: &Identity,
    origin: &Origin<'_>,
) -> Result<Decider, NotCounted> {
    if by.is_service_account() {
        return from_git(plan, spec, by, origin);
    }
    if by.username.is_empty() || by.username.starts_with("system:") {
        return Err(NotCounted::no(
            reason::NOT_A_PERSON,
            "a service account or system user never counts as an approver. A person must create the Approval",
        ));
    }
    if spec.approver.is_some() {
        return Err(NotCounted::no(
            reason::CLAIM_MISMATCH,
            "approver is only for what a trusted applier brings from Git: who created this Approval is its approver. Leave the field out",
        ));
    }
    let signed = spec.signature.is_some();
    if signed {
        let key = signer(plan, spec, origin)?;
        if key.username != by.username {
            return Err(NotCounted::no(
                reason::CLAIM_MISMATCH,
                format!(
                    "the signature is by {}, but {} created the Approval. Sign with a key of your own, or leave the signature out",
                    shown::identity(&key.username),
                    shown::identity(&by.username)
                ),
            ));
        }
    }
    Ok(Decider {
        person: by.clone(),
        signed,
        git: false,
    })
}

fn from_git(
    plan: &CommandPlanSpec,
    spec: &ApprovalSpec,
    by: &Identity,
    origin: &Origin<'_>,
) -> Result<Decider, NotCounted> {
    let packs = match origin.policies {
        Ok(policies) => policies,
        Err(problem) => {
            return Err(NotCounted {
                reason: problem.reason,
                message: format!(
                    "whether its applier is trusted is not known yet: {}",
                    problem.message
                ),
                unknown: true,
            });
        }
    };
    if !trusted_applier(packs.specs(), by, origin.namespace) {
        return Err(NotCounted::no(
            reason::UNTRUSTED_APPLIER,
            untrusted(by, origin.namespace),
        ));
    }
    let claim = spec.approver.as_ref().map(|a| a.username.as_str());
    if spec.signature.is_some() {
        let key = signer(plan, spec, origin)?;
        if let Some(claim) = claim.filter(|c| *c != key.username) {
            return Err(NotCounted::no(
                reason::CLAIM_MISMATCH,
                format!(
                    "spec.approver names {}, but {} signed. Correct or leave out spec.approver",
                    shown::identity(claim),
                    shown::identity(&key.username)
                ),
            ));
        }
        return Ok(Decider {
            person: person(&key.username, &key.groups),
            signed: true,
            git: true,
        });
    }
    let Some(claim) = claim else {
        return Err(unsigned("it carries no signature"));
    };
    if claim.is_empty() || claim.starts_with("system:") {
        return Err(NotCounted::no(
            reason::NOT_A_PERSON,
            "spec.approver names no person. A person must sign: kubechat approve --git",
        ));
    }
    if plan.risk.level > Level::Caution {
        return Err(unsigned(&format!(
            "a claim without a signature never counts for a {} plan",
            plan.risk.level
        )));
    }
    let all_take = trusting(packs.specs(), by, origin.namespace).all(|g| match g.unsigned_claims {
        UnsignedClaims::Caution => true,
        UnsignedClaims::None => false,
    });
    if !all_take {
        return Err(unsigned(
            "no policy takes claims without a signature (gitops.unsignedClaims)",
        ));
    }
    Ok(Decider {
        person: person(claim, &[]),
        signed: false,
        git: true,
    })
}

/// What a service account reads that no policy trusts.
#[must_use]
pub fn untrusted(by: &Identity, namespace: &str) -> String {
    format!(
        "only people decide on plans, and {} is a service account that no RiskPolicy trusts to bring decisions into namespace {namespace} (gitops.trustedAppliers). Log in as a person, or ask who keeps the policies",
        shown::identity(&by.username)
    )
}

fn unsigned(why: &str) -> NotCounted {
    NotCounted::no(
        reason::SIGNATURE_MISSING,
        format!("{why}. The approver signs: kubechat approve PLAN --git --sign-with KEY"),
    )
}

/// Groups of the control plane are never believed of a key: they would pass every question.
fn person(username: &str, groups: &[String]) -> Identity {
    Identity {
        username: username.to_owned(),
        groups: groups
            .iter()
            .filter(|g| !g.starts_with("system:"))
            .cloned()
            .collect(),
        ..Identity::default()
    }
}

fn signer<'a>(
    plan: &CommandPlanSpec,
    spec: &ApprovalSpec,
    origin: &Origin<'a>,
) -> Result<&'a ApproverKeySpec, NotCounted> {
    let value = spec
        .signature
        .as_ref()
        .map(|s| s.value.as_str())
        .unwrap_or_default();
    let statement = statement(&plan.cluster_uid, origin.namespace, spec)
        .map_err(|e| NotCounted::no(reason::SIGNATURE_INVALID, e.to_string()))?;
    origin
        .keys
        .verify(&statement, value, origin.now)
        .map_err(|e| NotCounted::no(e.reason, e.message))
}

#[cfg(test)]
#[path = "decider_tests.rs"]
mod tests;
