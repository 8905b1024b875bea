//! The names of the catalogue: one line an action. What an action does, needs and leaves stands in one file each
//! (`operator/core/src/plan/actions`), and `kubechat_core::catalogue` brings both together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $does:ident;)+) => {
        /// The action catalogue of this release. Reads answer at once; changes make a plan.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Action {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl Action {
            /// Every action, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The action's name in objects and documentation.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One sentence on what it does.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim(),)+ }
            }

            /// Whether the action only reads.
            #[must_use]
            pub const fn is_read(self) -> bool {
                match self { $(Self::$variant => actions!(@ $does),)+ }
            }
        }
    };
    (@ read) => { true };
    (@ change) => { false };
}

actions! {
    /// Rows of a kind.
    List = "list", read;
    /// One object, short.
    Get = "get", read;
    /// One object with what belongs to it.
    Describe = "describe", read;
    /// The end of a container's log.
    Logs = "logs", read;
    /// Events of an object or a namespace.
    Events = "events", read;
    /// How many objects.
    Count = "count", read;
    /// How far a rollout is.
    RolloutStatus = "rollout-status", read;
    /// The revisions of a workload and the images of each.
    RolloutHistory = "rollout-history", read;
    /// What two revisions of a workload differ in (without a second one, from what it is now), or a given manifest from what is there.
    Diff = "diff", read;
    /// What two objects of a kind differ in.
    Compare = "compare", read;
    /// Whether the person who asks may do something.
    CanI = "can-i", read;
    /// What pods or nodes use of CPU and memory now.
    Top = "top", read;
    /// What the fields of a kind are for, from the cluster's own documentation.
    Explain = "explain", read;
    /// Which objects run an image, hold a text, belong to an object or bear a label.
    Find = "find", read;
    /// Change the number of replicas.
    Scale = "scale", change;
    /// Restart the pods of a workload one by one.
    Restart = "restart", change;
    /// Change a container's image.
    SetImage = "set-image", change;
    /// Set or remove environment variables of a container.
    SetEnv = "set-env", change;
    /// Change a container's requests and limits.
    SetResources = "set-resources", change;
    /// Back to an earlier revision of a Deployment, StatefulSet or DaemonSet.
    RolloutUndo = "rollout-undo", change;
    /// Hold the rollout of a Deployment: changes of its template wait.
    RolloutPause = "rollout-pause", change;
    /// Let the rollout of a Deployment go on.
    RolloutResume = "rollout-resume", change;
    /// Let a HorizontalPodAutoscaler choose the number of replicas: makes it, or changes the one there is.
    Autoscale = "autoscale", change;
    /// Hold a CronJob or a Job: no new runs; the pods of a running Job end.
    Suspend = "suspend", change;
    /// Let a suspended CronJob or Job go on.
    Resume = "resume", change;
    /// Remove objects.
    Delete = "delete", change;
    /// Add, change or remove labels.
    Label = "label", change;
    /// Add, change or remove annotations.
    Annotate = "annotate", change;
    /// Change fields of one object by a JSON merge patch or a JSON patch given in the prompt.
    Patch = "patch", change;
    /// Give a PersistentVolumeClaim more room.
    ExpandPvc = "expand-pvc", change;
    /// Mark a node unschedulable.
    Cordon = "cordon", change;
    /// Mark a node schedulable again.
    Uncordon = "uncordon", change;
    /// Keep pods that do not tolerate it off a node (NoSchedule), or drive them away too (NoExecute).
    Taint = "taint", change;
    /// Take a taint off a node.
    Untaint = "untaint", change;
    /// Ask for pods to go, as their disruption budgets allow: their controllers replace them.
    Evict = "evict", change;
    /// Take a node out of scheduling and evict its pods. Pods of DaemonSets stay; pods nobody replaces are refused unless said.
    Drain = "drain", change;
    /// Make a Deployment of one image.
    CreateDeployment = "create-deployment", change;
    /// Make a Service for the pods of a workload.
    Expose = "expose", change;
    /// Make a ConfigMap from keys and values given in the prompt.
    CreateConfigMap = "create-configmap", change;
    /// Make a Job of one image, or one that a CronJob would start.
    CreateJob = "create-job", change;
    /// Make a CronJob of one image.
    CreateCronJob = "create-cronjob", change;
    /// Make a PodDisruptionBudget for the pods of a workload.
    CreatePdb = "create-pdb", change;
    /// Make a ResourceQuota.
    CreateQuota = "create-quota", change;
    /// Make a LimitRange: what a container gets that says nothing of its requests and limits.
    CreateLimitRange = "create-limit-range", change;
    /// Make a NetworkPolicy that denies the traffic of pods, or allows some that comes in.
    CreateNetworkPolicy = "create-network-policy", change;
    /// Make an Ingress: a host that leads to a Service.
    CreateIngress = "create-ingress", change;
    /// Make a ServiceAccount.
    CreateServiceAccount = "create-service-account", change;
    /// Give people or accounts a role in one namespace: makes a RoleBinding.
    BindRole = "bind-role", change;
    /// Make the object of a manifest given in the prompt, or change the one there is to what the manifest says.
    Apply = "apply", change;
    /// Make a namespace.
    CreateNamespace = "create-namespace", change;
    /// Create an object again from its recorded manifest. Only a rollback makes it, never a prompt.
    Recreate = "recreate", change;
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Action;

    #[test]
    fn each_action_has_one_name_in_objects_and_in_text() {
        for action in Action::ALL {
            let written = serde_json::to_value(action).unwrap();
            assert_eq!(written, action.as_str());
            assert!(action.summary().ends_with('.'), "{action}");
        }
    }
}
