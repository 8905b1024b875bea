//! Pieces of requests that make a NetworkPolicy, an Ingress or a RoleBinding.

use kubechat_crds::intent::{Action, IntentParams};

use super::forms::put;
use super::frame::Frame;
use super::parser::Parser;
use super::phrase::Np;
use super::token::Shape;
use super::{Ask, flags, names};
use crate::plan::actions::create_network_policy::ALL_PODS;

impl<'a> Parser<'a> {
    /// `for deployment web`, `for pods labelled app=web` (the labels are read as for any selection), `for all pods`.
    pub(super) fn pods_for(&mut self, action: Action, p: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        if self.eat(&["for", "of", "on", "protecting", "around"]) {
            let all = self.eat_phrase(&["all pods", "all the pods", "every pod"]);
            if all || self.eat_phrase(&["pods", "the pods"]) {
                let labels = matches!(
                    self.key(0),
                    "labelled" | "labeled" | "with" | "matching" | "where" | "having"
                ) && (self.text(1).contains('=') || self.text(2).contains('='));
                if labels {
                    return Ok(true);
                }
                if all && action == Action::CreateNetworkPolicy {
                    return put(&mut p.from, ALL_PODS.to_owned(), "the pods");
                }
            }
            self.pos = from;
        }
        self.source(
            &["Deployment", "StatefulSet", "DaemonSet"],
            &["for", "of", "on", "protecting", "around"],
            p,
        )
    }

    /// `denying all ingress`, `allowing traffic from app=api`.
    pub(super) fn traffic(&mut self, p: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        self.eat(&["that", "which", "to"]);
        if self.eat(&[
            "denies",
            "deny",
            "denying",
            "blocks",
            "block",
            "blocking",
            "forbidding",
            "forbids",
        ]) {
            self.eat(&["all"]);
            let incoming = self.eat(&["ingress", "incoming", "inbound"]);
            let both = incoming && self.eat(&["and"]);
            let outgoing = (both || !incoming) && self.eat(&["egress", "outgoing", "outbound"]);
            let traffic = self.eat(&["traffic"]);
            let deny: Vec<String> = match (incoming, outgoing) {
                (true, false) if !both => vec!["Ingress".to_owned()],
                (false, true) => vec!["Egress".to_owned()],
                (true, true) => vec!["Ingress".to_owned(), "Egress".to_owned()],
                (false, false) if traffic => vec!["Ingress".to_owned(), "Egress".to_owned()],
                _ => {
                    self.pos = from;
                    return Ok(false);
                }
            };
            if !p.deny.is_empty() {
                return Err(Ask::new("What is denied is said twice; say it once"));
            }
            p.deny = deny;
            return Ok(true);
        }
        if self.eat(&["allows", "allow", "allowing"])
            || self.eat_phrase(&["only allows", "only allow", "only allowing"])
        {
            self.eat(&["only"]);
            self.eat_phrase(&[
                "traffic",
                "ingress",
                "ingress traffic",
                "incoming traffic",
                "all traffic",
            ]);
            if self.eat(&["from"]) {
                self.eat(&["the"]);
                self.eat(&["pods"]);
                self.eat_phrase(&[
                    "labelled",
                    "labeled",
                    "with label",
                    "with labels",
                    "with the label",
                    "with",
                ]);
                let text = self.text(0).to_owned();
                let fine = text.split(',').all(|pair| {
                    pair.split_once('=')
                        .is_some_and(|(k, v)| names::is_key(k) && names::is_label_value(v))
                });
                if fine {
                    self.pos += 1;
                    return put(&mut p.allow_from, text, "whose traffic comes in");
                }
            }
        }
        self.pos = from;
        Ok(false)
    }

    /// Whether what stands at `at` is said of the policy by itself: a flag, or after "for".
    pub(super) fn for_pods(&self, at: usize) -> bool {
        let word = |at: usize| self.toks.get(at);
        let flag = word(at).is_some_and(|t| flags::is_flag(&t.text));
        let led = word(at).is_some_and(|t| t.key == "for");
        // "for pods labelled app=web": the labels are read after the pods.
        let pods = at.checked_sub(1).and_then(word).is_some_and(|t| t.key == "pods");
        flag || led || pods
    }

