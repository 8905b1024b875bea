//! A blast radius in words, for people.

use kubechat_crds::command_plan::BlastRadius;

/// Names of a list shown one by one.
const SHOWN: usize = 10;

/// One line a fact; nothing is said of what is not hit.
#[must_use]
pub fn lines(radius: &BlastRadius) -> Vec<String> {
    let BlastRadius {
        objects,
        pods_lost,
        pods_total,
        services_at_zero,
        pdbs_violated,
        pvcs,
        unrecoverable_volumes,
        single_replicas,
        pdb_headroom,
        nodes_percent,
        pods_percent,
        outside_namespace,
        undone_by,
        complete,
        missing,
    } = radius;
    let mut all = vec![];
    let kinds: Vec<String> = objects.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    all.push(format!(
        "reaches {} object(s): {}",
        objects.values().sum::<i64>(),
        kinds.join(", ")
    ));
    if *pods_total > 0 {
        let share = if *pods_lost > 0 {
            format!(", {pods_percent} % of the cluster's")
        } else {
            String::new()
        };
        all.push(format!(
            "ready pods lost: {pods_lost} (of {pods_total} pods reached{share})"
        ));
    }
    let mut list = |what: &str, names: &[String]| {
        if !names.is_empty() {
            let mut shown: Vec<String> = names.iter().take(SHOWN).cloned().collect();
            if names.len() > SHOWN {
                shown.push(format!("and {} more", names.len() - SHOWN));
            }
            all.push(format!("{what} {}", shown.join(", ")));
        }
    };
    list("left with no endpoint: Service", services_at_zero);
    list("violated: PodDisruptionBudget", pdbs_violated);
    list("of one replica only:", single_replicas);
    list("data lost: claim", pvcs);
    list(
        "volume removed with it, or not known to stay: claim",
        unrecoverable_volumes,
    );
    if let (Some(left), true) = (pdb_headroom, pdbs_violated.is_empty()) {
        all.push(format!(
            "the tightest PodDisruptionBudget still allows {left} disruption(s)"
        ));
    }
    if *nodes_percent > 0 {
        all.push(format!("nodes: {nodes_percent} % of the cluster"));
    }
    if *outside_namespace > 0 {
        all.push(format!("in other namespaces: {outside_namespace} object(s)"));
    }
    all.extend(undone_by.iter().cloned());
    if !complete {
        all.push(format!("NOT COMPLETE, there may be more: {}", missing.join("; ")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_radius_says_what_was_not_seen() {
        let radius = BlastRadius {
            missing: vec!["pods in demo: the requester may not read them".into()],
            ..BlastRadius::default()
        };
        let said = lines(&radius).join("\n");
        assert!(
            said.contains("NOT COMPLETE") && said.contains("pods in demo: the requester may not read them")
        );
        let whole = BlastRadius {
            complete: true,
            ..BlastRadius::default()
        };
        assert!(!lines(&whole).join("\n").contains("COMPLETE"));
    }

    #[test]
    fn long_lists_of_names_are_counted() {
        let names: Vec<String> = (0..12).map(|n| format!("demo/s{n}")).collect();
        let radius = BlastRadius {
            services_at_zero: names,
            complete: true,
            ..BlastRadius::default()
        };
        let said = lines(&radius).join("\n");
        assert!(
            said.contains("Service demo/s0,") && said.ends_with("and 2 more"),
            "{said}"
        );
    }
}
