//! What a server takes when nothing happens: memory an idle connection, memory a subscription, time to start.

use std::time::Duration;

use super::publish::{Subjects, fill};
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
                    if sid == count / 10 || sid == count + count / 10 {
                        client.sync()?;
                    }
                    Ok(())
                })
            },
        )
        .on_fresh_servers(),
        Case::new(
            "idle server, resident memory",
            Unit::Mebibytes,
            |target, _| Ok(Sample::figure(resident_kib(target.pid())? / 1024.0)),
        )
        .on_fresh_servers(),
        Case::new("program file", Unit::Mebibytes, |target, _| {
            Ok(Sample::figure(
                target.program_bytes()? as f64 / f64::from(1 << 20),
            ))
        }),
        Case::new("start, empty store", Unit::Milliseconds, ready_after).on_fresh_servers(),
        Case::new(
            "5 M messages over 100 k subjects, resident memory after publish and replay",
            Unit::Mebibytes,
            |target, _| {
                super::consume::replay_all(target)?;
                Ok(Sample::figure(resident_kib(target.pid())? / 1024.0))
            },
        )
        .prepared(five_million),
        Case::new(
            "5 M messages over 100 k subjects, clean restart",
            Unit::Milliseconds,
            |target, duration| {
                target.restart()?;
                ready_after(target, duration)
            },
        )
        .prepared(five_million),
        Case::new(
            "5 M messages over 100 k subjects, restart after a kill",
            Unit::Milliseconds,
            |target, duration| {
                target.crash_and_restart()?;
                ready_after(target, duration)
            },
        )
        .prepared(five_million),
    ]
}

fn five_million(target: &Target) -> Result<(), Error> {
    let count = target.scale.pick(5_000, 5_000_000);
    let mut client = Client::connect(target.address)?;
    fill(&mut client, count, Subjects::HundredThousand)
}

fn ready_after(target: &Target, _duration: Duration) -> Result<Sample, Error> {
    Ok(Sample::figure(target.ready_after().as_secs_f64() * 1e3))
}

/// How much the server grows with each call of `add`. What the first ones cost is no measure of the others: code and pools are
/// touched for the first time.
fn grown(
    target: &Target,
    count: usize,
    mut add: impl FnMut(&mut Vec<Client>) -> Result<(), Error>,
) -> Result<Sample, Error> {
    let mut clients = Vec::new();
    for _ in 0..count / 10 {
        add(&mut clients)?;
    }
    let before = resident_kib(target.pid())?;
    for _ in 0..count {
        add(&mut clients)?;
    }
    let after = resident_kib(target.pid())?;
    Ok(Sample::figure((after - before).max(0.0) / count as f64))
}
