//! Reading the decisions on a plan: their seals, the keys that signed them, the rights of the people behind them.
//!
//! **Invariant:** keys and rights are read from the API server each time, never from a cache that outlives the reading.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use kubechat_core::authz::Question;
use kubechat_core::decider::{Decider, Origin, decider};
use kubechat_core::lifecycle::approval::{Facts, NotCounted, Terms, judge, questions};
use kubechat_core::lifecycle::decisions::stands;
use kubechat_core::policy::{Effective, PolicyProblem};
use kubechat_core::reason;
use kubechat_core::sshsig::Keyring;
use kubechat_crds::condition::{find, types};
use kubechat_crds::{Approval, ApproverKey, CommandPlanSpec, DecisionKind, Identity};
use serde::de::DeserializeOwned;

use crate::cluster::access::{Subject, first_refused};
use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;

/// Objects a page of a list holds.
const PAGE: u32 = 500;
/// Most objects of a kind that are read for one plan and may count; with more, nothing is decided.
const MAX_READ: usize = 5_000;
/// Most pages that are looked through for them.
const MAX_PAGES: u32 = 100;
/// Accepted decisions of one person that say the same of which no more is read; some may not count any more.
const MAX_SAME: usize = 64;

/// Reads all objects of a list, page by page.
///
/// # Errors
/// When the API server does not answer, or there are more than [`MAX_READ`].
pub(crate) async fn read_all<K>(what: &'static str, api: &Api<K>, params: ListParams) -> Result<Vec<K>, Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    read_where(what, api, params, |_| true).await
}

/// Reads the decisions on a plan, but not what decides nothing: nobody holds a plan up, or hides a Deny, by what was refused
/// for good, is past its own end or is a Review, nor by one person's word many times over.
///
/// # Errors
/// As [`read_all`], of those that may count.
pub(crate) async fn read_decisions(api: &Api<Approval>, plan: &str) -> Result<Vec<Approval>, Error> {
    let of_plan = ListParams::default().fields(&format!("spec.planRef.name={plan}"));
    let now = Timestamp::now();
    let mut heard = HashMap::new();
    let counts = |approval: &Approval| {
        let spec = &approval.spec;
        let status = approval.status.clone().unwrap_or_default();
        let accepted = find(&status.conditions, types::ACCEPTED).map_or("Unknown", |c| c.status.as_str());
        if accepted == "False" || spec.decision == DecisionKind::Review {
            return false;
        }
        let standing = accepted == "True" && spec.decision == DecisionKind::Deny;
        if !standing && spec.expires_at.as_ref().is_some_and(|t| t.0 <= now) {
            return false;
        }
        if accepted != "True" {
            return true;
        }
        let glass = spec.break_glass.is_some();
        let word = (spec.decision, status.via, spec.signature.is_some(), glass);
        let times = heard.entry((status.effective_approver, word)).or_insert(0_usize);
        *times += 1;
        *times <= MAX_SAME
    };
    read_where("list Approvals of the plan", api, of_plan, counts).await
}

async fn read_where<K>(
    what: &'static str,
    api: &Api<K>,
    mut params: ListParams,
    mut wanted: impl FnMut(&K) -> bool,
) -> Result<Vec<K>, Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    params = params.limit(PAGE);
    let mut all = vec![];
    for _ in 0..MAX_PAGES {
        let page = call(what, api.list(&params)).await?;
        all.extend(page.items.into_iter().filter(&mut wanted));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            None => return Ok(all),
            Some(_) if all.len() >= MAX_READ => break,
            Some(token) => params.continue_token = Some(token),
        }
    }
    Err(Error::Dependency {
        reason: reason::LIMIT_EXCEEDED,
        message: format!(
            "could not {what}: there are more than {MAX_READ} that may count (or more than {} in all), so nothing is executed. Remove what is not needed",
            MAX_PAGES * PAGE
        ),
    })
}

type Who = (
    Vec<Question>,
    String,
    String,
    Vec<String>,
    BTreeMap<String, Vec<String>>,
);

