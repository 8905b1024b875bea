//! Tokens back to names, in the fields of an intent that have a place for them. Each field is named here: one that is added
//! to the intent and not judged here does not compile.

use std::collections::BTreeMap;

use kubechat_crds::intent::{Intent, IntentParams, IntentTarget, Taint};

use super::names::Kind::{self, Address, Host, Name, Namespace, User};
use super::names::{Forged, Session};

impl Session {
    /// An intent with the values instead of the tokens.
    ///
    /// # Errors
    /// When a token was never given, or stands where no such thing can.
    pub fn restore(&self, intent: &Intent) -> Result<Intent, Forged> {
        let mut out = intent.clone();
        self.target(&mut out.target)?;
        self.params(&mut out.params)?;
        Ok(out)
    }

    fn target(&self, target: &mut IntentTarget) -> Result<(), Forged> {
        let IntentTarget {
            kind,
            group,
            names,
            selector,
            namespace,
            all_namespaces: _,
            all: _,
        } = target;
        self.some(kind, "target.kind", &[])?;
        self.some(group, "target.group", &[])?;
        self.each(names, "target.names", &[Name, Namespace, Host])?;
        self.some(selector, "target.selector", &[Name, Namespace, Host, User])?;
        self.some(namespace, "target.namespace", &[Namespace, Name])
    }

    fn params(&self, params: &mut IntentParams) -> Result<(), Forged> {
        let IntentParams {
            replicas: _,
            replicas_delta: _,
            replicas_percent: _,
            current_replicas: _,
            image,
            container,
            requests,
            limits,
            env_refs,
            min_replicas: _,
            max_replicas: _,
            cpu_percent: _,
            taints,
            from,
            port: _,
            target_port: _,
            service_type,
            new_name,
            command,
            schedule,
            min_available,
            max_unavailable,
            deny,
            allow_from,
            host,
            path,
            class_name,
            subjects,
            grants,
            size,
            manifest,
            patch,
            set,
            remove,
            overwrite: _,
            revision: _,
            to_revision: _,
            text,
            other_namespace,
            verb,
            timeout_seconds: _,
            grace_period_seconds: _,
            force: _,
            ignore_not_found: _,
            tail: _,
            since_seconds: _,
            previous: _,
            state,
            sort: _,
            output: _,
            dry_run: _,
        } = params;
        self.some(image, "params.image", &[Name, Host, Address])?;
        self.some(container, "params.container", &[Name])?;
        self.map(requests, "params.requests", (&[], &[]))?;
        self.map(limits, "params.limits", (&[], &[]))?;
        self.map(env_refs, "params.envRefs", (&[Name], &[Name, Namespace, Host]))?;
        for Taint {
            key,
            value,
            effect: _,
        } in taints
        {
            self.put(key, "params.taints", &[Name, Host])?;
            self.some(value, "params.taints", &[Name, Namespace, Host])?;
        }
        self.some(from, "params.from", &[Name, Namespace, Host])?;
        self.some(service_type, "params.serviceType", &[])?;
        self.some(new_name, "params.newName", &[Name, Namespace])?;
        self.each(command, "params.command", &Kind::ALL)?;
        self.some(schedule, "params.schedule", &[])?;
        self.some(min_available, "params.minAvailable", &[])?;
        self.some(max_unavailable, "params.maxUnavailable", &[])?;
        self.each(deny, "params.deny", &[])?;
        self.some(allow_from, "params.allowFrom", &[Name, Namespace, Host, User])?;
        self.some(host, "params.host", &[Host, Name])?;
        self.some(path, "params.path", &[Name, Namespace, Host])?;
        self.some(class_name, "params.className", &[Name])?;
        self.each(subjects, "params.subjects", &[Name, Namespace, User])?;
        self.some(grants, "params.grants", &[])?;
        self.some(size, "params.size", &[])?;
        self.some(manifest, "params.manifest", &[])?;
        // Taken only where it stands in the prompt word for word (`models::grounded`).
        self.some(patch, "params.patch", &Kind::ALL)?;
        self.map(set, "params.set", (&[Name, Host], &Kind::ALL))?;
        self.each(remove, "params.remove", &[Name, Host])?;
        self.some(text, "params.text", &Kind::ALL)?;
        self.some(other_namespace, "params.otherNamespace", &[Namespace, Name])?;
        self.some(verb, "params.verb", &[])?;
        self.some(state, "params.state", &[])
    }

