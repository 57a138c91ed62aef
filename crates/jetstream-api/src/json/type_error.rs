//! What Go's decoder says about a member of the wrong type.

/// The text for a failure of `serde` at `path` inside of a request named `request`.
///
/// Own errors of enums and times pass as they are. Go's distinction of `int` and `time.Duration` from `int64` is lost.
pub(super) fn type_error_text(request: &str, path: &str, error: &str) -> String {
    let found = error
        .strip_prefix("invalid type: ")
        .or_else(|| error.strip_prefix("invalid value: "));
    let Some((found, expected)) = found.and_then(|found| found.split_once(", expected ")) else {
        return error.to_owned();
    };
    let (kind, literal) = found.split_once(' ').unwrap_or((found, ""));
    let found = match kind {
        "integer" | "floating" | "number" => {
            let number = literal.trim_start_matches("point ").trim_matches('`');
            format!("number {number}")
        }
        "boolean" => "bool".to_owned(),
        "sequence" => "array".to_owned(),
        "map" => "object".to_owned(),
        other => other.to_owned(),
    };
    let expected = match expected {
        "i64" => "int64",
        "i32" => "int32",
        "u64" => "uint64",
        "a boolean" => "bool",
        "a string" | "a borrowed string" | "a string or bytes" => "string",
        "a sequence" => "[]string",
        "a map" => "map[string]string",
        other => other.strip_prefix("struct ").unwrap_or(other),
    };
    if path == "." {
        return format!("json: cannot unmarshal {found} into Go value of type server.{request}");
    }
    let place = path.replace('[', ".").replace(']', "");
    let field = if place.len() == path.len() {
        "Go struct field "
    } else {
        ""
    };
    format!("json: cannot unmarshal {found} into {field}{request}.{place} of type {expected}")
}
