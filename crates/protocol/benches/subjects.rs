//! What routing one subject costs without any cache.
//!
//! `cargo bench -p jetsled-protocol --bench subjects`
//!
//! On a busy two-core virtual machine: a match among 200 k subscriptions 80-210 ns, insert and
//! remove 185 ns, a set of 300 filters 100 ns. A million `_INBOX.<22 bytes>.*` subscriptions take
//! 139 bytes each in all, a million literal ones that differ in their last token 75.

#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use jetsled_protocol::{
    MatchResult, SubjectFilter, SubjectMapping, SubjectTransform, Sublist, subject,
};

fn sublist(c: &mut Criterion) {
    let mut list = Sublist::new();
    for i in 0..100_000u64 {
        list.insert(format!("orders.{}.item.{i}", i % 100).as_bytes(), None, i);
        list.insert(
            format!("_INBOX.0123456789abcdef{i:06}.*").as_bytes(),
            None,
            i,
        );
    }
    list.insert(b"orders.*.item.>", None, 1);
    list.insert(b"orders.>", Some(b"workers"), 2);
    let mut result = MatchResult::default();
    let mut group = c.benchmark_group("sublist of 200 k");
    group.bench_function("one of 100 k, two wildcards", |b| {
        b.iter(|| list.match_subject(black_box(b"orders.17.item.4217"), &mut result));
    });
    assert_eq!((result.plain.len(), result.queues.len()), (2, 1));
    group.bench_function("inbox", |b| {
        b.iter(|| list.match_subject(black_box(b"_INBOX.0123456789abcdef004217.9"), &mut result));
    });
    assert_eq!(result.plain, [4217]);
    group.bench_function("nobody", |b| {
        b.iter(|| list.has_interest(black_box(b"nobody.is.here")));
    });
    group.bench_function("insert and remove", |b| {
        b.iter(|| {
            list.insert(black_box(b"_INBOX.new.*"), None, 7);
            list.remove(b"_INBOX.new.*", None, |item| *item == 7)
        });
    });
    group.finish();
}

fn patterns(c: &mut Criterion) {
    let mut group = c.benchmark_group("patterns");
    group.bench_function("matches, 4 tokens", |b| {
        b.iter(|| {
            subject::matches(
                black_box(b"orders.17.item.4217"),
                black_box(b"orders.*.item.>"),
            )
        });
    });
    group.bench_function("is_valid_literal", |b| {
        b.iter(|| subject::is_valid_literal(black_box(b"orders.17.item.4217")));
    });
    for (name, count) in [("filter of 3", 3), ("filter of 300", 300)] {
        let filter = SubjectFilter::new(
            (0..count).map(|i| format!("orders.{i}.{}", if i % 2 == 0 { "new" } else { "*" })),
        );
        group.bench_function(name, |b| {
            b.iter(|| filter.matches(black_box(b"orders.1.new")))
        });
    }
    let transform = SubjectTransform::new(b"foo.*.*", b"bar.{{partition(8,1)}}.$2.$1")
        .expect("a good transform");
    let mut out = Vec::new();
    group.bench_function("transform", |b| {
        b.iter(|| {
            out.clear();
            transform.apply(black_box(b"foo.some.thing"), 0, &mut out)
        });
    });
    let mapping = SubjectMapping::new(b"other.*", &[], "").expect("a good mapping");
    group.bench_function("mapping that does not apply", |b| {
        b.iter(|| mapping.apply(black_box(b"foo.some.thing"), 0, &mut out));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(30);
    targets = sublist, patterns
}
criterion_main!(benches);