    fn some(&self, field: &mut Option<String>, name: &'static str, kinds: &[Kind]) -> Result<(), Forged> {
        field.as_mut().map_or(Ok(()), |text| self.put(text, name, kinds))
    }

    fn each(&self, list: &mut [String], name: &'static str, kinds: &[Kind]) -> Result<(), Forged> {
        list.iter_mut().try_for_each(|text| self.put(text, name, kinds))
    }

    /// Keys and values.
    fn map(
        &self,
        map: &mut BTreeMap<String, String>,
        name: &'static str,
        (of_keys, of_values): (&[Kind], &[Kind]),
    ) -> Result<(), Forged> {
        let mut out = BTreeMap::new();
        for (mut key, mut value) in std::mem::take(map) {
            self.put(&mut key, name, of_keys)?;
            self.put(&mut value, name, of_values)?;
            out.insert(key, value);
        }
        *map = out;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kubechat_crds::intent::{Action, Span};
    use serde_json::{Value, json};

    use super::*;

    fn intent(params: &Value) -> Intent {
        Intent {
            action: Action::CreateIngress,
            target: IntentTarget::default(),
            params: serde_json::from_value(params.clone()).unwrap(),
            confidence: 90,
            span: Span::default(),
        }
    }

    #[test]
    fn tokens_come_back_in_every_field_that_names_something() {
        let mut session = Session::new([7; 32]);
        let (name, space) = (session.token(Name, "web"), session.token(Namespace, "team-a"));
        let (host, user) = (
            session.token(Host, "shop.example.org"),
            session.token(User, "bob@example.org"),
        );
        let given = json!({
            "from": format!("deployment/{name}"), "newName": name, "host": host, "path": format!("/{name}"),
            "subjects": [format!("user/{user}"), format!("serviceaccount/{space}/{name}")],
            "envRefs": {"URL": format!("configmap/{name}/url")}, "allowFrom": format!("app={name}"),
            "taints": [{"key": name, "value": space}], "command": ["run", host], "className": name,
            "text": host, "otherNamespace": space,
        });
        let expected = json!({
            "from": "deployment/web", "newName": "web", "host": "shop.example.org", "path": "/web",
            "subjects": ["user/bob@example.org", "serviceaccount/team-a/web"],
            "envRefs": {"URL": "configmap/web/url"}, "allowFrom": "app=web",
            "taints": [{"key": "web", "value": "team-a"}], "command": ["run", "shop.example.org"], "className": "web",
            "text": "shop.example.org", "otherNamespace": "team-a",
        });
        assert_eq!(session.restore(&intent(&given)), Ok(intent(&expected)));
    }

    #[test]
    fn a_token_stands_in_no_field_that_names_nothing() {
        let mut session = Session::new([7; 32]);
        let name = session.token(Name, "web");
        for (field, params) in [
            ("params.grants", json!({"grants": name})),
            ("params.size", json!({"size": name})),
            ("params.schedule", json!({"schedule": name})),
            ("params.serviceType", json!({"serviceType": name})),
            ("params.deny", json!({"deny": [name]})),
            ("params.minAvailable", json!({"minAvailable": name})),
            ("params.limits", json!({"limits": {"cpu": name}})),
            ("params.state", json!({"state": name})),
            ("params.manifest", json!({"manifest": name})),
            ("params.verb", json!({"verb": name})),
        ] {
            assert_eq!(session.restore(&intent(&params)), Err(Forged::Misplaced(field)));
        }
    }
}
