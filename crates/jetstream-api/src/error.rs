//! The one table of errors that JetStream shows to clients (ADR-7, nats-server 2.15.1).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An error as a client sees it: under the key `error` of an API reply or a publish ack.
///
/// Static errors are constants of this type, those whose text depends on the case are functions:
///
/// ```
/// use jetsled_jetstream_api::ApiError;
/// assert_eq!(ApiError::STREAM_NOT_FOUND.err_code, 10059);
/// assert_eq!(ApiError::stream_wrong_last_sequence(7).description, "wrong last sequence: 7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// An HTTP-like class: 400, 404, 409, 412, 429, 500 or 503.
    pub code: u16,
    /// The stable identity that clients switch on; 0 is left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub err_code: u16,
    /// What clients print; some match on it.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub description: Cow<'static, str>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.description, self.err_code)
    }
}

impl std::error::Error for ApiError {}
fn is_zero(code: &u16) -> bool {
    *code == 0
}

/// Makes a constant of every static row, a function of every templated one, and the list of all rows for the tests.
macro_rules! error_table {
    ($($kind:ident $name:ident $(($($arg:ident),+))? = $err_code:literal, $code:literal, $text:literal;)+) => {
        impl ApiError {
            $(error_table!(@$kind $name $(($($arg),+))? = $err_code, $code, $text);)+
        }

        /// Every row of the table: `err_code`, `code` and the text before its placeholders are filled.
        pub const ERROR_TABLE: &[(u16, u16, &str)] = &[$(($err_code, $code, $text)),+];
    };
    (@const $name:ident = $err_code:literal, $code:literal, $text:literal) => {
        #[doc = concat!("`", $err_code, "`: ", $text)]
        pub const $name: ApiError =
            ApiError { code: $code, err_code: $err_code, description: Cow::Borrowed($text) };
    };
    (@fn $name:ident ($($arg:ident),+) = $err_code:literal, $code:literal, $text:literal) => {
        #[doc = concat!("`", $err_code, "`: `", $text, "`")]
        #[must_use]
        pub fn $name($($arg: impl fmt::Display),+) -> ApiError {
            ApiError { code: $code, err_code: $err_code, description: Cow::Owned(format!($text)) }
        }
    };
}

