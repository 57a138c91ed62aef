//! Damages the stores of two programs alike, many times: `damage-programs SEEDS FIRST JETSLED NATS_SERVER`. A Markdown table of what clients got. It fails
//! when jetsled says less of a loss than it must.
#![expect(clippy::print_stdout, reason = "a command-line program reports on it")]

use std::path::PathBuf;
use std::process::ExitCode;

use jetsled_tests::damage::programs::{Kind, Layout, Outcome, run};
use jetsled_tests::damage::scratch;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = || arguments.next().and_then(|n| n.parse::<u64>().ok());
    let (Some(seeds), Some(first)) = (number(), number()) else {
        return usage();
    };
    let (Some(jetsled), Some(nats_server)) = (arguments.next(), arguments.next()) else {
        return usage();
    };
    let programs = [
        ("jetsled", Layout::Jetsled, PathBuf::from(jetsled)),
        (
            "nats-server",
            Layout::NatsServer,
            PathBuf::from(nats_server),
        ),
    ];
    let mut remarks = Vec::new();
    let mut code = ExitCode::SUCCESS;
    println!(
        "| Program | Files | Stores | Did not start | Messages | Hit | Lost | Of these not hit | Named as lost | Else hinted at | Neither, unvouched | Told less of than jetsled must | Altered | Back | Streams gone | Consumers gone | Sequences given again | Of these what jetsled must know |"
    );
    println!("{}|", "|---".repeat(18));
    for (name, layout, program) in programs {
        for kind in Kind::ALL {
            let mut sum = Outcome::default();
            for seed in first..first + seeds {
                let Ok(dir) = scratch() else {
                    return ExitCode::FAILURE;
                };
                match run(seed, &program, layout, kind, dir.path()) {
                    Ok(Some((action, outcome))) => {
                        let is_jetsled = layout == Layout::Jetsled;
                        let untold = outcome.untold + outcome.given_again_knowingly;
                        let broken = outcome.altered + outcome.not_started;
                        if broken > 0 || is_jetsled && untold > 0 {
                            remarks.push(format!(
                                "{name} {kind:?} seed {seed} {action:?}: {outcome:?}"
                            ));
                            if is_jetsled {
                                code = ExitCode::FAILURE;
                            }
                        }
                        sum += outcome;
                    }
                    Ok(None) => {}
                    Err(error) => {
                        remarks.push(format!("{name} {kind:?} seed {seed}: {error}"));
                        code = ExitCode::FAILURE;
                    }
                }
            }
            if sum.stores > 0 {
                let Outcome {
                    stores,
                    orderly: _,
                    not_started,
                    messages,
                    hit,
                    lost,
                    lost_unhit,
                    named,
                    hinted,
                    unvouched,
                    untold,
                    altered,
                    back,
                    streams_gone,
                    consumers_gone,
                    given_again,
                    given_again_knowingly,
                } = sum;
                println!(
                    "| {name} | {kind:?} | {stores} | {not_started} | {messages} | {hit} | {lost} | {lost_unhit} | {named} | {hinted} | {unvouched} | {untold} | {altered} | {back} | {streams_gone} | {consumers_gone} | {given_again} | {given_again_knowingly} |"
                );
            }
        }
    }
    for remark in remarks {
        println!("{remark}");
    }
    code
}

fn usage() -> ExitCode {
    println!("usage: damage-programs SEEDS FIRST JETSLED NATS_SERVER");
    ExitCode::FAILURE
}