/// Judges the decisions on one plan; answers of the authorizer are asked for once a person.
pub struct Bench<'a> {
    ctx: &'a Context,
    namespace: &'a str,
    plan: &'a CommandPlanSpec,
    policies: Result<&'a Effective, &'a PolicyProblem>,
    keys: Keyring,
    terms: Terms,
    now: Timestamp,
    /// By what is asked and of whom as stamped, with everything an authorizer may look at.
    answers: BTreeMap<Who, Result<(), String>>,
}

impl Debug for Bench<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bench")
    }
}

impl<'a> Bench<'a> {
    /// Reads what these decisions need to be judged.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn open(
        ctx: &'a Context,
        namespace: &'a str,
        plan: &'a CommandPlanSpec,
        policies: Result<&'a Effective, &'a PolicyProblem>,
        decisions: &[Approval],
    ) -> Result<Self, Error> {
        let keys = if decisions.iter().any(|d| d.spec.signature.is_some()) {
            let api: Api<ApproverKey> = Api::all(ctx.client.clone());
            Keyring::new(&read_all("list ApproverKeys", &api, ListParams::default()).await?)
        } else {
            Keyring::default()
        };
        let now = Timestamp::now();
        Ok(Self {
            terms: Terms::of(plan, policies, now),
            answers: BTreeMap::new(),
            ctx,
            namespace,
            plan,
            policies,
            keys,
            now,
        })
    }

    /// What the plan's decisions are measured by.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// A decision with its seal checked, its author found and his rights asked.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn facts(&mut self, approval: &Approval) -> Result<Facts, Error> {
        let conditions = approval
            .status
            .as_ref()
            .map(|s| s.conditions.as_slice())
            .unwrap_or_default();
        let refused = find(conditions, types::ACCEPTED)
            .filter(|c| c.status == "False")
            .map(|c| c.message.clone());
        let by = approval.spec.submitted_by.as_ref();
        let ctx = self.ctx;
        // What was refused for good is not looked at again, however many there are.
        let sealed = refused.is_none()
            && approval.metadata.deletion_timestamp.is_none()
            && ctx
                .sealed("Approval", "approvals", &approval.metadata, &approval.spec, by)
                .await?;
        let decider = match by.filter(|_| sealed) {
            Some(by) => {
                let origin = Origin {
                    namespace: self.namespace,
                    policies: self.policies,
                    keys: &self.keys,
                    now: self.now,
                };
                decider(self.plan, &approval.spec, by, &origin)
            }
            None => Err(NotCounted::no(reason::UNTRUSTED_ORIGIN, "it has no valid seal")),
        };
        let mut facts = Facts {
            refused,
            stands: stands(approval, self.plan),
            name: approval.name_any(),
            uid: approval.uid().unwrap_or_default(),
            spec: approval.spec.clone(),
            created: approval
                .creation_timestamp()
                .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
            sealed,
            decider,
            right: None,
        };
        // The authorizer is asked only where its answer decides.
        let unsaid = || judge(self.plan, &self.terms, &facts, self.now).is_err_and(|no| no.unknown);
        let open = facts.stands.is_none() && (facts.spec.decision == DecisionKind::Review || unsaid());
        if let Some(Decider { person, .. }) = facts.decider.as_ref().ok().filter(|_| open) {
            let asked = questions(self.plan, self.namespace, &facts);
            facts.right = Some(self.right(person, asked).await?);
        }
        Ok(facts)
    }

    /// Whether all of this is answered with yes for this person.
    ///
    /// # Errors
    /// When the API server does not answer.
    async fn right(
        &mut self,
        person: &Identity,
        questions: Vec<Question>,
    ) -> Result<Result<(), String>, Error> {
        let who = (
            questions,
            person.username.clone(),
            person.uid.clone(),
            person.groups.clone(),
            person.extra.clone(),
        );
        if let Some(answer) = self.answers.get(&who) {
            return Ok(answer.clone());
        }
        let refused = first_refused(&self.ctx.client, &Subject::stamped(person), &who.0).await?;
        let answer = refused.map_or(Ok(()), |q| Err(q.describe()));
        self.answers.insert(who, answer.clone());
        Ok(answer)
    }
}

#[cfg(test)]
#[path = "decisions_tests.rs"]
mod tests;
