//! (temporary)
mod synthetic;
use gap_report::*;
use gap_schema::record::*;
#[test]
fn look() {
    let p = serde_json::json!({"commit": "abc", "device": {"name": "cpu <x>"}});
    for (name, records) in [("three", synthetic::run(3)), ("one", synthetic::run(1))] {
        let mut records = records;
        if name == "one" {
            for r in &mut records {
                if r.method == Method::Refined && r.refinement_steps == Some(50) {
                    r.value_nats += 0.2;
                }
            }
        }
        let summary = summarize("digits-capacity", 20, &records);
        let c = ReportContent {
            summary: &summary,
            question: "How <much>?",
            surprise: "No gap.",
            provenance: &p,
        };
        let out = std::path::PathBuf::from("/tmp/gr_look").join(name);
        write_report(&out, &c, &Format::ALL).unwrap();
        println!("{}", text_table(&summary));
    }
}
