/// The text that Go's decoder has for input that is not JSON.
pub(crate) fn decoder_text(_payload: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        "unexpected EOF".to_owned()
    } else {
        error.to_string()
    }
}
