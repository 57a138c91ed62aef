use jetsled_auth::{
    Audience, Export, ExportKind, Import, LocalSubject, ServiceExport, ServiceImport, Sharing,
    StreamImport,
};
use jetsled_config::AccountLimits;

use super::*;
use crate::jetstream;
use crate::routing::Target;

fn account(name: &str) -> (Arc<str>, Arc<Account>) {
    let account = Account::new(name.into(), AccountLimits::default(), false);
    (name.into(), Arc::new(account))
}

fn sharing(exports: &[(&str, ExportKind)], imports: &[Import]) -> Sharing {
    let exports = exports.iter().map(|(subject, kind)| Export {
        subject: (*subject).to_owned(),
        kind: kind.clone(),
        audience: Audience::default(),
    });
    Sharing {
        exports: exports.collect(),
        imports: imports.to_vec(),
    }
}

fn exchange(a: &Sharing, b: &Sharing) -> Exchange {
    let (exchange, errors) = Exchange::build([(&"A".into(), a), (&"B".into(), b)]);
    assert_eq!(errors, []);
    exchange
}

fn service(subject: &str) -> Import {
    Import::Service(ServiceImport {
        account: "A".into(),
        subject: subject.to_owned(),
        to: subject.to_owned(),
        share: false,
        is_activated: false,
    })
}

fn services_of(account: &Account) -> Vec<String> {
    let mut services = Vec::new();
    account.for_each_target(|subject, _, target| {
        if let Target::Service(_) = target {
            services.push(String::from_utf8_lossy(subject).into_owned());
        }
    });
    services.sort_unstable();
    services
}

/// A publisher whose batch began in between found nobody.
#[test]
fn services_that_stay_imported_are_there_throughout() {
    let accounts = HashMap::from([account("A"), account("B")]);
    let b = &accounts["B"];
    let kind = || ExportKind::Service(ServiceExport::default());
    let a = sharing(&[("x", kind()), ("y", kind()), ("z", kind())], &[]);
    let awaited = Arc::default();
    for imported in [["x", "y"], ["y", "z"]] {
        let exchange = exchange(&a, &sharing(&[], &imported.map(service)));
        let generation = b.generation();
        wire(&accounts, &exchange, HashMap::new(), &awaited);
        assert_eq!(b.generation(), generation + 1, "one step");
        assert_eq!(services_of(b), imported);
    }
}

/// The exporting account's publisher heard nothing of who had subscribed between the two.
#[test]
fn subscribers_between_the_two_sides_of_an_import_are_found() {
    let (_, a) = account("A");
    let (_, b) = account("B");
    let stream = Import::Stream(StreamImport {
        account: "A".into(),
        subject: "news".to_owned(),
        local: LocalSubject::Same,
        allow_trace: false,
        is_activated: false,
    });
    let exchange = exchange(
        &sharing(&[("news", ExportKind::Stream)], &[]),
        &sharing(&[], &[stream]),
    );
    let link = |other: &Arc<Account>| StreamLink {
        other: Arc::downgrade(other),
        import: Arc::clone(&exchange.account("B").unwrap().streams[0]),
    };
    a.set_wiring(Wiring {
        importers: vec![link(&b)],
        ..Wiring::default()
    });
    let before = a.resolve(b"news");
    b.insert_target(b"news", b"", Target::Responses);
    b.set_wiring(Wiring {
        streams: vec![link(&a)],
        ..Wiring::default()
    });
    assert!(!before.is_current());
}

/// A reload or claims that brought the import left 'JetStream not enabled' beside it; those that took it away left nobody to say so.
#[test]
fn an_account_without_jetstream_says_so_unless_it_imports_the_api() {
    let accounts = HashMap::from([account("A"), account("B")]);
    let b = &accounts["B"];
    b.listen_to_api(|| vec!["$JS.API.INFO".to_owned(), "$JS.API.STREAM.>".to_owned()]);
    let listens = || {
        let mut entries = 0;
        b.for_each_target(|_, _, target| {
            entries += usize::from(*target == Target::JetStream(jetstream::Target::Api));
        });
        entries
    };
    assert_eq!(listens(), 2);
    let kind = || ExportKind::Service(ServiceExport::default());
    let a = sharing(&[("$JS.API.>", kind()), ("x", kind())], &[]);
    for (import, expected) in [("$JS.API.>", 0), ("x", 2), ("$JS.API.>", 0)] {
        let exchange = exchange(&a, &sharing(&[], &[service(import)]));
        let generation = b.generation();
        wire(&accounts, &exchange, HashMap::new(), &Arc::default());
        assert_eq!(listens(), expected, "{import}");
        assert_eq!(b.generation(), generation + 1, "one step");
    }
}