error_table! {
    const ACCOUNT_RESOURCES_EXCEEDED = 10002, 400, "resource limits exceeded for account";
    const BAD_REQUEST = 10003, 400, "bad request";
    const CLUSTER_INCOMPLETE = 10004, 503, "incomplete results";
    fn cluster_no_peers(err) = 10005, 400, "{err}";
    const CLUSTER_NOT_ACTIVE = 10006, 500, "JetStream not in clustered mode";
    const CLUSTER_NOT_ASSIGNED = 10007, 500, "JetStream cluster not assigned to this server";
    const CLUSTER_NOT_AVAIL = 10008, 503, "JetStream system temporarily unavailable";
    const CLUSTER_NOT_LEADER = 10009, 500, "JetStream cluster can not handle request";
    const CLUSTER_REQUIRED = 10010, 503, "JetStream clustering support required";
    const CLUSTER_TAGS = 10011, 400, "tags placement not supported for operation";
    fn consumer_create(err) = 10012, 500, "{err}";
    const CONSUMER_NAME_EXIST = 10013, 400, "consumer name already in use";
    const CONSUMER_NOT_FOUND = 10014, 404, "consumer not found";
    const SNAPSHOT_DELIVER_SUBJECT_INVALID = 10015, 400, "deliver subject not valid";
    const CONSUMER_DURABLE_NAME_NOT_IN_SUBJECT = 10016, 400, "consumer expected to be durable but no durable name set in subject";
    const CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT = 10017, 400, "consumer name in subject does not match durable name in request";
    const CONSUMER_DURABLE_NAME_NOT_SET = 10018, 400, "consumer expected to be durable but a durable name was not set";
    const CONSUMER_EPHEMERAL_WITH_DURABLE_IN_SUBJECT = 10019, 400, "consumer expected to be ephemeral but detected a durable name set in subject";
    const CONSUMER_EPHEMERAL_WITH_DURABLE_NAME = 10020, 400, "consumer expected to be ephemeral but a durable name was set in request";
    fn stream_external_api_overlap(prefix, subject) = 10021, 400, "stream external api prefix {prefix} must not overlap with {subject}";
    fn stream_external_del_prefix_overlaps(prefix, subject) = 10022, 400, "stream external delivery prefix {prefix} overlaps with stream subject {subject}";
    const INSUFFICIENT_RESOURCES = 10023, 503, "insufficient resources";
    fn stream_invalid_external_delivery_subj(prefix) = 10024, 400, "stream external delivery prefix {prefix} must not contain wildcards";
    fn invalid_json(err) = 10025, 400, "invalid JSON: {err}";
    const MAXIMUM_CONSUMERS_LIMIT = 10026, 400, "maximum consumers limit reached";
    const MAXIMUM_STREAMS_LIMIT = 10027, 400, "maximum number of streams reached";
    const MEMORY_RESOURCES_EXCEEDED = 10028, 500, "insufficient memory resources available";
    fn mirror_consumer_setup_failed(err) = 10029, 500, "{err}";
    const MIRROR_MAX_MESSAGE_SIZE_TOO_BIG = 10030, 400, "stream mirror must have max message size >= source";
    const MIRROR_WITH_SOURCES = 10031, 400, "stream mirrors can not also contain other sources";
    const MIRROR_WITH_START_SEQ_AND_TIME = 10032, 400, "stream mirrors can not have both start seq and start time configured";
    const MIRROR_WITH_SUBJECT_FILTERS = 10033, 400, "stream mirrors can not contain filtered subjects";
    const MIRROR_WITH_SUBJECTS = 10034, 400, "stream mirrors can not contain subjects";
    const NO_ACCOUNT = 10035, 503, "account not found";
    const CLUSTER_UNSUPPORTED_FEATURE = 10036, 503, "not currently supported in clustered mode";
    const NO_MESSAGE_FOUND = 10037, 404, "no message found";
    const NOT_EMPTY_REQUEST = 10038, 400, "expected an empty request payload";
    const NOT_ENABLED_FOR_ACCOUNT = 10039, 503, "JetStream not enabled for account";
    const CLUSTER_PEER_NOT_MEMBER = 10040, 400, "peer not a member";
    fn raft_general(err) = 10041, 500, "{err}";
    fn restore_subscribe_failed(subject, err) = 10042, 500, "JetStream unable to subscribe to restore snapshot {subject}: {err}";
    fn sequence_not_found(seq) = 10043, 400, "sequence {seq} not found";
    const CLUSTER_SERVER_NOT_MEMBER = 10044, 400, "server is not a member of the cluster";
    fn source_consumer_setup_failed(err) = 10045, 500, "{err}";
    const SOURCE_MAX_MESSAGE_SIZE_TOO_BIG = 10046, 400, "stream source must have max message size >= target";
    const STORAGE_RESOURCES_EXCEEDED = 10047, 500, "insufficient storage resources available";
    fn stream_assignment(err) = 10048, 500, "{err}";
    fn stream_create(err) = 10049, 500, "{err}";
    fn stream_delete(err) = 10050, 500, "{err}";
    fn stream_general(err) = 10051, 500, "{err}";
    fn stream_invalid_config(err) = 10052, 500, "{err}";
    fn stream_limits(err) = 10053, 500, "{err}";
    const STREAM_MESSAGE_EXCEEDS_MAXIMUM = 10054, 400, "message size exceeds maximum allowed";
    const STREAM_MIRROR_NOT_UPDATABLE = 10055, 400, "stream mirror configuration can not be updated";
    const STREAM_MISMATCH = 10056, 400, "stream name in subject does not match request";
    fn stream_msg_delete_failed(err) = 10057, 500, "{err}";
    const STREAM_NAME_EXIST = 10058, 400, "stream name already in use with a different configuration";
    const STREAM_NOT_FOUND = 10059, 404, "stream not found";
    const STREAM_NOT_MATCH = 10060, 400, "expected stream does not match";
    const STREAM_REPLICAS_NOT_UPDATABLE = 10061, 400, "Replicas configuration can not be updated";
    fn stream_restore(err) = 10062, 500, "restore failed: {err}";
    const STREAM_SEQUENCE_NOT_MATCH = 10063, 503, "expected stream sequence does not match";
    fn stream_snapshot(err) = 10064, 500, "snapshot failed: {err}";
    const STREAM_SUBJECT_OVERLAP = 10065, 400, "subjects overlap with an existing stream";
    fn stream_template_create(err) = 10066, 500, "{err}";
    fn stream_template_delete(err) = 10067, 500, "{err}";
    const STREAM_TEMPLATE_NOT_FOUND = 10068, 404, "template not found";
    fn stream_update(err) = 10069, 500, "{err}";
    fn stream_wrong_last_msg_id(id) = 10070, 400, "wrong last msg ID: {id}";
    fn stream_wrong_last_sequence(seq) = 10071, 400, "wrong last sequence: {seq}";
    const TEMP_STORAGE_FAILED = 10072, 500, "JetStream unable to open temp storage for restore";
    const TEMPLATE_NAME_NOT_MATCH_SUBJECT = 10073, 400, "template name in subject does not match request";
    const STREAM_REPLICAS_NOT_SUPPORTED = 10074, 500, "replicas > 1 not supported in non-clustered mode";
    const PEER_REMAP = 10075, 503, "peer remap failed";
    const NOT_ENABLED = 10076, 503, "JetStream not enabled";
    fn stream_store_failed(err) = 10077, 503, "{err}";
    const CONSUMER_CONFIG_REQUIRED = 10078, 400, "consumer config required";
    const CONSUMER_DELIVER_TO_WILDCARDS = 10079, 400, "consumer deliver subject has wildcards";
    const CONSUMER_PUSH_MAX_WAITING = 10080, 400, "consumer in push mode can not set max waiting";
    const CONSUMER_DELIVER_CYCLE = 10081, 400, "consumer deliver subject forms a cycle";
    const CONSUMER_MAX_PENDING_ACK_POLICY_REQUIRED = 10082, 400, "consumer requires ack policy for max ack pending";
    const CONSUMER_SMALL_HEARTBEAT = 10083, 400, "consumer idle heartbeat needs to be >= 100ms";
    const CONSUMER_PULL_REQUIRES_ACK = 10084, 400, "consumer in pull mode requires explicit ack policy on workqueue stream";
    const CONSUMER_PULL_NOT_DURABLE = 10085, 400, "consumer in pull mode requires a durable name";
    const CONSUMER_PULL_WITH_RATE_LIMIT = 10086, 400, "consumer in pull mode can not have rate limit set";
    const CONSUMER_MAX_WAITING_NEGATIVE = 10087, 400, "consumer max waiting needs to be positive";
    const CONSUMER_HB_REQUIRES_PUSH = 10088, 400, "consumer idle heartbeat requires a push based consumer";
    const CONSUMER_FC_REQUIRES_PUSH = 10089, 400, "consumer flow control requires a push based consumer";
    const CONSUMER_DIRECT_REQUIRES_PUSH = 10090, 400, "consumer direct requires a push based consumer";
    const CONSUMER_DIRECT_REQUIRES_EPHEMERAL = 10091, 400, "consumer direct requires an ephemeral consumer";
    const CONSUMER_ON_MAPPED = 10092, 400, "consumer direct on a mapped consumer";
    const CONSUMER_FILTER_NOT_SUBSET = 10093, 400, "consumer filter subject is not a valid subset of the interest subjects";
    fn consumer_invalid_policy(err) = 10094, 400, "{err}";
    fn consumer_invalid_sampling(err) = 10095, 400, "failed to parse consumer sampling configuration: {err}";
    const STREAM_INVALID = 10096, 500, "stream not valid";
    const STREAM_HEADER_EXCEEDS_MAXIMUM = 10097, 400, "header size exceeds maximum allowed of 64k";
    const CONSUMER_WORK_QUEUE_REQUIRES_EXPLICIT_ACK = 10098, 400, "workqueue stream requires explicit ack";
    const CONSUMER_WORK_QUEUE_MULTIPLE_UNFILTERED = 10099, 400, "multiple non-filtered consumers not allowed on workqueue stream";
    const CONSUMER_WORK_QUEUE_CONSUMER_NOT_UNIQUE = 10100, 400, "filtered consumer not unique on workqueue stream";
    const CONSUMER_WORK_QUEUE_CONSUMER_NOT_DELIVER_ALL = 10101, 400, "consumer must be deliver all on workqueue stream";
    fn consumer_name_too_long(max) = 10102, 400, "consumer name is too long, maximum allowed is {max}";
    const CONSUMER_BAD_DURABLE_NAME = 10103, 400, "durable name can not contain '.', '*', '>'";
    fn consumer_store_failed(err) = 10104, 500, "error creating store for consumer: {err}";
    const CONSUMER_EXISTING_ACTIVE = 10105, 400, "consumer already exists and is still active";
    const CONSUMER_REPLACEMENT_WITH_DIFFERENT_NAME = 10106, 400, "consumer replacement durable config not the same";
    fn consumer_description_too_long(max) = 10107, 400, "consumer description is too long, maximum allowed is {max}";
    const CONSUMER_WITH_FLOW_CONTROL_NEEDS_HEARTBEATS = 10108, 400, "consumer with flow control also needs heartbeats";
    const STREAM_SEALED = 10109, 400, "invalid operation on sealed stream";
    fn stream_purge_failed(err) = 10110, 500, "{err}";
    fn stream_rollup_failed(err) = 10111, 500, "{err}";
    const CONSUMER_INVALID_DELIVER_SUBJECT = 10112, 400, "invalid push consumer deliver subject";
    const STREAM_MAX_BYTES_REQUIRED = 10113, 400, "account requires a stream config to have max bytes set";
    const CONSUMER_MAX_REQUEST_BATCH_NEGATIVE = 10114, 400, "consumer max request batch needs to be > 0";
    const CONSUMER_MAX_REQUEST_EXPIRES_TOO_SMALL = 10115, 400, "consumer max request expires needs to be >= 1ms";
    const CONSUMER_MAX_DELIVER_BACKOFF = 10116, 400, "max deliver is required to be > length of backoff values";
    const STREAM_INFO_MAX_SUBJECTS = 10117, 500, "subject details would exceed maximum allowed";
    const STREAM_OFFLINE = 10118, 500, "stream is offline";
    const CONSUMER_OFFLINE = 10119, 500, "consumer is offline";
    const NO_LIMITS = 10120, 400, "no JetStream default or applicable tiered limit present";
    fn consumer_max_pending_ack_excess(limit) = 10121, 400, "consumer max ack pending exceeds system limit of {limit}";
    const STREAM_MAX_STREAM_BYTES_EXCEEDED = 10122, 400, "stream max bytes exceeds account limit max stream bytes";
    const STREAM_MOVE_AND_SCALE = 10123, 400, "can not move and scale a stream in a single update";
    const STREAM_MOVE_IN_PROGRESS = 10124, 400, "stream move already in progress";
    fn consumer_max_request_batch_exceeded(limit) = 10125, 400, "consumer max request batch exceeds server limit of {limit}";
    const CONSUMER_REPLICAS_EXCEEDS_STREAM = 10126, 400, "consumer config replica count exceeds parent stream";
    const CONSUMER_NAME_CONTAINS_PATH_SEPARATORS = 10127, 400, "Consumer name can not contain path separators";
    const STREAM_NAME_CONTAINS_PATH_SEPARATORS = 10128, 400, "Stream name can not contain path separators";
    const STREAM_RECONFIGURE_NOT_IN_PROGRESS = 10129, 400, "stream reconfiguration not in progress";
    const STREAM_NAME_EXIST_RESTORE_FAILED = 10130, 400, "stream name already in use, cannot restore";
    const CONSUMER_CREATE_FILTER_SUBJECT_MISMATCH = 10131, 400, "Consumer create request did not match filtered subject from create subject";
    const CONSUMER_CREATE_DURABLE_AND_NAME_MISMATCH = 10132, 400, "Consumer Durable and Name have to be equal if both are provided";
    const REPLICAS_COUNT_CANNOT_BE_NEGATIVE = 10133, 400, "replicas count cannot be negative";
    const CONSUMER_REPLICAS_SHOULD_MATCH_STREAM = 10134, 400, "consumer config replicas must match interest retention stream's replicas";
    fn consumer_metadata_length(limit) = 10135, 400, "consumer metadata exceeds maximum size of {limit}";
    const CONSUMER_DUPLICATE_FILTER_SUBJECTS = 10136, 400, "consumer cannot have both FilterSubject and FilterSubjects specified";
    const CONSUMER_MULTIPLE_FILTERS_NOT_ALLOWED = 10137, 400, "consumer with multiple subject filters cannot use subject based API";
    const CONSUMER_OVERLAPPING_SUBJECT_FILTERS = 10138, 400, "consumer subject filters cannot overlap";
    const CONSUMER_EMPTY_FILTER = 10139, 400, "consumer filter in FilterSubjects cannot be empty";
    const SOURCE_DUPLICATE_DETECTED = 10140, 400, "duplicate source configuration detected";
    const SOURCE_INVALID_STREAM_NAME = 10141, 400, "sourced stream name is invalid";
    const MIRROR_INVALID_STREAM_NAME = 10142, 400, "mirrored stream name is invalid";
    const MIRROR_WITH_FIRST_SEQ = 10143, 400, "stream mirrors can not have first sequence configured";
    const SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED = 10144, 400, "source with multiple subject transforms cannot also have a single subject filter";
    fn source_invalid_subject_filter(err) = 10145, 400, "source transform source: {err}";
    fn source_invalid_transform_destination(err) = 10146, 400, "source transform: {err}";
    const SOURCE_OVERLAPPING_SUBJECT_FILTERS = 10147, 400, "source filters can not overlap";
    const CONSUMER_ALREADY_EXISTS = 10148, 400, "consumer already exists";
    const CONSUMER_DOES_NOT_EXIST = 10149, 400, "consumer does not exist";
    const MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED = 10150, 400, "mirror with multiple subject transforms cannot also have a single subject filter";
    fn mirror_invalid_subject_filter(err) = 10151, 400, "mirror transform source: {err}";
    const MIRROR_OVERLAPPING_SUBJECT_FILTERS = 10152, 400, "mirror subject filters can not overlap";
    fn consumer_inactive_threshold_excess(limit) = 10153, 400, "consumer inactive threshold exceeds system limit of {limit}";
    fn mirror_invalid_transform_destination(err) = 10154, 400, "mirror transform: {err}";
    fn stream_transform_invalid_source(err) = 10155, 400, "stream transform source: {err}";
    fn stream_transform_invalid_destination(err) = 10156, 400, "stream transform: {err}";
    fn pedantic(err) = 10157, 400, "pedantic mode: {err}";
    const STREAM_DUPLICATE_MESSAGE_CONFLICT = 10158, 409, "duplicate message id is in process";
    const CONSUMER_PRIORITY_POLICY_WITHOUT_GROUP = 10159, 400, "Setting PriorityPolicy requires at least one PriorityGroup to be set";
    const CONSUMER_INVALID_PRIORITY_GROUP = 10160, 400, "Provided priority group does not exist for this consumer";
    const CONSUMER_EMPTY_GROUP_NAME = 10161, 400, "Group name cannot be an empty string";
    const CONSUMER_INVALID_GROUP_NAME = 10162, 400, "Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters";
    const STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_NOT_READY = 10163, 503, "expected last sequence per subject temporarily unavailable";
    const STREAM_WRONG_LAST_SEQUENCE_CONSTANT = 10164, 400, "wrong last sequence";
    const MESSAGE_TTL_INVALID = 10165, 400, "invalid per-message TTL";
    const MESSAGE_TTL_DISABLED = 10166, 400, "per-message TTL is disabled";
    const STREAM_TOO_MANY_REQUESTS = 10167, 429, "too many requests";
    const MESSAGE_INCR_DISABLED = 10168, 400, "message counters is disabled";
    const MESSAGE_INCR_MISSING = 10169, 400, "message counter increment is missing";
    const MESSAGE_INCR_PAYLOAD = 10170, 400, "message counter has payload";
    const MESSAGE_INCR_INVALID = 10171, 400, "message counter increment is invalid";
    const MESSAGE_COUNTER_BROKEN = 10172, 400, "message counter is broken";
    const MIRROR_WITH_COUNTERS = 10173, 400, "stream mirrors can not also calculate counters";
    const ATOMIC_PUBLISH_DISABLED = 10174, 400, "atomic publish is disabled";
    const ATOMIC_PUBLISH_MISSING_SEQ = 10175, 400, "atomic publish sequence is missing";
    const ATOMIC_PUBLISH_INCOMPLETE_BATCH = 10176, 400, "atomic publish batch is incomplete";
    fn atomic_publish_unsupported_header_batch(header) = 10177, 400, "atomic publish unsupported header used: {header}";
    const CONSUMER_PUSH_WITH_PRIORITY_GROUP = 10178, 400, "priority groups can not be used with push consumers";
    const ATOMIC_PUBLISH_INVALID_BATCH_ID = 10179, 400, "atomic publish batch ID is invalid";
    const STREAM_MIN_LAST_SEQ = 10180, 412, "min last sequence";
    const CONSUMER_ACK_POLICY_INVALID = 10181, 400, "consumer ack policy invalid";
    const CONSUMER_REPLAY_POLICY_INVALID = 10182, 400, "consumer replay policy invalid";
    const CONSUMER_ACK_WAIT_NEGATIVE = 10183, 400, "consumer ack wait needs to be positive";
    const CONSUMER_BACK_OFF_NEGATIVE = 10184, 400, "consumer backoff needs to be positive";
    const REQUIRED_API_LEVEL = 10185, 412, "JetStream minimum api level required";
    const MIRROR_WITH_MSG_SCHEDULES = 10186, 400, "stream mirrors can not also schedule messages";
    const SOURCE_WITH_MSG_SCHEDULES = 10187, 400, "stream source can not also schedule messages";
    const MESSAGE_SCHEDULES_DISABLED = 10188, 400, "message schedules is disabled";
    const MESSAGE_SCHEDULES_PATTERN_INVALID = 10189, 400, "message schedules pattern is invalid";
    const MESSAGE_SCHEDULES_TARGET_INVALID = 10190, 400, "message schedules target is invalid";
    const MESSAGE_SCHEDULES_TTL_INVALID = 10191, 400, "message schedules invalid per-message TTL";
    const MESSAGE_SCHEDULES_ROLLUP_INVALID = 10192, 400, "message schedules invalid rollup";
    const STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID = 10193, 400, "missing sequence for expected last sequence per subject";
    fn stream_offline_reason(err) = 10194, 500, "stream is offline: {err}";
    fn consumer_offline_reason(err) = 10195, 500, "consumer is offline: {err}";
    const CONSUMER_PRIORITY_GROUP_WITH_POLICY_NONE = 10196, 400, "consumer can not have priority groups when policy is none";
    const CONSUMER_PINNED_TTL_WITHOUT_PRIORITY_POLICY_NONE = 10197, 400, "PinnedTTL cannot be set when PriorityPolicy is none";
    const MIRROR_WITH_ATOMIC_PUBLISH = 10198, 400, "stream mirrors can not also use atomic publishing";
    fn atomic_publish_too_large_batch(size) = 10199, 400, "atomic publish batch is too large: {size}";
    const ATOMIC_PUBLISH_INVALID_BATCH_COMMIT = 10200, 400, "atomic publish batch commit is invalid";
    const ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE = 10201, 400, "atomic publish batch contains duplicate message id";
    const CLUSTER_SERVER_MEMBER_CHANGE_INFLIGHT = 10202, 400, "cluster member change is in progress";
    const MESSAGE_SCHEDULES_SOURCE_INVALID = 10203, 400, "message schedules source is invalid";
    fn consumer_invalid_reset(err) = 10204, 400, "invalid reset: {err}";
    const BATCH_PUBLISH_DISABLED = 10205, 400, "batch publish is disabled";
    const BATCH_PUBLISH_INVALID_PATTERN = 10206, 400, "batch publish pattern is invalid";
    const BATCH_PUBLISH_INVALID_BATCH_ID = 10207, 400, "batch publish ID is invalid";
    const BATCH_PUBLISH_UNKNOWN_BATCH_ID = 10208, 400, "batch publish ID unknown";
    const MIRROR_WITH_BATCH_PUBLISH = 10209, 400, "stream mirrors can not also use batch publishing";
    const ATOMIC_PUBLISH_TOO_MANY_INFLIGHT = 10210, 429, "atomic publish too many inflight";
    const BATCH_PUBLISH_TOO_MANY_INFLIGHT = 10211, 429, "batch publish too many inflight";
    const MESSAGE_SCHEDULES_SCHEDULER_INVALID = 10212, 400, "message schedules invalid scheduler";
    const MIRROR_DURABLE_CONSUMER_CFG_INVALID = 10213, 400, "stream mirror consumer config is invalid";
    const MIRROR_CONSUMER_REQUIRES_ACK_FC = 10214, 400, "stream mirror consumer requires flow control ack policy";
    const SOURCE_DURABLE_CONSUMER_CFG_INVALID = 10215, 400, "stream source consumer config is invalid";
    const SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED = 10216, 400, "duplicate stream source consumer detected";
    const SOURCE_CONSUMER_REQUIRES_ACK_FC = 10217, 400, "stream source consumer requires flow control ack policy";
    const CONSUMER_ACK_FC_REQUIRES_PUSH = 10218, 400, "flow control ack policy requires a push based consumer";
    const CONSUMER_ACK_FC_REQUIRES_FC = 10219, 400, "flow control ack policy requires flow control";
    const CONSUMER_ACK_FC_REQUIRES_MAX_ACK_PENDING = 10220, 400, "flow control ack policy requires max ack pending";
    const CONSUMER_ACK_FC_REQUIRES_NO_ACK_WAIT = 10221, 400, "flow control ack policy requires unset ack wait";
    const CONSUMER_ACK_FC_REQUIRES_NO_MAX_DELIVER = 10222, 400, "flow control ack policy requires unset max deliver";
    const MESSAGE_SCHEDULES_TIME_ZONE_INVALID = 10223, 400, "message schedules time zone is invalid";
    fn cluster_rescue(err) = 10224, 400, "JetStream system rescue not applied: {err}";
    fn consumer_stream_identity_mismatch(msg) = 10225, 400, "consumer's stream identity does not match: {msg}";
    const STREAM_RECONFIGURE_IN_PROGRESS = 10226, 400, "stream reconfiguration already in progress";
    const MESSAGE_SOURCE_HDR_NOT_ALLOWED = 10227, 400, "message stream source header is not allowed";
    const SOURCE_CONSUMER_FLOW_CONTROL_STALLED = 10228, 400, "stream source consumer stalled on flow control";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_ordered() {
        assert_eq!(ERROR_TABLE.len(), 227);
        let codes: Vec<u16> = ERROR_TABLE.iter().map(|(err_code, ..)| *err_code).collect();
        assert_eq!(codes, (10002..=10228).collect::<Vec<u16>>());
        let classes = [400, 404, 409, 412, 429, 500, 503];
        assert!(
            ERROR_TABLE
                .iter()
                .all(|(_, code, _)| classes.contains(code))
        );
    }

    #[test]
    fn json_has_the_order_of_nats_server() {
        let json = serde_json::to_string(&ApiError::STREAM_NOT_FOUND).unwrap();
        assert_eq!(
            json,
            r#"{"code":404,"err_code":10059,"description":"stream not found"}"#
        );
    }
}
