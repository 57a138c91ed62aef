//! Wildcards as `*` and as `$1`.

/// `a.*.b.*` as `a.$1.b.$2`.
pub(super) fn numbered(subject: &str) -> String {
    let mut count = 0;
    let tokens: Vec<String> = subject
        .split('.')
        .map(|token| {
            if token == "*" {
                count += 1;
                format!("${count}")
            } else {
                token.to_owned()
            }
        })
        .collect();
    tokens.join(".")
}

/// `a.$2.b.$1` as `a.*.b.*`.
pub(super) fn unnumbered(subject: &str) -> String {
    let tokens: Vec<&str> = subject
        .split('.')
        .map(|token| if is_numbered(token) { "*" } else { token })
        .collect();
    tokens.join(".")
}

/// `$1` or `{{wildcard(1)}}`.
fn is_numbered(token: &str) -> bool {
    if let Some(number) = token.strip_prefix('$') {
        return number.starts_with(|digit| matches!(digit, '1'..='9'));
    }
    let Some(call) = token
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
    else {
        return false;
    };
    let call = call.trim();
    let argument = call
        .strip_prefix("wildcard")
        .or_else(|| call.strip_prefix("Wildcard"))
        .and_then(|rest| rest.trim_start().strip_prefix('('))
        .and_then(|rest| rest.strip_suffix(')'));
    argument.is_some_and(|argument| !argument.trim().is_empty())
}
