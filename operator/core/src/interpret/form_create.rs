//! How requests open that make an object, and what their target is: a name for something that is not there yet.

use kubechat_crds::intent::{Action, IntentTarget};

use super::Ask;
use super::parser::Parser;
use crate::catalogue;

impl Parser<'_> {
    /// "create a cronjob": the kind says which action it is.
    pub(super) fn create_here(&self) -> Option<(Action, usize)> {
        let verbs: &[&str] = &[
            "create",
            "make",
            "add",
            "set up",
            "new",
            "create me",
            "make me",
            "give me",
            "spin up",
            "launch",
            "stand up",
            "bring up",
            "provision",
            "deploy",
            "run",
        ];
        let mut len = self.phrase(verbs)?;
        let creates = matches!(self.key(0), "create" | "new") || self.key(0) == "set";
        let from = len;
        len += usize::from(matches!(self.key(len), "a" | "an"));
        len += usize::from(self.key(len) == "new");
        // "make deployment web ..." changes one; "make a deployment ..." makes one.
        if !creates && len == from {
            return None;
        }
        let words = |phrase: &&str| phrase.split(' ').enumerate().all(|(i, w)| self.key(len + i) == w);
        let told = NEW_WORDS
            .iter()
            .flat_map(|(action, phrases)| phrases.iter().map(move |p| (*action, p)));
        let told = told
            .filter(|(_, p)| words(p))
            .max_by_key(|(_, p)| p.split(' ').count());
        let (action, taken) = match told {
            Some((action, phrase)) => (action, phrase.split(' ').count()),
            None => {
                let found = self.kind_at(len)?;
                let row = NEW_KINDS.iter().find(|(_, kind)| *kind == found.info.kind);
                (row.filter(|_| !found.plural)?.0, found.len)
            }
        };
        // An autoscaler and a service for something have forms of their own.
        Some((action, len + taken))
    }
}

/// What a new object of a kind is.
const NEW_KINDS: &[(Action, &str)] = &[
    (Action::CreateDeployment, "Deployment"),
    (Action::CreateConfigMap, "ConfigMap"),
    (Action::CreateJob, "Job"),
    (Action::CreateCronJob, "CronJob"),
    (Action::CreatePdb, "PodDisruptionBudget"),
    (Action::CreateQuota, "ResourceQuota"),
    (Action::CreateLimitRange, "LimitRange"),
    (Action::CreateNetworkPolicy, "NetworkPolicy"),
    (Action::CreateIngress, "Ingress"),
    (Action::CreateServiceAccount, "ServiceAccount"),
];

/// Words for kinds that the lexicon does not know.
const NEW_WORDS: &[(Action, &[&str])] = &[
    (Action::CreatePdb, &["disruption budget", "pod disruption budget"]),
    (Action::CreateQuota, &["quota", "resource quota"]),
    (Action::CreateLimitRange, &["limit range"]),
    (Action::CreateNetworkPolicy, &["network policy"]),
    (Action::CreateServiceAccount, &["service account"]),
    (Action::CreateConfigMap, &["config map"]),
    (Action::CreateCronJob, &["cron job"]),
];

/// Whether an action makes an object that is named by its prompt.
pub(super) fn makes(action: Action) -> bool {
    matches!(
        catalogue::change(action).map(|change| &change.make),
        Some(catalogue::Make::Object(_))
    )
}

/// Whether the first name said is that of the new object.
pub(super) fn names_new(action: Action) -> bool {
    makes(action) && action != Action::BindRole
}

/// The target of a change that makes an object: a name, of the kind that it makes.
pub(super) fn new_object(action: Action, mut target: IntentTarget) -> Result<IntentTarget, Ask> {
    if let [(group, kind)] = catalogue::entry(action).kinds {
        target.kind = Some((*kind).to_owned());
        target.group = Some((*group).to_owned()).filter(|g| !g.is_empty());
    }
    if target.names.is_empty() || target.all || target.all_namespaces {
        return Err(Ask::new(format!(
            "{action} needs one name, in one namespace: what is it to be called?"
        )));
    }
    if target.selector.is_some() && !matches!(action, Action::CreatePdb | Action::CreateNetworkPolicy) {
        return Err(Ask::new(format!(
            "I understood {action}, but not what the labels are for; say it more simply"
        )));
    }
    Ok(target)
}
