use super::*;

fn spec(endpoint: &str, egress: Egress) -> AIProviderSpec {
    AIProviderSpec {
        endpoint: Some(endpoint.to_owned()),
        egress,
        ..AIProviderSpec::default()
    }
}

fn of(
    endpoint: &str,
    egress: Egress,
    development: bool,
    hosts: &[&str],
) -> Result<Destination, &'static str> {
    let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
    destination(&spec(endpoint, egress), development, &hosts)
        .map(|(_, to)| to)
        .map_err(|(why, _)| why)
}

#[test]
fn a_service_is_cluster_local_and_loopback_only_in_development() {
    let service = Destination::Service {
        name: "ollama".to_owned(),
        namespace: "ai".to_owned(),
    };
    for good in [
        "http://ollama.ai.svc:11434",
        "https://ollama.ai.svc.cluster.local/v1",
        "http://ollama.ai.svc.",
    ] {
        assert_eq!(
            of(good, Egress::ClusterLocal, false, &[]),
            Ok(service.clone()),
            "{good}"
        );
    }
    for local in ["http://127.0.0.1:11434", "http://[::1]:1", "http://localhost:1"] {
        assert_eq!(
            of(local, Egress::ClusterLocal, true, &[]),
            Ok(Destination::Loopback),
            "{local}"
        );
        assert_eq!(
            of(local, Egress::ClusterLocal, false, &[]),
            Err(reason::EGRESS_NOT_ALLOWED),
            "{local}"
        );
    }
    for bad in [
        "http://ollama.ai.svc.evil.example.org",
        "http://ollama.ai",
        "http://10.0.0.1",
        "http://api.example.org",
        "http://.ai.svc",
    ] {
        assert_eq!(
            of(bad, Egress::ClusterLocal, true, &["api.example.org"]),
            Err(reason::EGRESS_NOT_ALLOWED),
            "{bad}"
        );
    }
}

#[test]
fn outside_only_hosts_that_a_policy_names_exactly_and_only_https() {
    let hosts = &["api.example.org", "Models.Example.com"];
    for good in [
        "https://api.example.org/v1",
        "https://API.example.org",
        "https://models.example.com",
        "https://api.example.org.",
    ] {
        assert_eq!(
            of(good, Egress::External, false, hosts),
            Ok(Destination::External),
            "{good}"
        );
    }
    for bad in [
        "http://api.example.org",
        "https://example.org",
        "https://evil-api.example.org",
        "https://api.example.org.evil.net",
        "https://127.0.0.1",
        "https://ollama.ai.svc",
    ] {
        assert_eq!(
            of(bad, Egress::External, true, hosts),
            Err(reason::EGRESS_NOT_ALLOWED),
            "{bad}"
        );
    }
    assert!(of("https://api.example.org", Egress::External, false, &[]).is_err());
    assert_eq!(of("no url", Egress::External, false, hosts), Err(reason::INVALID));
    assert_eq!(
        destination(&AIProviderSpec::default(), true, &[])
            .map(drop)
            .map_err(|e| e.0),
        Err(reason::INVALID)
    );
}

fn good() -> ServiceFacts {
    ServiceFacts {
        type_: "ClusterIP".to_owned(),
        selector: [("app".to_owned(), "ollama".to_owned())].into(),
        cluster_ips: vec!["10.96.0.20".to_owned(), "fd00::20".to_owned()],
        external_ips: vec![],
        slices: vec![(Some(SLICE_CONTROLLER.to_owned()), vec![Some("Pod".to_owned())])],
    }
}

#[test]
fn a_service_counts_only_when_it_leads_to_pods_and_to_nothing_else() {
    assert_eq!(service_addresses(&good()).map(|a| a.len()), Ok(2));
    type Change = fn(&mut ServiceFacts);
    let with = |change: Change| {
        let mut facts = good();
        change(&mut facts);
        service_addresses(&facts).map(drop).map_err(|(why, _)| why)
    };
    let cases: [(&str, Change); 9] = [
        ("ExternalName", |f| f.type_ = "ExternalName".to_owned()),
        ("unknown type", |f| f.type_ = "Wormhole".to_owned()),
        ("no selector", |f| f.selector.clear()),
        ("headless", |f| f.cluster_ips = vec!["None".to_owned()]),
        ("no address", |f| f.cluster_ips.clear()),
        ("externalIPs", |f| f.external_ips.push("203.0.113.9".to_owned())),
        ("a slice by hand", |f| {
            f.slices.push((None, vec![Some("Pod".to_owned())]));
        }),
        ("a slice of somebody else", |f| {
            f.slices.push((Some("me".to_owned()), vec![]));
        }),
        ("an endpoint that is no Pod", |f| f.slices[0].1.push(None)),
    ];
    for (what, change) in cases {
        assert_eq!(with(change), Err(reason::EGRESS_NOT_ALLOWED), "{what}");
    }
    assert_eq!(with(|f| f.slices.clear()), Err(reason::UNREACHABLE));
}

#[test]
fn a_secret_goes_only_to_the_host_its_annotation_names() {
    let url = Url::parse("https://api.example.org/v1").unwrap();
    let note = |host: &str| BTreeMap::from([(ALLOWED_HOST.to_owned(), host.to_owned())]);
    let why = |r: Result<(), Refused>| r.map_err(|(why, _)| why);
    assert_eq!(
        why(credential(Some(CREDENTIAL_TYPE), &note("API.example.org"), &url)),
        Ok(())
    );
    for (type_, notes) in [
        (Some("Opaque"), note("api.example.org")),
        (None, note("api.example.org")),
        (Some(CREDENTIAL_TYPE), note("example.org")),
        (Some(CREDENTIAL_TYPE), note("*")),
        (Some(CREDENTIAL_TYPE), note("")),
        (Some(CREDENTIAL_TYPE), BTreeMap::new()),
    ] {
        assert_eq!(
            why(credential(type_, &notes, &url)),
            Err(reason::CREDENTIAL_INVALID),
            "{type_:?} {notes:?}"
        );
    }
}
