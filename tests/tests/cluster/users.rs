//! A system on an etcd that asks for a user.

use callboard::{Error, System, SystemBuilder, prelude::*};
use callboard_tests::servers::{EtcdServer, RedisServer};
use tokio::time::{Instant, sleep};

use crate::support::sees;

const PASSWORD: &str = "not-to-be-shown";
const TOKEN_TTL: Duration = Duration::from_secs(5);

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = u64)]
struct Twice(u64);

#[derive(Actor, Default)]
struct Doubler;

#[handlers]
impl Doubler {
    #[handle]
    fn twice(&mut self, Twice(n): Twice) -> u64 {
        2 * n
    }
}

/// With the users of the book, whose tokens end soon, and one without rights.
async fn etcd() -> EtcdServer {
    let nobody = format!("nobody:{PASSWORD}");
    EtcdServer::with_users(1, TOKEN_TTL, PASSWORD, &[&["user", "add", &nobody]]).await
}

fn builder(etcd: &EtcdServer, redis: &RedisServer) -> SystemBuilder {
    System::builder().cluster("shop").arbiters(1).etcd([etcd.url()]).redis(redis.url())
}

#[tokio::test]
async fn a_cluster_with_a_user_serves_on_when_tokens_end_and_etcd_starts_again() {
    let (mut etcd, redis) = (etcd().await, RedisServer::start().await);
    let start =
        |node: &str| builder(&etcd, &redis).node(node).etcd_user("callboard", PASSWORD).start();
    let (a, b) = (start("a").await.unwrap(), start("b").await.unwrap());
    a.serve("double", Doubler::default).await.unwrap();
    sees(&b, "double", 1).await;
    let double: ServiceRef<Doubler> = b.service("double");
    // Several lifetimes of a token, and a few of a lease.
    let until = Instant::now() + TOKEN_TTL * 3;
    while Instant::now() < until {
        assert_eq!(double.ask(Twice(4)).await.expect("no call fails"), 8);
        sleep(Duration::from_millis(100)).await;
    }
    etcd.restart().await;
    // Both register anew what only this etcd can tell the other.
    b.serve("again", Doubler::default).await.unwrap();
    sees(&a, "again", 1).await;
    assert_eq!(double.ask(Twice(5)).await.expect("no call fails"), 10);
    assert!(!format!("{a:?}").contains(PASSWORD));
    b.shutdown().await.unwrap();
    a.shutdown().await.unwrap();
}

async fn refused(builder: SystemBuilder) -> String {
    let shown = format!("{builder:?}");
    let begun = Instant::now();
    let error = builder.start().await.map(|system| format!("{system:?}")).expect_err("it can't");
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    let text = error.to_string();
    for shown in [&shown, &text, &format!("{error:?}")] {
        assert!(!shown.contains(PASSWORD) && !shown.contains("guess"), "a secret: {shown}");
    }
    text
}

#[tokio::test]
async fn a_start_without_the_right_user_says_in_seconds_what_to_set_or_to_grant() {
    let (etcd, redis) = (etcd().await, RedisServer::start().await);
    let builder = || builder(&etcd, &redis);
    let text = refused(builder().etcd_user("callboard", "guess")).await;
    assert!(text.contains("CALLBOARD_ETCD_PASSWORD") && text.contains("\"callboard\""), "{text}");
    let text = refused(builder()).await;
    assert!(text.contains("asks for a user") && text.contains("CALLBOARD_ETCD_USER"), "{text}");
    let text = refused(builder().etcd_user("nobody", PASSWORD)).await;
    assert!(text.contains("--prefix=true readwrite /callboard/shop/"), "{text}");
    let text = refused(builder().etcd_user("callboard", "")).await;
    assert!(text.contains("CALLBOARD_ETCD_PASSWORD"), "{text}");
    let error = System::builder().etcd_user("callboard", PASSWORD).start().await;
    let error = error.map(|system| format!("{system:?}")).expect_err("there is no etcd");
    assert!(
        matches!(&error, Error::Setting { setting, .. } if setting == "CALLBOARD_ETCD"),
        "{error}"
    );
}
