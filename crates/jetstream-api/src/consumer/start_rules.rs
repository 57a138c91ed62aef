//! Which start a deliver policy needs and which it forbids.

use crate::{ApiError, ConsumerConfig, DeliverPolicy};

pub(super) fn check(config: &ConsumerConfig) -> Result<(), ApiError> {
    let seq = !config.opt_start_seq.is_zero();
    let time = config.opt_start_time.is_some();
    let policy = match config.deliver_policy {
        DeliverPolicy::All => "all",
        DeliverPolicy::Last => "last",
        DeliverPolicy::New => "new",
        DeliverPolicy::LastPerSubject => "last per subject",
        DeliverPolicy::ByStartSequence => {
            return if !seq {
                missing("by start sequence", "start sequence")
            } else if time {
                extra("by start sequence", "time")
            } else {
                Ok(())
            };
        }
        DeliverPolicy::ByStartTime => {
            return if !time {
                missing("by start time", "start time")
            } else if seq {
                extra("by start time", "start sequence")
            } else {
                Ok(())
            };
        }
    };
    if seq {
        return extra(policy, "sequence");
    }
    if time {
        return extra(policy, "time");
    }
    let unfiltered = config.filters().next().is_none();
    if config.deliver_policy == DeliverPolicy::LastPerSubject && unfiltered {
        return missing(policy, "filter subject");
    }
    Ok(())
}

fn extra(policy: &str, start: &str) -> Result<(), ApiError> {
    Err(ApiError::consumer_invalid_policy(format_args!(
        "consumer delivery policy is deliver {policy}, but optional start {start} is also set"
    )))
}

fn missing(policy: &str, what: &str) -> Result<(), ApiError> {
    Err(ApiError::consumer_invalid_policy(format_args!(
        "consumer delivery policy is deliver {policy}, but optional {what} is not set"
    )))
}
