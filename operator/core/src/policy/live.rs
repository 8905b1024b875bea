//! The packs of the cluster, put together once and again only when one of them has changed. A cache holds each pack by an
//! `Arc` that is replaced when the pack changes, so that the same `Arc`s are the same packs.

use std::sync::{Arc, Mutex, PoisonError};

use kubechat_crds::RiskPolicy;

use super::{Effective, PolicyProblem};

/// What was put together last.
#[derive(Debug)]
struct Known {
    /// Kept, so that none of these addresses is given to another pack.
    of: Vec<Arc<RiskPolicy>>,
    together: Result<Effective, PolicyProblem>,
}

/// The packs of a cache, ready to be asked. Every process has one beside its cache of RiskPolicies.
#[derive(Debug, Default)]
pub struct Live(Mutex<Option<Known>>);

impl Live {
    /// What these packs are together; as [`Effective::from_policies`], and cheap while they stay the same.
    ///
    /// # Errors
    /// `NoPolicy` or `PolicyNotReady`, with what to do.
    pub fn together(&self, packs: Vec<Arc<RiskPolicy>>) -> Result<Effective, PolicyProblem> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &Known| {
            known.of.len() == packs.len() && known.of.iter().zip(&packs).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if let Some(known) = known.as_ref().filter(|k| same(k)) {
            return known.together.clone();
        }
        let together = Effective::from_policies(&packs);
        *known = Some(Known {
            of: packs,
            together: together.clone(),
        });
        together
    }
}

#[cfg(test)]
mod tests {
    use kubechat_crds::RiskPolicySpec;

    use super::*;

    fn pack(suspend: bool) -> Arc<RiskPolicy> {
        let spec = RiskPolicySpec {
            suspend,
            ..RiskPolicySpec::default()
        };
        Arc::new(RiskPolicy::new("p", spec))
    }

    fn shared(a: &Effective, b: &Effective) -> bool {
        Arc::ptr_eq(&a.packs, &b.packs)
    }

    #[test]
    fn packs_that_stay_the_same_are_put_together_once() {
        let (live, one) = (Live::default(), pack(false));
        let first = live.together(vec![Arc::clone(&one)]).unwrap();
        assert!(shared(&first, &live.together(vec![one]).unwrap()));
    }

    #[test]
    fn a_pack_that_was_changed_added_or_removed_is_seen_at_once() {
        let (live, one) = (Live::default(), pack(false));
        assert_eq!(
            live.together(vec![]).unwrap_err().reason,
            crate::reason::NO_POLICY
        );
        let of = |packs: &[&Arc<RiskPolicy>]| {
            live.together(packs.iter().map(|p| Arc::clone(p)).collect())
                .unwrap()
                .suspended_by()
                .map(str::to_owned)
        };
        assert_eq!(of(&[&one]), None);
        let stopped = pack(true);
        assert_eq!(of(&[&stopped]).as_deref(), Some("p"));
        assert_eq!(of(&[&one]), None);
        assert_eq!(of(&[&one, &stopped]).as_deref(), Some("p"));
        assert!(live.together(vec![]).is_err());
    }
}
