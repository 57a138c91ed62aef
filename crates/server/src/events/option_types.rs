//! Options of a request whose values have another type than nats-server 2.15.1 takes, in the words of Go's JSON decoder.

use jetsled_jetstream_api::json::kind;
use serde_json::Value;

use super::service::ServerService;

#[derive(Clone, Copy)]
enum Type {
    Bool,
    Int,
    /// Not negative.
    Uint64,
    Text,
    Texts,
    /// Text that names an order.
    SortOpt,
    /// A number that stands for a state.
    ConnState,
}
use Type::{Bool, ConnState, Int, SortOpt, Text, Texts, Uint64};

/// What every request may say.
const FILTER: &[(&str, Type)] = &[
    ("server_name", Text),
    ("cluster", Text),
    ("host", Text),
    ("exact_match", Bool),
    ("tags", Texts),
    ("domain", Text),
];
const CONNZ: &[(&str, Type)] = &[
    ("sort", SortOpt),
    ("auth", Bool),
    ("subscriptions", Bool),
    ("subscriptions_detail", Bool),
    ("offset", Int),
    ("limit", Int),
    ("cid", Uint64),
    ("mqtt_client", Text),
    ("state", ConnState),
    ("user", Text),
    ("acc", Text),
    ("filter_subject", Text),
];
const SUBSZ: &[(&str, Type)] = &[
    ("offset", Int),
    ("limit", Int),
    ("subscriptions", Bool),
    ("account", Text),
    ("test", Text),
];
const JSZ: &[(&str, Type)] = &[
    ("account", Text),
    ("accounts", Bool),
    ("streams", Bool),
    ("consumer", Bool),
    ("direct_consumer", Bool),
    ("config", Bool),
    ("leader_only", Bool),
    ("offset", Int),
    ("limit", Int),
    ("raft", Bool),
    ("stream_leader_only", Bool),
];
const HEALTHZ: &[(&str, Type)] = &[
    ("js-enabled", Bool),
    ("js-enabled-only", Bool),
    ("js-server-only", Bool),
    ("js-meta-only", Bool),
    ("account", Text),
    ("stream", Text),
    ("consumer", Text),
    ("details", Bool),
];

/// Looks at the types of a request's options.
///
/// # Errors
///
/// The text for the first that does not fit.
pub(super) fn check(service: ServerService, options: &Value) -> Result<(), String> {
    let (name, own): (_, &[(&str, Type)]) = match service {
        ServerService::Connz => ("ConnzEventOptions", CONNZ),
        ServerService::Subsz => ("SubszEventOptions", SUBSZ),
        ServerService::Jsz => ("JszEventOptions", JSZ),
        ServerService::Healthz => ("HealthzEventOptions", HEALTHZ),
        ServerService::Accountz => ("AccountzEventOptions", &[("account", Text)]),
        ServerService::Varz => ("VarzEventOptions", &[]),
        ServerService::Routez => ("RoutezEventOptions", &[]),
        ServerService::Gatewayz => ("GatewayzEventOptions", &[]),
        ServerService::Leafz => ("LeafzEventOptions", &[]),
        _ => return Ok(()),
    };
    let Some(options) = options.as_object() else {
        let kind = kind(options);
        return Err(format!(
            "json: cannot unmarshal {kind} into Go value of type server.{name}"
        ));
    };
    for (member, value) in options {
        let mut known = FILTER.iter().chain(own);
        let known = known.find(|(known, _)| known.eq_ignore_ascii_case(member));
        let Some((_, wanted)) = known.filter(|_| !value.is_null()) else {
            continue;
        };
        if !wanted.admits(value) {
            let kind = match value {
                Value::Number(number) if wanted.is_number() => format!("number {number}"),
                value => kind(value).to_owned(),
            };
            return Err(format!(
                "json: cannot unmarshal {kind} into Go struct field {name}.{member} of type {}",
                wanted.name()
            ));
        }
    }
    Ok(())
}

impl Type {
    fn admits(self, value: &Value) -> bool {
        match self {
            Bool => value.is_boolean(),
            Int | ConnState => value.is_i64(),
            Uint64 => value.is_u64(),
            Text | SortOpt => value.is_string(),
            Texts => value
                .as_array()
                .is_some_and(|texts| texts.iter().all(Value::is_string)),
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Int | Uint64 | ConnState)
    }

    fn name(self) -> &'static str {
        match self {
            Bool => "bool",
            Int => "int",
            Uint64 => "uint64",
            Text => "string",
            Texts => "[]string",
            SortOpt => "server.SortOpt",
            ConnState => "server.ConnState",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_type_is_said_in_gos_words() {
        let check = |options: Value| check(ServerService::Connz, &options);
        assert_eq!(
            check(json!({"limit": 1, "auth": true, "state": 1, "sort": null, "other": "x"})),
            Ok(())
        );
        for (options, text) in [
            (
                json!({"limit": "x"}),
                "string into Go struct field ConnzEventOptions.limit of type int",
            ),
            (
                json!({"Limit": "x"}),
                "string into Go struct field ConnzEventOptions.Limit of type int",
            ),
            (
                json!({"cid": -1}),
                "number -1 into Go struct field ConnzEventOptions.cid of type uint64",
            ),
            (
                json!({"state": "closed"}),
                "string into Go struct field ConnzEventOptions.state of type server.ConnState",
            ),
            (
                json!([1]),
                "array into Go value of type server.ConnzEventOptions",
            ),
        ] {
            assert_eq!(
                check(options),
                Err(format!("json: cannot unmarshal {text}"))
            );
        }
    }
}
