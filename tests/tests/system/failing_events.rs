//! Events whose handler fails: tried again where they came, and for nobody else.

use std::sync::Arc;

use callboard::{Embedded, prelude::*};
use parking_lot::Mutex;

use crate::support::{node, until};

#[derive(Message, Serialize, Deserialize, Debug, Clone)]
struct Placed(u32);

/// Each instance, with how often it was tried there before it went well.
type Seen = Arc<Mutex<Vec<(String, u32, u32)>>>;

#[derive(Actor)]
struct Ear {
    node: &'static str,
    seen: Seen,
}

#[handlers]
impl Ear {
    #[subscribe("orders.placed", each)]
    fn on_placed(&mut self, Placed(id): Placed) {
        let tries = {
            let mut seen = self.seen.lock();
            let known = seen.iter_mut().find(|(node, event, _)| node == self.node && *event == id);
            match known {
                Some((.., tries)) => {
                    *tries += 1;
                    *tries
                }
                None => {
                    seen.push((self.node.to_owned(), id, 1));
                    1
                }
            }
        };
        assert!(self.node != "two" || tries >= 3, "not yet");
    }
}

#[callboard::test]
async fn an_event_that_fails_in_one_instance_is_tried_again_there() -> callboard::Result<()> {
    let store = Embedded::new();
    let seen = Seen::default();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    for (system, name) in [(&one, "one"), (&two, "two")] {
        let seen = seen.clone();
        system.serve("ears", move || Ear { node: name, seen: seen.clone() }).await?;
    }
    one.publish("orders.placed", &Placed(7)).await?;
    let third = || seen.lock().iter().any(|(node, _, tries)| node == "two" && *tries == 3);
    until("the third try goes well", async || third()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut seen: Vec<_> = seen.lock().clone();
    seen.sort();
    assert_eq!(seen, [("one".to_owned(), 7, 1), ("two".to_owned(), 7, 3)]);
    assert_eq!(two.bus().stats().buried, 0);
    one.shutdown().await?;
    two.shutdown().await
}
