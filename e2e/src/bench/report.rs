//! What a run leaves: a table for people, `results.json` for machines, `details.json` for those who doubt.

use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;
use serde_json::Value;

use super::counters::Line;
use super::stats::Estimate;
use crate::build::write_atomically;

/// Where a number should lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    /// As high as possible.
    Higher,
    /// As low as possible.
    Lower,
}

/// One benchmark's goals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    /// Must be reached to ship.
    pub(super) floor: f64,
    /// Is aimed at.
    pub(super) aim: f64,
}

/// Turns/s x writes / raw writes/s.
pub(super) const B1: Goal = Goal {
    id: "B1",
    what: "turn efficiency: turns/s x writes / raw writes/s",
    unit: "ratio",
    better: Better::Higher,
    floor: 0.50,
    aim: 0.85,
};
/// Writes of a turn.
pub(super) const B2: Goal = Goal {
    id: "B2",
    what: "API server writes per approved turn",
    unit: "writes",
    better: Better::Lower,
    floor: 14.0,
    aim: 8.0,
};
/// Latency of a ChatRequest's admission.
pub(super) const B4: Goal = Goal {
    id: "B4",
    what: "ChatRequest CREATE: webhook p99 / no-op webhook p99",
    unit: "ratio",
    better: Better::Lower,
    floor: 1.5,
    aim: 1.05,
};
/// The same, absolute.
pub(super) const B4_P99: Goal = Goal {
    id: "B4-p99",
    what: "ChatRequest CREATE: webhook p99",
    unit: "ms",
    better: Better::Lower,
    floor: 10.0,
    aim: 5.0,
};
/// Latency of a decision's admission.
pub(super) const B4_DECISION: Goal = Goal {
    id: "B4-approval",
    what: "Approval CREATE / (no-op + 2 SubjectAccessReviews)",
    unit: "ratio",
    better: Better::Lower,
    floor: 1.0,
    aim: 0.75,
};
/// Latency of a plan.
pub(super) const B24: Goal = Goal {
    id: "B24",
    what: "plan latency p95 / one list of all pods",
    unit: "ratio",
    better: Better::Lower,
    floor: 10.0,
    aim: 2.0,
};

/// A decision of the RiskPolicies.
pub(super) const B25: Goal = Goal {
    id: "B25-policy50",
    what: "one policy decision over 50 rules",
    unit: "us",
    better: Better::Lower,
    floor: 150.0,
    aim: 50.0,
};

/// The same by the costliest rules, on the largest plan.
pub(super) const B25_COSTLIEST: Goal = Goal {
    id: "B25-policy-costliest",
    what: "one policy decision: costliest rules admitted, largest plan",
    unit: "ms",
    better: Better::Lower,
    floor: 100.0,
    aim: 30.0,
};

/// Time of a blast radius.
pub(super) const BLAST: Goal = Goal {
    id: "blast",
    what: "blast radius of a Deployment with a tenth of all pods, p95",
    unit: "ms",
    better: Better::Lower,
    floor: 300.0,
    aim: 100.0,
};
/// The same against a list of the same pods.
pub(super) const BLAST_RATIO: Goal = Goal {
    id: "blast-ratio",
    what: "blast radius p95 / one list of the same pods",
    unit: "ratio",
    better: Better::Lower,
    floor: 10.0,
    aim: 3.0,
};

/// Redaction of a large text.
pub(super) const REDACT: Goal = Goal {
    id: "redact-1MiB",
    what: "1 MiB of logs and manifests redacted on one core, p95",
    unit: "ms",
    better: Better::Lower,
    floor: 20.0,
    aim: 10.0,
};
/// What of the planted secrets was found, against the peer.
pub(super) const REDACT_FOUND: Goal = Goal {
    id: "redact-found",
    what: "planted secrets of known kinds found",
    unit: "share",
    better: Better::Higher,
    floor: 0.99,
    aim: 0.999,
};

/// How far a measured number got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The whole interval is on the right side of the aim.
    Aim,
    /// The whole interval is on the right side of the floor.
    Floor,
    /// It is not.
    Neither,
}

impl Goal {
    /// A claim holds only for the whole interval.
    pub(super) fn reached(&self, found: &Estimate) -> Reached {
        let holds = |bound: f64| match self.better {
            Better::Higher => found.low >= bound,
            Better::Lower => found.high <= bound,
        };
        if holds(self.aim) {
            Reached::Aim
        } else if holds(self.floor) {
            Reached::Floor
        } else {
            Reached::Neither
        }
    }
}

