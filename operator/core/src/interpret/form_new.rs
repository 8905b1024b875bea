//! Pieces of requests that make an object: names, images, ports, schedules, commands, keys and values, budgets.

use kubechat_crds::intent::{Action, IntentParams};

use super::forms::{Taken, put};
use super::frame::Frame;
use super::parser::Parser;
use super::phrase::Np;
use super::token::Shape;
use super::{Ask, kubectl, names};

/// Words for the types of a Service.
pub(super) const SERVICE_TYPES: &[(&[&str], &str)] = &[
    (&["nodeport", "node port", "node-port"], "NodePort"),
    (
        &["loadbalancer", "load balancer", "load-balancer"],
        "LoadBalancer",
    ),
    (&["clusterip", "cluster ip", "cluster-ip"], "ClusterIP"),
];

impl<'a> Parser<'a> {
    /// The name of the object that is made: the first word, or what it is called.
    pub(super) fn new_name(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if !frame.targets.is_empty() {
            return Ok(false);
        }
        let from = self.pos;
        self.eat_phrase(&["called", "named", "with the name", "with name"]);
        let Some(name) = self.name_in_place() else {
            self.pos = from;
            return Ok(false);
        };
        frame.targets.push(Np {
            names: vec![name],
            ..Np::default()
        });
        Ok(true)
    }

    /// One piece of a request that makes an object.
    pub(super) fn of_new(&mut self, taken: &mut Taken) -> Result<bool, Ask> {
        let action = taken.action;
        let p = &mut taken.params;
        let runs = matches!(
            action,
            Action::CreateDeployment | Action::CreateJob | Action::CreateCronJob
        );
        let ports = matches!(
            action,
            Action::CreateDeployment | Action::Expose | Action::CreateIngress | Action::CreateNetworkPolicy
        );
        let pairs = matches!(
            action,
            Action::CreateConfigMap | Action::CreateQuota | Action::CreateLimitRange
        );
        Ok((runs && self.new_image(p)?)
            || (action == Action::CreateDeployment && self.new_replicas(p)?)
            || (ports && self.ports(action, p)?)
            || (action == Action::CreateCronJob && self.schedule(p)?)
            || (runs && self.new_command(p)?)
            || (action == Action::CreateJob && self.source(&["CronJob"], &["from"], p)?)
            || (action == Action::CreatePdb && self.budget(p)?)
            || (action == Action::CreateNetworkPolicy && self.traffic(p)?)
            || (matches!(action, Action::CreatePdb | Action::CreateNetworkPolicy)
                && self.pods_for(action, p)?)
            || (action == Action::CreateIngress && self.route(p)?)
            || (pairs && self.pairs(action, p)?))
    }

    fn new_image(&mut self, p: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        let led = self.eat_phrase(&[
            "with image",
            "with the image",
            "using image",
            "using the image",
            "from image",
            "from the image",
            "image",
            "of image",
            "running image",
            "with an image of",
            "that uses image",
            "and image",
        ]);
        let plain = !led && self.eat(&["running", "using", "from", "with", "of"]);
        let text = self.tok(0).map_or("", |t| t.text.as_str());
        if (led && names::is_image(text))
            || (plain && names::looks_like_image(text) && !text.starts_with("cronjob/"))
        {
            let image = text.to_owned();
            self.pos += 1;
            return put(&mut p.image, image, "the image");
        }
        self.pos = from;
        Ok(false)
    }

    fn new_replicas(&mut self, p: &mut IntentParams) -> Result<bool, Ask> {
        let found = self.attempt(|parser| {
            parser.eat(&["with", "and", "at"]);
            let n = parser.number()?;
            let noun = parser.eat(&["replicas", "replica", "pods", "instances", "copies"]);
            i32::try_from(n)
                .ok()
                .filter(|n| noun && (0..=1_000_000).contains(n))
        });
        found.map_or(Ok(false), |n| put(&mut p.replicas, n, "the number of replicas"))
    }

