//! People and their stamps, as admission leaves them.

use kubechat_core::seal::{SealKeys, Sealable, nonce, seal};
use kubechat_crds::Identity;
use serde_json::Value;

/// A person, without seal.
pub(crate) fn person(name: &str, groups: &[&str]) -> Identity {
    Identity {
        username: name.to_owned(),
        uid: format!("{name}-uid"),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        ..Identity::default()
    }
}

/// An object as admission leaves it: with the person's stamp, sealed.
pub(crate) fn stamped(keys: &SealKeys, collection: &str, mut object: Value, who: &Identity) -> Value {
    let kind = object["kind"].as_str().unwrap().to_owned();
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let namespace = collection.split('/').nth(5).unwrap_or_default().to_owned();
    let spec = object["spec"].clone();
    let about = Sealable {
        kind: &kind,
        namespace: &namespace,
        name: &name,
        generate_name: "",
        spec: &spec,
    };
    let mut who = who.clone();
    who.seal = Some(
        seal(
            keys,
            &about,
            &who,
            &nonce("0123456789abcdef0123456789abcdef", jiff::Timestamp::now()),
        )
        .unwrap(),
    );
    object["spec"][kubechat_core::seal::stamp_field(&kind)] = serde_json::to_value(&who).unwrap();
    object
}
