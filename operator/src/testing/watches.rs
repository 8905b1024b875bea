//! The watches of one process over the server's changes, and what a network makes of them: late, silent, lost until the next
//! list.

use std::sync::{Mutex, PoisonError};

use kube::runtime::reflector::{Store, store as reflected, store::Writer};
use kube::runtime::watcher::Event;
use kubechat_crds::{Approval, ChatRequest, ChatSession, CommandPlan, RiskPolicy};

use super::server::Server;
use crate::cluster::watch::Watched;
use crate::context::Stores;

/// What becomes of a watch for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Everything arrives.
    None,
    /// So many changes arrive; the others later.
    Late(usize),
    /// What happened meanwhile never arrives as an event.
    Lost,
    /// 410 Gone: all is listed anew.
    Gone,
}

struct Watch<K: Watched> {
    /// What the paths of the kind hold.
    part: &'static str,
    store: Store<K>,
    writer: Mutex<(Writer<K>, usize)>,
}

impl<K: Watched> Watch<K> {
    fn of(server: &Server, part: &'static str) -> Self {
        let (store, writer) = reflected();
        let watch = Self {
            part,
            store,
            writer: Mutex::new((writer, 0)),
        };
        watch.suffer(server, Loss::Gone);
        watch
    }

    fn suffer(&self, server: &Server, loss: Loss) {
        let mut guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (writer, seen) = &mut *guard;
        let read = |object| serde_json::from_value(object).unwrap();
        let (now, arriving) = match loss {
            Loss::Gone => {
                writer.apply_watcher_event(&Event::Init);
                for object in server.all(self.part) {
                    writer.apply_watcher_event(&Event::InitApply(read(object)));
                }
                writer.apply_watcher_event(&Event::InitDone);
                (server.changes(), 0)
            }
            Loss::Lost => (server.changes(), 0),
            Loss::None => (server.changes(), usize::MAX),
            Loss::Late(arriving) => ((*seen + arriving).min(server.changes()), usize::MAX),
        };
        let many = now.saturating_sub(*seen).min(arriving);
        for (path, object, is_there) in server.changed(*seen, many) {
            if path.contains(self.part) {
                let event = if is_there {
                    Event::Apply(read(object))
                } else {
                    Event::Delete(read(object))
                };
                writer.apply_watcher_event(&event);
            }
        }
        *seen = now;
    }
}

/// All that the operator watches of its own kinds.
pub(crate) struct Watches {
    approvals: Watch<Approval>,
    requests: Watch<ChatRequest>,
    plans: Watch<CommandPlan>,
    policies: Watch<RiskPolicy>,
}

impl Watches {
    /// Just begun: everything was listed.
    pub(crate) fn of(server: &Server) -> Self {
        Self {
            approvals: Watch::of(server, "/approvals/"),
            requests: Watch::of(server, "/chatrequests/"),
            plans: Watch::of(server, "/commandplans/"),
            policies: Watch::of(server, "/riskpolicies/"),
        }
    }

    /// Each watch suffers its own.
    pub(crate) fn suffer(&self, server: &Server, mut loss: impl FnMut() -> Loss) {
        self.approvals.suffer(server, loss());
        self.requests.suffer(server, loss());
        self.plans.suffer(server, loss());
        self.policies.suffer(server, loss());
    }

    /// As the controllers have them.
    pub(crate) fn stores(&self) -> Stores {
        Stores {
            requests: self.requests.store.clone(),
            plans: self.plans.store.clone(),
            approvals: self.approvals.store.clone(),
            sessions: reflected::<ChatSession>().0,
            policies: self.policies.store.clone(),
            filled: vec![],
        }
    }
}