    fn ports(&mut self, action: Action, p: &mut IntentParams) -> Result<bool, Ask> {
        let number = |parser: &mut Self| {
            let n = parser.number()?;
            i32::try_from(n).ok().filter(|n| (1..=65_535).contains(n))
        };
        if action == Action::Expose {
            let target = self.attempt(|parser| {
                let led = parser.eat_phrase(&[
                    "to target port",
                    "target port",
                    "with target port",
                    "to port",
                    "targeting port",
                    "to container port",
                    "and target port",
                ]);
                led.then(|| number(parser)).flatten()
            });
            if let Some(port) = target {
                return put(&mut p.target_port, port, "the port of the pods");
            }
            let kind = self.attempt(|parser| {
                parser.eat(&["as", "with", "of"]);
                parser.eat(&["a", "an"]);
                parser.eat(&["type"]);
                let found = SERVICE_TYPES
                    .iter()
                    .find(|(words, _)| parser.phrase(words).is_some())?;
                parser.eat_phrase(found.0);
                parser.eat(&["service"]);
                Some(found.1.to_owned())
            });
            if let Some(kind) = kind {
                return put(&mut p.service_type, kind, "the type of the Service");
            }
            let name = self.attempt(|parser| {
                let led = parser.eat_phrase(&[
                    "as service",
                    "as a service called",
                    "with the name",
                    "called",
                    "named",
                    "with a service called",
                ]);
                led.then(|| parser.name_in_place()).flatten()
            });
            if let Some(name) = name {
                return put(&mut p.new_name, name, "the name of the Service");
            }
        }
        let port = self.attempt(|parser| {
            let led = parser.eat_phrase(&[
                "on port",
                "at port",
                "port",
                "with port",
                "on the port",
                "exposing port",
                "listening on port",
                "and port",
                "via port",
            ]);
            led.then(|| number(parser)).flatten()
        });
        port.map_or(Ok(false), |port| put(&mut p.port, port, "the port"))
    }

    /// `on schedule '0 3 * * *'`, `every hour`, `daily`.
    fn schedule(&mut self, p: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        let led = self.eat_phrase(&[
            "on schedule",
            "with schedule",
            "with the schedule",
            "schedule",
            "on the schedule",
            "scheduled at",
            "on a schedule of",
            "at",
        ]);
        if led && self.is_quoted(0) {
            let text = self.tok(0).map_or(String::new(), |t| t.text.clone());
            self.pos += 1;
            return put(&mut p.schedule, cron(&text)?, "the schedule");
        }
        self.pos = from;
        let every = self.attempt(|parser| {
            parser.eat(&["to", "running", "that", "and"]);
            parser.eat_phrase(&["run", "runs"]);
            if parser.eat(&["hourly"]) || parser.eat_phrase(&["every hour", "once an hour"]) {
                return Some("0 * * * *".to_owned());
            }
            if parser.eat(&["daily"])
                || parser.eat_phrase(&[
                    "every day",
                    "once a day",
                    "every night at midnight",
                    "every day at midnight",
                ])
            {
                return Some("0 0 * * *".to_owned());
            }
            if parser.eat(&["weekly"]) || parser.eat_phrase(&["every week", "once a week"]) {
                return Some("0 0 * * 0".to_owned());
            }
            if parser.eat_phrase(&["every minute"]) {
                return Some("* * * * *".to_owned());
            }
            let led = parser.eat(&["every"]);
            let n = led.then(|| parser.number()).flatten()?;
            if parser.eat(&["minutes"]) && (2..=59).contains(&n) && 60 % n == 0 {
                return Some(format!("*/{n} * * * *"));
            }
            if parser.eat(&["hours"]) && (2..=23).contains(&n) && 24 % n == 0 {
                return Some(format!("0 */{n} * * *"));
            }
            None
        });
        every.map_or(Ok(false), |text| put(&mut p.schedule, text, "the schedule"))
    }

