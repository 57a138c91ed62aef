//! What a server takes when nothing happens: memory an idle connection, memory a subscription, time to start.

use super::publish::fill;
use super::{Case, Sample, Target, Unit};
use crate::Error;
use crate::client::Client;
use crate::measure::resident_kib;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "idle connection, resident memory",
            Unit::Kibibytes,
            |target, _| {
                let count = target.scale.pick(20, 400);
                grown(target, count, |clients| {
                    clients.push(Client::connect(target.address)?);
                    Ok(())
                })
            },
        )
        .on_fresh_servers(),
        Case::new(
            "subscription, resident memory",
            Unit::Kibibytes,
            |target, _| {
                let count = target.scale.pick(1_000, 100_000);
                let mut sid = 0;
                grown(target, count, |clients| {
                    if clients.is_empty() {
                        clients.push(Client::connect(target.address)?);
                    }
                    let Some(client) = clients.last_mut() else {
                        return Ok(());
                    };
                    sid += 1;
                    client.send(format!("SUB idle.{sid}.subject {sid}\r\n").as_bytes())?;
                    if sid == count {
                        client.sync()?;
                    }
                    Ok(())
                })
            },
        )
        .on_fresh_servers(),
        Case::new("start, empty store", Unit::Milliseconds, |target, _| {
            let value = target.ready_after().as_secs_f64() * 1e3;
            Ok(Sample {
                value,
                p99: None,
                messages: 0,
            })
        })
        .on_fresh_servers(),
        Case::new(
            "start after a kill, 1 M messages of 128 B",
            Unit::Milliseconds,
            |target, _| {
                target.crash_and_restart()?;
                let value = target.ready_after().as_secs_f64() * 1e3;
                Ok(Sample {
                    value,
                    p99: None,
                    messages: 0,
                })
            },
        )
        .prepared(|target| {
            let count = target.scale.pick(5_000, 1_000_000) as u64;
            fill(&mut Client::connect(target.address)?, count)
        }),
    ]
}

/// How much the server grows with each call of `add`.
fn grown(
    target: &Target,
    count: usize,
    mut add: impl FnMut(&mut Vec<Client>) -> Result<(), Error>,
) -> Result<Sample, Error> {
    let before = resident_kib(target.pid())?;
    let mut clients = Vec::new();
    for _ in 0..count {
        add(&mut clients)?;
    }
    let after = resident_kib(target.pid())?;
    Ok(Sample {
        value: (after - before).max(0.0) / count as f64,
        p99: None,
        messages: 0,
    })
}
