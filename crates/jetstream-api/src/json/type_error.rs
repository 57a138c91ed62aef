//! What Go's decoder says about a member of the wrong type.

/// The name of the type that nats-server decodes a request into.
pub(super) fn request_name<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    let name = path.rsplit("::").next().unwrap_or(path);
    match name {
        "StreamInfoRequest" => "JSApiStreamInfoRequest",
        "StreamPurgeRequest" => "JSApiStreamPurgeRequest",
        "StreamSnapshotRequest" => "JSApiStreamSnapshotRequest",
        "StreamRestoreRequest" => "JSApiStreamRestoreRequest",
        "MsgDeleteRequest" => "JSApiMsgDeleteRequest",
        "MsgGetRequest" => "JSApiMsgGetRequest",
        "PagedRequest" => "JSApiConsumersRequest",
        "ConsumerPauseRequest" => "JSApiConsumerPauseRequest",
        "ConsumerUnpinRequest" => "JSApiConsumerUnpinRequest",
        "ConsumerResetRequest" => "JSApiConsumerResetRequest",
        other => other,
    }
}

/// The text for a failure of `serde` at `path` inside of a request named `request`. `literal` is what the request has at a path.
///
/// Own errors of enums and times pass as they are.
pub(super) fn type_error_text<'a>(
    request: &str,
    path: &str,
    error: &str,
    literal: impl Fn(&[&str]) -> Option<&'a str>,
) -> String {
    let found = error
        .strip_prefix("invalid type: ")
        .or_else(|| error.strip_prefix("invalid value: "));
    let Some((found, expected)) = found.and_then(|found| found.split_once(", expected ")) else {
        return error.to_owned();
    };
    let place = path.replace('[', ".").replace(']', "");
    let steps: Vec<&str> = place.split('.').collect();
    let expected = go_type(request, &steps, expected);
    let is_number = matches!(
        expected,
        "int" | "int32" | "int64" | "uint64" | "time.Duration"
    );
    let (kind, shown) = found.split_once(' ').unwrap_or((found, ""));
    let found = match kind {
        // Only where a number is expected it is told which one was found.
        "integer" | "floating" | "number" if is_number => {
            let shown = shown.trim_start_matches("point ").trim_matches('`');
            format!("number {}", literal(&steps).unwrap_or(shown))
        }
        "integer" | "floating" => "number".to_owned(),
        "boolean" => "bool".to_owned(),
        "sequence" => "array".to_owned(),
        "map" => "object".to_owned(),
        other => other.to_owned(),
    };
    if path == "." {
        return format!("json: cannot unmarshal {found} into Go value of type server.{request}");
    }
    let is_element = path.ends_with(']');
    let field = if is_element { "" } else { "Go struct field " };
    format!("json: cannot unmarshal {found} into {field}{request}.{place} of type {expected}")
}

/// The type that nats-server's struct has where `serde` expected something.
fn go_type<'a>(request: &str, path: &[&str], expected: &'a str) -> &'a str {
    let names = || path.iter().rev().copied();
    let member = names().find(|step| step.parse::<u64>().is_err());
    let member = member.unwrap_or_default();
    match expected {
        "i64" if DURATIONS.contains(&member) => "time.Duration",
        "i64" if request != "CreateConsumerRequest" && INT64S.contains(&member) => "int64",
        "i64" => "int",
        "i32" => "int32",
        "u64" => "uint64",
        "a boolean" => "bool",
        "a string" | "a borrowed string" | "a string or bytes" if TIMES.contains(&member) => {
            "time.Time"
        }
        "a string" | "a borrowed string" | "a string or bytes" => "string",
        "a sequence" if DURATIONS.contains(&member) => "[]time.Duration",
        "a sequence" if member == "sources" => "[]*server.StreamSource",
        "a sequence" if member == "subject_transforms" => "[]server.SubjectTransformConfig",
        "a sequence" => "[]string",
        "a map" => "map[string]string",
        "struct ConsumerLimits" => "server.StreamConsumerLimits",
        "struct SubjectTransform" => "server.SubjectTransformConfig",
        "struct StreamSource" => "server.StreamSource",
        "struct ExternalStream" => "server.ExternalStream",
        "struct Placement" => "server.Placement",
        "struct RePublish" => "server.RePublish",
        "struct ConsumerConfig" => "server.ConsumerConfig",
        other => other.strip_prefix("struct ").unwrap_or(other),
    }
}

/// The type of a member that is a struct.
pub(super) fn struct_type(member: &str) -> Option<&'static str> {
    Some(match member {
        "config" => "server.ConsumerConfig",
        "placement" => "server.Placement",
        "mirror" => "server.StreamSource",
        "external" => "server.ExternalStream",
        "subject_transform" => "server.SubjectTransformConfig",
        "republish" => "server.RePublish",
        "consumer_limits" => "server.StreamConsumerLimits",
        _ => return None,
    })
}

const DURATIONS: &[&str] = &[
    "max_age",
    "duplicate_window",
    "subject_delete_marker_ttl",
    "inactive_threshold",
    "ack_wait",
    "backoff",
    "idle_heartbeat",
    "max_expires",
    "priority_timeout",
    "expires",
];
const INT64S: &[&str] = &[
    "max_msgs",
    "max_bytes",
    "max_msgs_per_subject",
    "min_pending",
    "min_ack_pending",
];
const TIMES: &[&str] = &["opt_start_time", "pause_until", "start_time", "up_to_time"];
