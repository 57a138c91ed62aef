//! The subjects below `$JS.API.`.

use jetsled_jetstream_api::request::CreateForm;

/// An endpoint with the names in its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    AccountInfo,
    StreamCreate {
        stream: &'a str,
    },
    StreamUpdate {
        stream: &'a str,
    },
    StreamNames,
    StreamList,
    StreamInfo {
        stream: &'a str,
    },
    StreamDelete {
        stream: &'a str,
    },
    StreamPurge {
        stream: &'a str,
    },
    StreamSnapshot {
        stream: &'a str,
    },
    StreamRestore {
        stream: &'a str,
    },
    MsgGet {
        stream: &'a str,
    },
    MsgDelete {
        stream: &'a str,
    },
    ConsumerCreate {
        stream: &'a str,
        form: CreateForm<'a>,
    },
    ConsumerNames {
        stream: &'a str,
    },
    ConsumerList {
        stream: &'a str,
    },
    ConsumerInfo {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerDelete {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerPause {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerUnpin {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerReset {
        stream: &'a str,
        consumer: &'a str,
    },
    Clustering(Clustering),
}

/// An endpoint that needs more than one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clustering {
    StreamLeaderStepdown,
    StreamPeerRemove,
    StreamPeerEvacuate,
    StreamCancelMove,
    ConsumerLeaderStepdown,
    ConsumerPeerRemove,
    ConsumerPeerEvacuate,
}

impl<'a> Endpoint<'a> {
    /// The endpoint of a subject; `None` if there is none.
    pub(super) fn parse(subject: &'a str) -> Option<Self> {
        let rest = subject.strip_prefix("$JS.API.")?;
        if rest == "INFO" {
            return Some(Self::AccountInfo);
        }
        let (family, rest) = rest.split_once('.')?;
        match family {
            "STREAM" => Self::stream(rest),
            "CONSUMER" => Self::consumer(rest),
            _ => None,
        }
    }

    fn stream(rest: &'a str) -> Option<Self> {
        match rest {
            "NAMES" => return Some(Self::StreamNames),
            "LIST" => return Some(Self::StreamList),
            _ => {}
        }
        let (verb, stream) = rest.rsplit_once('.')?;
        if stream.is_empty() {
            return None;
        }
        Some(match verb {
            "CREATE" => Self::StreamCreate { stream },
            "UPDATE" => Self::StreamUpdate { stream },
            "INFO" => Self::StreamInfo { stream },
            "DELETE" => Self::StreamDelete { stream },
            "PURGE" => Self::StreamPurge { stream },
            "SNAPSHOT" => Self::StreamSnapshot { stream },
            "RESTORE" => Self::StreamRestore { stream },
            "MSG.GET" => Self::MsgGet { stream },
            "MSG.DELETE" => Self::MsgDelete { stream },
            "LEADER.STEPDOWN" => Self::Clustering(Clustering::StreamLeaderStepdown),
            "PEER.REMOVE" => Self::Clustering(Clustering::StreamPeerRemove),
            "PEER.EVACUATE" => Self::Clustering(Clustering::StreamPeerEvacuate),
            "CANCEL_MOVE" => Self::Clustering(Clustering::StreamCancelMove),
            _ => return None,
        })
    }

    fn consumer(rest: &'a str) -> Option<Self> {
        let (verb, names) = rest.split_once('.')?;
        match verb {
            "CREATE" => Self::consumer_create(names),
            "DURABLE" => {
                let (stream, name) = two_names(names.strip_prefix("CREATE.")?)?;
                Some(Self::ConsumerCreate {
                    stream,
                    form: CreateForm::Durable { name },
                })
            }
            "NAMES" => one_name(names).map(|stream| Self::ConsumerNames { stream }),
            "LIST" => one_name(names).map(|stream| Self::ConsumerList { stream }),
            "LEADER" => {
                two_names(names.strip_prefix("STEPDOWN.")?)?;
                Some(Self::Clustering(Clustering::ConsumerLeaderStepdown))
            }
            "PEER" => {
                let (verb, names) = names.split_once('.')?;
                two_names(names)?;
                match verb {
                    "REMOVE" => Some(Self::Clustering(Clustering::ConsumerPeerRemove)),
                    "EVACUATE" => Some(Self::Clustering(Clustering::ConsumerPeerEvacuate)),
                    _ => None,
                }
            }
            _ => {
                let (stream, consumer) = two_names(names)?;
                Some(match verb {
                    "INFO" => Self::ConsumerInfo { stream, consumer },
                    "DELETE" => Self::ConsumerDelete { stream, consumer },
                    "PAUSE" => Self::ConsumerPause { stream, consumer },
                    "UNPIN" => Self::ConsumerUnpin { stream, consumer },
                    "RESET" => Self::ConsumerReset { stream, consumer },
                    _ => return None,
                })
            }
        }
    }

    /// `<stream>[.<consumer>[.<filter...>]]`
    fn consumer_create(names: &'a str) -> Option<Self> {
        let Some((stream, names)) = names.split_once('.') else {
            let stream = one_name(names)?;
            return Some(Self::ConsumerCreate {
                stream,
                form: CreateForm::Ephemeral,
            });
        };
        let (name, filter) = match names.split_once('.') {
            Some((name, filter)) => (name, Some(filter)),
            None => (names, None),
        };
        let complete = !stream.is_empty() && !name.is_empty() && filter != Some("");
        let form = CreateForm::Named { name, filter };
        complete.then_some(Self::ConsumerCreate { stream, form })
    }
}

fn one_name(names: &str) -> Option<&str> {
    (!names.is_empty() && !names.contains('.')).then_some(names)
}

fn two_names(names: &str) -> Option<(&str, &str)> {
    let (first, second) = names.split_once('.')?;
    Some((one_name(first)?, one_name(second)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subject: &str, want: Option<Endpoint<'_>>) {
        assert_eq!(
            Endpoint::parse(&format!("$JS.API.{subject}")),
            want,
            "{subject}"
        );
    }

    #[test]
    fn knows_every_endpoint() {
        let (stream, consumer) = ("S", "C");
        check("INFO", Some(Endpoint::AccountInfo));
        check("STREAM.CREATE.S", Some(Endpoint::StreamCreate { stream }));
        check("STREAM.UPDATE.S", Some(Endpoint::StreamUpdate { stream }));
        check("STREAM.NAMES", Some(Endpoint::StreamNames));
        check("STREAM.LIST", Some(Endpoint::StreamList));
        check("STREAM.INFO.S", Some(Endpoint::StreamInfo { stream }));
        check("STREAM.DELETE.S", Some(Endpoint::StreamDelete { stream }));
        check("STREAM.PURGE.S", Some(Endpoint::StreamPurge { stream }));
        check("STREAM.MSG.GET.S", Some(Endpoint::MsgGet { stream }));
        check("STREAM.MSG.DELETE.S", Some(Endpoint::MsgDelete { stream }));
        check(
            "STREAM.SNAPSHOT.S",
            Some(Endpoint::StreamSnapshot { stream }),
        );
        let stepdown = Endpoint::Clustering(Clustering::StreamLeaderStepdown);
        check("STREAM.LEADER.STEPDOWN.S", Some(stepdown));
        let create = |form| Some(Endpoint::ConsumerCreate { stream, form });
        check("CONSUMER.CREATE.S", create(CreateForm::Ephemeral));
        check(
            "CONSUMER.CREATE.S.C",
            create(CreateForm::Named {
                name: "C",
                filter: None,
            }),
        );
        let filter = Some("a.>");
        check(
            "CONSUMER.CREATE.S.C.a.>",
            create(CreateForm::Named { name: "C", filter }),
        );
        check(
            "CONSUMER.DURABLE.CREATE.S.C",
            create(CreateForm::Durable { name: "C" }),
        );
        check("CONSUMER.NAMES.S", Some(Endpoint::ConsumerNames { stream }));
        check("CONSUMER.LIST.S", Some(Endpoint::ConsumerList { stream }));
        check(
            "CONSUMER.INFO.S.C",
            Some(Endpoint::ConsumerInfo { stream, consumer }),
        );
        check(
            "CONSUMER.DELETE.S.C",
            Some(Endpoint::ConsumerDelete { stream, consumer }),
        );
        check(
            "CONSUMER.PAUSE.S.C",
            Some(Endpoint::ConsumerPause { stream, consumer }),
        );
        check(
            "CONSUMER.UNPIN.S.C",
            Some(Endpoint::ConsumerUnpin { stream, consumer }),
        );
        check(
            "CONSUMER.RESET.S.C",
            Some(Endpoint::ConsumerReset { stream, consumer }),
        );
    }

    #[test]
    fn nothing_else_is_an_endpoint() {
        for subject in [
            "",
            "BOGUS",
            "INFO.S",
            "STREAM.CREATE",
            "STREAM.CREATE.",
            "STREAM.CREATE.S.T",
            "STREAM.NAMES.S",
            "STREAM.TEMPLATE.CREATE.S",
            "CONSUMER.CREATE",
            "CONSUMER.CREATE.",
            "CONSUMER.CREATE.S.",
            "CONSUMER.CREATE.S.C.",
            "CONSUMER.DURABLE.CREATE.S",
            "CONSUMER.DURABLE.CREATE.S.C.D",
            "CONSUMER.INFO.S",
            "CONSUMER.INFO.S.C.D",
            "CONSUMER.MSG.NEXT.S.C",
            "DIRECT.GET.S",
            "META.LEADER.STEPDOWN",
        ] {
            check(subject, None);
        }
    }
}
