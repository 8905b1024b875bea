//! The API server's request counters, for benches and tests that count writes.

use std::collections::BTreeMap;

const METRIC: &str = "apiserver_request_total";

/// One line of `apiserver_request_total`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels: verb, group, resource, subresource, dry_run, code and others.
    pub labels: BTreeMap<String, String>,
    /// Requests since the API server started.
    pub value: f64,
}

impl Sample {
    /// A label's value; empty when the label is not there, as Prometheus sees it.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Whether it counts successful writes that were kept (no dry-runs).
    #[must_use]
    pub fn is_persisted_write(&self) -> bool {
        let writes = [
            "CREATE",
            "POST",
            "UPDATE",
            "PUT",
            "PATCH",
            "APPLY",
            "DELETE",
            "DELETECOLLECTION",
        ];
        writes.contains(&self.label("verb"))
            && self.label("dry_run").is_empty()
            && self.label("code").starts_with('2')
    }
}

/// All counters of API requests at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestTotals(Vec<Sample>);

impl RequestTotals {
    /// Reads them from the text of `/metrics`; other metrics and malformed lines are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::parse_metric(text, METRIC)
    }

    /// The samples of another counter (or sum, or count) of the same text.
    #[must_use]
    pub fn parse_metric(text: &str, metric: &str) -> Self {
        Self(text.lines().filter_map(|line| parse_line(line, metric)).collect())
    }

    /// The sum over the samples that `wanted` selects.
    pub fn sum(&self, wanted: impl Fn(&Sample) -> bool) -> f64 {
        self.0
            .iter()
            .filter(|sample| wanted(sample))
            .map(|sample| sample.value)
            .sum()
    }

    /// Persisted writes on the resources `wanted` names, given as (group, resource); subresources count with
    /// theirs.
    pub fn persisted_writes(&self, wanted: impl Fn(&str, &str) -> bool) -> f64 {
        self.sum(|sample| {
            sample.is_persisted_write() && wanted(sample.label("group"), sample.label("resource"))
        })
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |labels: &BTreeMap<String, String>| {
            earlier
                .0
                .iter()
                .find(|sample| sample.labels == *labels)
                .map_or(0.0, |sample| sample.value)
        };
        let grown = |sample: &Sample| Sample {
            value: sample.value - before(&sample.labels),
            ..sample.clone()
        };
        Self(
            self.0
                .iter()
                .map(grown)
                .filter(|sample| sample.value != 0.0)
                .collect(),
        )
    }

    /// The single counters.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.0
    }
}

fn parse_line(line: &str, metric: &str) -> Option<Sample> {
    let rest = line.strip_prefix(metric)?.strip_prefix('{')?;
    let (labels, rest) = parse_labels(rest)?;
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { labels, value })
}

/// Reads `name="value",...}`; in a value `\\`, `\"` and `\n` stand for themselves (Prometheus text format
/// 0.0.4).
fn parse_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    plain => value.push(plain),
                },
                (_, plain) => value.push(plain),
            }
        };
        labels.insert(name.to_owned(), value);
        rest = &quoted[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP apiserver_request_total Counter of apiserver requests
# TYPE apiserver_request_total counter
apiserver_request_total{code="201",dry_run="",group="kubechat.io",resource="chatrequests",verb="POST"} 4
apiserver_request_total{code="201",dry_run="All",group="kubechat.io",resource="chatrequests",verb="POST"} 9
apiserver_request_total{code="200",dry_run="",group="kubechat.io",resource="commandplans",verb="APPLY"} 2
apiserver_request_total{code="409",dry_run="",group="kubechat.io",resource="commandplans",verb="APPLY"} 1
apiserver_request_total{code="200",dry_run="",group="apps",resource="deployments",subresource="scale",verb="PATCH"} 1
apiserver_request_total{code="200",dry_run="",group="",resource="pods",subresource="",verb="LIST"} 1.5e+02
apiserver_request_total_other{code="200"} 7
apiserver_current_inflight_requests{request_kind="mutating"} 0
"#;

    #[test]
    fn counts_persisted_writes_only() {
        let totals = RequestTotals::parse(TEXT);
        assert_eq!(totals.samples().len(), 6);
        assert_eq!(totals.persisted_writes(|group, _| group == "kubechat.io"), 6.0);
        assert_eq!(
            totals.persisted_writes(|_, resource| resource == "deployments"),
            1.0
        );
        assert_eq!(totals.sum(|sample| sample.label("verb") == "LIST"), 150.0);
    }

    #[test]
    fn the_difference_of_two_moments_holds_only_what_grew() {
        let before = RequestTotals::parse(TEXT);
        let after = RequestTotals::parse(&TEXT.replace("} 4", "} 10"));
        assert_eq!(after.since(&before).samples().len(), 1);
        assert_eq!(after.since(&before).sum(|_| true), 6.0);
        assert!(before.since(&before).samples().is_empty());
    }

    #[test]
    fn label_values_may_hold_quotes_and_commas() {
        let totals = RequestTotals::parse(r#"apiserver_request_total{a="x\"y,z=\\}",b=""} 1"#);
        assert_eq!(totals.samples()[0].label("a"), r#"x"y,z=\}"#);
        assert_eq!(totals.samples()[0].label("missing"), "");
    }

    #[test]
    fn malformed_lines_are_skipped() {
        for line in [
            "{",
            "{a",
            "{a=\"",
            "{a=\"b\\",
            "{a=\"b\"",
            "{a=\"b\"}",
            "{a=\"b\"} x",
            " 1",
        ] {
            let text = format!("{METRIC}{line}");
            assert!(RequestTotals::parse(&text).samples().is_empty(), "{text}");
        }
    }
}
