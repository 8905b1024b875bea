//! Break-glass: who may approve alone in an emergency, what that meets, and until when it must be reviewed. The one place
//! that decides it; the judgement of a decision, the count, the review and `why` ask here.

use std::time::Duration;

use super::pack::Pack;
use crate::duration;

/// Who may break the glass, all packs together.
///
/// **Invariant:** the stricter wins twice. Who may: only groups that every pack with `breakGlass` names. What it meets: only
/// what such a pack itself asks for; a pack that says nothing of an emergency is not loosened by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakGlass {
    /// Members of these groups; none left: nobody may.
    pub groups: Vec<String>,
    /// A Review is due after so long: the shortest of all packs.
    pub review_within: Duration,
    /// The packs that allow it.
    packs: Vec<String>,
}

impl BreakGlass {
    /// What the packs say together; `None` where no pack speaks of it, or a time cannot be read.
    pub(super) fn of(packs: &[Pack]) -> Option<Self> {
        let said: Vec<_> = packs
            .iter()
            .filter_map(|p| Some((&p.name, p.spec().break_glass.as_ref()?)))
            .collect();
        let (_, first) = said.first()?;
        let times: Option<Vec<Duration>> = said
            .iter()
            .map(|(_, glass)| duration::parse(&glass.review_within))
            .collect();
        let everywhere = |group: &&String| said.iter().all(|(_, glass)| glass.groups.contains(group));
        Some(Self {
            groups: first.groups.iter().filter(everywhere).cloned().collect(),
            review_within: times?.into_iter().min()?,
            packs: said.iter().map(|(name, _)| (*name).clone()).collect(),
        })
    }

    /// Whether a member of these groups may.
    #[must_use]
    pub fn may(&self, groups: &[String]) -> bool {
        self.groups.iter().any(|group| groups.contains(group))
    }

    /// Whether it meets what this pack asks for.
    #[must_use]
    pub fn meets(&self, pack: &str) -> bool {
        self.packs.iter().any(|name| name == pack)
    }
}