    /// `running 'echo hello'`, `with command 'sh -c "date"'`.
    fn new_command(&mut self, p: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        let led = self.eat_phrase(&[
            "running",
            "that runs",
            "to run",
            "with command",
            "with the command",
            "command",
            "and run",
            "and command",
        ]);
        if !led || !self.is_quoted(0) || !p.command.is_empty() {
            self.pos = from;
            return Ok(false);
        }
        let text = self.tok(0).map_or(String::new(), |t| t.text.clone());
        self.pos += 1;
        p.command = kubectl::words(&text)?;
        Ok(true)
    }

    /// `from cronjob backup`, `for deployment web`.
    pub(super) fn source(&mut self, kinds: &[&str], led: &[&str], p: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        if p.from.is_some() || !self.eat(led) {
            self.pos = from;
            return Ok(false);
        }
        let found = self.noun_phrase()?;
        let named = found.and_then(|np| {
            let [name] = np.names.as_slice() else { return None };
            match np.kind_name() {
                None if !np.pronoun && np.owner.is_none() => Some(name.clone()),
                Some(kind) if kinds.contains(&kind) => Some(format!("{}/{name}", kind.to_lowercase())),
                Some(_) | None => None,
            }
        });
        match named {
            Some(named) => put(&mut p.from, named, "what it is for"),
            None => {
                self.pos = from;
                Ok(false)
            }
        }
    }

    /// `min available 1`, `at least 2 available`, `max unavailable 25%`.
    fn budget(&mut self, p: &mut IntentParams) -> Result<bool, Ask> {
        let least: &[&str] = &[
            "min available",
            "minimum available",
            "with min available",
            "with minimum available",
            "with at least",
            "at least",
            "keeping at least",
            "that keeps at least",
            "with a minimum of",
            "min-available",
            "with min-available",
        ];
        let most: &[&str] = &[
            "max unavailable",
            "maximum unavailable",
            "with max unavailable",
            "with maximum unavailable",
            "with at most",
            "at most",
            "allowing at most",
            "max-unavailable",
            "with max-unavailable",
        ];
        let bound = |parser: &mut Self, led: &[&str]| {
            if !parser.eat_phrase(led) {
                return None;
            }
            parser.eat(&["of", "=", ":"]);
            let text = parser.text(0);
            if let Some(n) = text
                .strip_suffix('%')
                .and_then(|n| n.parse::<u8>().ok())
                .filter(|n| *n <= 100)
            {
                parser.pos += 1;
                return Some(format!("{n}%"));
            }
            let n = parser.number()?;
            let percent = parser.eat(&["%", "percent"]);
            let (n, fits) = (n, (0..=if percent { 100 } else { 1_000_000 }).contains(&n));
            fits.then(|| if percent { format!("{n}%") } else { n.to_string() })
        };
        if let Some(n) = self.attempt(|parser| bound(parser, least)) {
            self.eat(&["pods", "pod", "replicas", "replica"]);
            self.eat(&["available", "up", "running"]);
            return put(&mut p.min_available, n, "how many stay available");
        }
        if let Some(n) = self.attempt(|parser| bound(parser, most)) {
            self.eat(&["pods", "pod", "replicas", "replica"]);
            self.eat(&["unavailable", "down"]);
            return put(&mut p.max_unavailable, n, "how many may be gone");
        }
        Ok(false)
    }

