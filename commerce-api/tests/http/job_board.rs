//! Jobs for staff, over HTTP.

use std::time::Duration;

use commerce_core::accounts::Role;
use commerce_core::jobs::{self, Failure, kinds};
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{TestShop, ask, get, post};

#[tokio::test(flavor = "multi_thread")]
async fn staff_see_each_failure_and_retry_cancel_and_pause() {
    let shop = TestShop::new().await;
    let (admin_id, admin) = shop.login(Role::Admin).await;
    let conn = &mut shop.database.conn().await;
    conn.batch_execute(
        "DELETE FROM commerce.jobs;
         INSERT INTO commerce.jobs (id, kind, payload, attempts_max, run_at)
         SELECT gen_random_uuid(), 'delete_files', '{\"keys\": []}', 1, commerce.clock() - n * interval '1 minute'
         FROM generate_series(1, 3) AS n",
    )
    .await
    .unwrap();
    let claimed = jobs::claim(conn, "tester", kinds::ALL, 2, Duration::from_secs(60)).await.unwrap();
    jobs::fail(conn, &claimed[0], &Failure::Retry("the store is full".to_owned())).await.unwrap();
    let (dead, running) = (claimed[0].id, claimed[1].id);
    let read = async |path: &str| -> Value {
        let got = shop.send(get(path).bearer(&admin)).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()
    };
    let write = async |path: &str, body: &Value| shop.send(post(path, body).bearer(&admin)).await;

    let job = read(&format!("/v1/admin/jobs/{dead}")).await;
    assert_eq!((&job["state"], &job["failures"][0]["error"]), (&json!("dead"), &json!("the store is full")));
    assert_eq!(job["failures"][0]["worker"], "tester");
    let first = read("/v1/admin/jobs?limit=2&sort=run_at").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = read(&format!("/v1/admin/jobs?limit=2&sort=run_at&cursor={cursor}")).await;
    assert_eq!(first["data"].as_array().unwrap().len() + second["data"].as_array().unwrap().len(), 3);
    assert_eq!(
        read("/v1/admin/jobs?state=dead&kind=delete_files&error=FULL&failed=true").await["data"][0]["id"],
        job["id"]
    );
    let kind = |list: &Value| -> Value {
        list["data"].as_array().unwrap().iter().find(|kind| kind["kind"] == "delete_files").unwrap().clone()
    };
    let counts = kind(&read("/v1/admin/job-kinds").await);
    assert_eq!((&counts["ready"], &counts["leased"], &counts["dead"]), (&json!(1), &json!(1), &json!(1)));

    let busy = write(&format!("/v1/admin/jobs/{running}/retry"), &Value::Null).await;
    busy.problem(409, "job_running");
    let retried = write(&format!("/v1/admin/jobs/{dead}/retry"), &Value::Null).await;
    assert_eq!(
        (retried.status.as_u16(), &retried.json()["state"]),
        (200, &json!("ready")),
        "{}",
        retried.text
    );
    let cancelled = write(&format!("/v1/admin/jobs/{dead}/cancel"), &Value::Null).await;
    assert_eq!(cancelled.status, 204, "{}", cancelled.text);
    write(&format!("/v1/admin/jobs/{dead}/cancel"), &Value::Null).await.problem(404, "not_found");

    jobs::fail(conn, &claimed[1], &Failure::Abort("gone".to_owned())).await.unwrap();
    let some = json!({ "state": "dead", "kind": "delete_files", "error": "gone" });
    let many = write("/v1/admin/jobs/retry", &some).await;
    assert_eq!(many.json(), json!({ "jobs": 1, "more": false }), "{}", many.text);
    let many = write("/v1/admin/jobs/cancel", &json!({ "state": "ready" })).await;
    assert_eq!(many.json(), json!({ "jobs": 2, "more": false }), "{}", many.text);
    let leased = write("/v1/admin/jobs/cancel", &json!({ "state": "leased" })).await;
    assert_eq!(leased.problem(422, "validation_failed"), ["/state"]);

    let set = async |kind: &str, paused: bool| {
        let put = ask(Method::PUT, &format!("/v1/admin/job-kinds/{kind}")).json(&json!({ "paused": paused }));
        shop.send(put.bearer(&admin)).await
    };
    let paused = set("delete_files", true).await;
    assert_eq!(paused.json()["paused_by"], format!("user:{admin_id}"), "{}", paused.text);
    assert_eq!(kind(&read("/v1/admin/job-kinds").await)["paused"], true);
    set("no_such_kind", true).await.problem(404, "not_found");
    assert_eq!(set("delete_files", false).await.json()["paused"], false);
    shop.database.finish().await;
}