    /// `for host web.example.com`, `with path /api`, `to service web`, `with class nginx`.
    pub(super) fn route(&mut self, p: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        if self.eat_phrase(&[
            "for host",
            "with host",
            "host",
            "for the host",
            "at host",
            "on host",
            "and host",
        ]) {
            let host = self.tok(0).map_or(String::new(), |t| t.text.clone());
            if names::is_subdomain(&host) && host.contains('.') {
                self.pos += 1;
                return put(&mut p.host, host, "the host");
            }
        }
        self.pos = from;
        if self.eat_phrase(&[
            "with path",
            "path",
            "at path",
            "on path",
            "under path",
            "and path",
        ]) {
            let path = self.tok(0).map_or(String::new(), |t| t.text.clone());
            if path.starts_with('/') && path.is_ascii() && !path.contains('*') {
                self.pos += 1;
                return put(&mut p.path, path, "the path");
            }
        }
        self.pos = from;
        if self.eat_phrase(&[
            "with class",
            "with ingress class",
            "using class",
            "class",
            "of class",
        ]) && let Some(class) = self.name_in_place()
        {
            return put(&mut p.class_name, class, "the class");
        }
        self.pos = from;
        // A name with a dot is no Service.
        if self.eat(&["for", "at", "on"]) {
            let host = self.tok(0).map_or(String::new(), |t| t.text.clone());
            if names::is_subdomain(&host) && host.contains('.') && !names::is_version(&host) {
                self.pos += 1;
                return put(&mut p.host, host, "the host");
            }
        }
        self.pos = from;
        self.source(&["Service"], &["to", "for"], p)
    }

    /// `role view`, `to user alice`, `to group devs`, `to service account demo/ci`, `called NAME`.
    pub(super) fn binding(&mut self, frame: &mut Frame<'a>, p: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        if self.eat_phrase(&["called", "named", "as"]) {
            if frame.targets.is_empty()
                && let Some(name) = self.name_in_place()
            {
                frame.targets.push(Np {
                    names: vec![name],
                    ..Np::default()
                });
                return Ok(true);
            }
            self.pos = from;
            return Ok(false);
        }
        let role = |parser: &mut Self| {
            parser.eat(&["the"]);
            let kind = if parser.eat_phrase(&["clusterrole", "cluster role", "cluster-role"]) {
                "clusterrole/"
            } else if parser.eat(&["role"]) {
                ""
            } else {
                return None;
            };
            let name = parser.tok(0).filter(|t| t.shape != Shape::Mark)?.text.clone();
            let fits = names::object_problem(&name, Some("Role")).is_none();
            parser.pos += 1;
            fits.then(|| format!("{kind}{name}"))
        };
        if let Some(role) = self.attempt(role) {
            return put(&mut p.from, role, "the role");
        }
        let who = |parser: &mut Self| {
            parser.eat(&["to", "and", ","]);
            parser.eat(&["the"]);
            let kind = if parser.eat(&["user"]) {
                "user"
            } else if parser.eat(&["group"]) {
                "group"
            } else if parser.eat_phrase(&["service account", "serviceaccount", "sa"]) {
                "serviceaccount"
            } else {
                return None;
            };
            let name = parser.tok(0).filter(|t| t.shape != Shape::Mark)?.text.clone();
            parser.pos += 1;
            Some(format!("{kind}/{name}"))
        };
        let Some(subject) = self.attempt(who) else {
            return Ok(false);
        };
        check_subject(&subject)?;
        if !p.subjects.contains(&subject) {
            p.subjects.push(subject);
        }
        Ok(true)
    }
}

/// How many namespaces and labels are said, once it is said whose traffic comes in.
pub(super) fn told(frame: &Frame<'_>) -> Option<(usize, bool, usize)> {
    let peer = frame.form.as_ref()?.params.allow_from.is_some();
    peer.then_some((frame.namespaces.len(), frame.all_namespaces, frame.selector.len()))
}

/// A namespace or a label after the traffic could be about the traffic, or about the policy.
pub(super) fn whose() -> Ask {
    Ask::new(
        "Is that where the policy lies, or where the traffic comes from? A policy made here lets in pods of its own namespace by all of their labels at once. Say its place and its pods first, for example 'create network policy front in prod for pods labelled app=web allowing traffic from app=api,tier=back'",
    )
    .firm()
}

/// Refuses what is nobody: `user/alice`, `group/devs`, `serviceaccount/NAMESPACE/NAME`.
pub(super) fn check_subject(subject: &str) -> Result<(), Ask> {
    let (kind, name) = subject.split_once('/').unwrap_or_default();
    let account = name
        .split_once('/')
        .is_some_and(|(namespace, name)| names::is_label(namespace) && names::is_subdomain(name));
    let person = (1..=253).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    match kind {
        "serviceaccount" if account => Ok(()),
        "serviceaccount" => Err(Ask::new(
            "In which namespace is the service account? Write NAMESPACE/NAME, for example 'to service account demo/ci'",
        )),
        "user" | "group" if person => Ok(()),
        _ => Err(Ask::new(format!(
            "{} is nobody a role is bound to",
            names::shown(name)
        ))),
    }
}

/// What a RoleBinding is called where nobody says so: the role and the first who gets it.
pub(super) fn binding_name(p: &IntentParams) -> String {
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_lowercase();
    let role = last(p.from.as_deref().unwrap_or_default());
    let who = last(p.subjects.first().map_or("", String::as_str));
    let name: String = format!("{role}-{who}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    name.trim_matches('-').to_owned()
}