    /// `with mode=fast and size=3`, `cpu=4, memory=8Gi`, `limits cpu=1 and requests cpu=100m`.
    fn pairs(&mut self, action: Action, p: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        self.eat(&["with", "of", "limiting", "holding", "containing", "where"]);
        let range = action == Action::CreateLimitRange;
        if range {
            self.eat(&["default"]);
        }
        let asks = range && self.eat(&["requests", "request"]);
        let said = asks || (range && self.eat(&["limits", "limit"]));
        if said {
            self.eat(&["of", ":"]);
        } else {
            self.eat_phrase(&[
                "the data",
                "data",
                "the keys",
                "key",
                "keys",
                "the values",
                "hard",
            ]);
        }
        let Some(tok) = self.tok(0).filter(|t| t.shape == Shape::Word) else {
            self.pos = from;
            return Ok(false);
        };
        if !tok.text.contains('=') || tok.text.starts_with('=') {
            self.pos = from;
            return Ok(false);
        }
        self.pos += 1;
        let amounts = action != Action::CreateConfigMap;
        let requests = if said {
            asks
        } else {
            p.limits.is_empty() && !p.requests.is_empty()
        };
        // A comma inside a word joins two amounts; in a value of a ConfigMap it is the value's.
        let parts: Vec<&str> = if amounts {
            tok.text.split(',').collect()
        } else {
            vec![tok.text.as_str()]
        };
        for part in parts {
            let (key, value) = part
                .split_once('=')
                .filter(|(k, _)| names::is_data_key(k))
                .ok_or_else(|| Ask::new(format!("{} is not KEY=VALUE", names::shown(part))))?;
            let map = match (amounts, requests) {
                (false, _) => &mut p.set,
                (true, false) => &mut p.limits,
                (true, true) => &mut p.requests,
            };
            if map
                .insert(key.to_owned(), value.to_owned())
                .is_some_and(|old| old != value)
            {
                return Err(Ask::new(format!("{} is given two values", names::shown(key))));
            }
        }
        Ok(true)
    }
}

/// A schedule of five fields, or one of cron's words.
pub(super) fn cron(text: &str) -> Result<String, Ask> {
    let field = |f: &str| {
        f.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"*/,-?".contains(&b))
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let word = matches!(
        text,
        "@hourly" | "@daily" | "@midnight" | "@weekly" | "@monthly" | "@yearly" | "@annually"
    );
    if word || (fields.len() == 5 && fields.iter().all(|f| field(f))) {
        return Ok(text.to_owned());
    }
    Err(Ask::new(format!(
        "{} is no schedule of five fields, like '0 3 * * *'",
        names::shown(text)
    )))
}

/// What a request that makes an object cannot do without.
pub(super) fn complete(action: Action, p: &IntentParams) -> Option<&'static str> {
    let image = || {
        p.image
            .is_none()
            .then_some("Which image should it run? Say it with its tag, for example 'with image nginx:1.28'")
    };
    match action {
        Action::CreateDeployment => image(),
        Action::CreateJob if p.from.is_none() => image(),
        Action::CreateCronJob => image().or_else(|| {
            p.schedule
                .is_none()
                .then_some("When should it run? Write a schedule in quotes, like '0 3 * * *'")
        }),
        Action::CreatePdb => (p.min_available.is_none() && p.max_unavailable.is_none())
            .then_some("How many pods must stay? Say for example 'with min available 1'"),
        Action::CreateLimitRange => (p.limits.is_empty() && p.requests.is_empty()).then_some(
            "What does a container get? Write for example 'limits cpu=500m and requests cpu=100m'",
        ),
        Action::CreateNetworkPolicy => (p.deny.is_empty() && p.allow_from.is_none()).then_some(
            "What does it do? Say for example 'denying all ingress', or 'allowing traffic from app=api'",
        ),
        Action::CreateIngress => p
            .host
            .is_none()
            .then_some("For which host? Say for example 'for host web.example.com'")
            .or_else(|| {
                p.from
                    .is_none()
                    .then_some("To which Service? Say for example 'to service web'")
            }),
        Action::BindRole => p
            .from
            .is_none()
            .then_some("Which role? For example 'bind role view to user alice'")
            .or_else(|| {
                p.subjects
                    .is_empty()
                    .then_some("Who gets the role? For example 'bind role view to user alice'")
            }),
        Action::CreateQuota => p
            .limits
            .is_empty()
            .then_some("What does it limit? Write for example cpu=4, memory=8Gi, pods=10"),
        _ => None,
    }
}