/// One line of `results.json`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    id: &'static str,
    value: f64,
    low: f64,
    high: f64,
    unit: &'static str,
    floor: f64,
    aim: f64,
    method: String,
    #[serde(skip)]
    goal: Goal,
    #[serde(skip)]
    found: Estimate,
}

impl Finding {
    pub(super) fn new(goal: Goal, found: Estimate, method: String) -> Self {
        let Goal {
            id, unit, floor, aim, ..
        } = goal;
        let Estimate { value, low, high } = found;
        Self {
            id,
            value,
            low,
            high,
            unit,
            floor,
            aim,
            method,
            goal,
            found,
        }
    }

    /// The method in words.
    pub(super) fn explained(&self) -> String {
        format!("{}: {}", self.id, self.method)
    }

    /// Whether the floor is reached.
    pub(super) fn passes(&self) -> bool {
        self.goal.reached(&self.found) != Reached::Neither
    }
}

/// The table, with the limits in words below it.
pub(super) fn table(findings: &[Finding]) -> String {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["id", "what", "value", "95 % interval", "floor", "aim", ""]);
    for one in findings {
        let sign = match one.goal.better {
            Better::Higher => ">=",
            Better::Lower => "<=",
        };
        let reached = match one.goal.reached(&one.found) {
            Reached::Aim => "aim reached",
            Reached::Floor => "floor reached",
            Reached::Neither => "below floor",
        };
        table.add_row([
            one.id.to_owned(),
            one.goal.what.to_owned(),
            format!("{:.3}", one.value),
            format!("{:.3} to {:.3}", one.low, one.high),
            format!("{sign} {}", one.floor),
            format!("{sign} {}", one.aim),
            reached.to_owned(),
        ]);
    }
    if let Some(values) = table.column_mut(2) {
        values.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// What a turn asked of the API server.
pub(super) fn breakdown(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(["request of a turn", "times", "kept write"]);
    for line in lines {
        let kept = if line.write { "yes" } else { "" };
        table.add_row([
            line.request.clone(),
            format!("{:.2}", line.per_turn),
            kept.to_owned(),
        ]);
    }
    table.to_string()
}

/// Writes both files; their names end with `suffix`.
pub(super) fn save(folder: &Path, suffix: &str, findings: &[Finding], details: &Value) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} was not made", folder.display()))?;
    write_atomically(
        &folder.join(format!("results{suffix}.json")),
        &serde_json::to_string_pretty(findings)?,
    )?;
    write_atomically(
        &folder.join(format!("details{suffix}.json")),
        &serde_json::to_string_pretty(details)?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(low: f64, high: f64) -> Estimate {
        Estimate {
            value: f64::midpoint(low, high),
            low,
            high,
        }
    }

    #[test]
    fn a_claim_holds_only_for_the_whole_interval() {
        let cases = [
            (B1, found(0.85, 0.9), Reached::Aim),
            (B1, found(0.84, 0.9), Reached::Floor),
            (B1, found(0.49, 0.9), Reached::Neither),
            (B2, found(8.0, 8.0), Reached::Aim),
            (B2, found(7.0, 14.0), Reached::Floor),
            (B2, found(7.0, 14.1), Reached::Neither),
            (B24, found(0.1, 2.0), Reached::Aim),
        ];
        for (goal, found, expected) in cases {
            assert_eq!(goal.reached(&found), expected, "{} {found:?}", goal.id);
        }
    }

    #[test]
    fn a_part_measured_alone_leaves_the_results_of_the_whole_run() {
        let folder = tempfile::TempDir::new().unwrap();
        save(
            folder.path(),
            "",
            &[Finding::new(B1, found(0.5, 0.7), "all".to_owned())],
            &Value::Null,
        )
        .unwrap();
        save(folder.path(), "-policy", &[], &Value::Null).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("results.json").contains("B1"));
        assert_eq!(read("results-policy.json"), "[]");
    }

    #[test]
    fn results_have_exactly_the_fields_that_others_read() {
        let findings = [Finding::new(B1, found(0.5, 0.7), "how".to_owned())];
        let folder = tempfile::TempDir::new().unwrap();
        let out = folder.path().join("bench");
        save(&out, "", &findings, &Value::Null).unwrap();
        let read: Vec<serde_json::Map<String, Value>> =
            serde_json::from_str(&std::fs::read_to_string(out.join("results.json")).unwrap()).unwrap();
        let mut fields: Vec<&str> = read[0].keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            ["aim", "floor", "high", "id", "low", "method", "unit", "value"]
        );
        assert!(table(&findings).contains("floor reached"));
    }
}
