//! label: set, change and remove labels by a merge patch.

use kubechat_crds::intent::Intent;

use super::{Draft, Found, Refusal};

pub(super) fn draft(intent: &Intent, found: &Found) -> Result<Draft, Refusal> {
    super::annotate::metadata_map(intent, found, "labels")
}
