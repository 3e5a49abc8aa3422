//! Messages in several versions: who sent an old one is handled, and answered in its own way.

use std::fmt;

use callboard::{Embedded, Name, prelude::*};

use crate::support::{Log, local, node, until};

/// The first version, as an old program has it.
mod first {
    use super::*;

    #[derive(Message, Serialize, Deserialize, Debug, Clone, PartialEq)]
    #[message(name = "order", reply = u32, error = TooMany)]
    pub(super) struct Order {
        pub item: String,
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    pub(super) struct TooMany;

    #[derive(Message, Serialize, Deserialize, Debug)]
    #[message(name = "placed")]
    pub(super) struct Placed(pub u32);

    callboard::protocol!(pub(super) Api { Order });
}

/// The second, with a count.
mod second {
    use super::*;

    #[derive(Message, Serialize, Deserialize, Debug, Clone, PartialEq)]
    #[message(name = "order", version = 2, from = first::Order)]
    #[message(reply = u32, error = first::TooMany)]
    pub(super) struct Order {
        pub item: String,
        pub count: u32,
    }

    callboard::protocol!(pub(super) Api { Order });
}

/// The third, whose reply and error say more.
mod third {
    use super::*;

    #[derive(Message, Serialize, Deserialize, Debug, Clone, PartialEq)]
    #[message(name = "order", version = 3, from = second::Order)]
    #[message(reply = Receipt, error = Refused)]
    pub(super) struct Order {
        pub items: Vec<(String, u32)>,
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    pub(super) struct Receipt {
        pub number: u32,
        pub of: Vec<(String, u32)>,
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    pub(super) struct Refused {
        pub most: u32,
    }

    #[derive(Message, Serialize, Deserialize, Debug)]
    #[message(name = "placed", version = 2, from = first::Placed)]
    pub(super) struct Placed {
        pub number: u32,
        pub by: Option<String>,
    }
}

impl fmt::Display for first::TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many")
    }
}

impl std::error::Error for first::TooMany {}

impl fmt::Display for third::Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {}", self.most)
    }
}

impl std::error::Error for third::Refused {}

impl From<first::Order> for second::Order {
    fn from(first::Order { item }: first::Order) -> Self {
        Self { item, count: 1 }
    }
}

impl From<second::Order> for third::Order {
    fn from(second::Order { item, count }: second::Order) -> Self {
        Self { items: vec![(item, count)] }
    }
}

impl From<third::Receipt> for u32 {
    fn from(receipt: third::Receipt) -> Self {
        receipt.number
    }
}

impl From<third::Refused> for first::TooMany {
    fn from(_: third::Refused) -> Self {
        Self
    }
}

impl From<first::Placed> for third::Placed {
    fn from(first::Placed(number): first::Placed) -> Self {
        Self { number, by: None }
    }
}

#[derive(Actor)]
struct Shop {
    log: Log,
    number: u32,
}

#[handlers]
impl Shop {
    #[handle]
    async fn order(
        &mut self,
        third::Order { items }: third::Order,
    ) -> Result<third::Receipt, third::Refused> {
        if items.iter().any(|(_, count)| *count > 9) {
            return Err(third::Refused { most: 9 });
        }
        self.number += 1;
        self.log.note(format!("{items:?}"));
        Ok(third::Receipt { number: self.number, of: items })
    }

    #[subscribe("placed")]
    fn placed(&mut self, third::Placed { number, by }: third::Placed) {
        self.log.note(format!("placed {number} by {by:?}"));
    }
}

impl Shop {
    fn factory(log: &Log) -> impl Fn() -> Self + Send + Sync + 'static {
        let log = log.clone();
        move || Self { log: log.clone(), number: 0 }
    }
}

fn apples(count: u32) -> second::Order {
    second::Order { item: "apple".into(), count }
}

fn pear() -> first::Order {
    first::Order { item: "pear".into() }
}

#[callboard::test]
async fn each_sender_is_answered_as_its_version_is() -> callboard::Result<()> {
    let (store, log) = (Embedded::new(), Log::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    one.serve("shop", Shop::factory(&log)).await?;
    let oldest = two.service::<first::Api>("shop");
    let older = two.service::<second::Api>("shop");
    let newest = two.service::<Shop>("shop");
    until("it is visible", async || oldest.ask(pear()).await.is_ok()).await;
    assert_eq!(older.ask(apples(2)).await.expect("two apples"), 2);
    let order = third::Order { items: vec![("fig".into(), 5), ("nut".into(), 6)] };
    let receipt = newest.ask(order.clone()).await.expect("figs and nuts");
    assert_eq!(receipt, third::Receipt { number: 3, of: order.items });
    let refused = older.ask(apples(10)).await;
    assert!(matches!(refused, Err(AskError::Rejected(first::TooMany))), "{refused:?}");
    let refused = newest.ask(third::Order { items: vec![("fig".into(), 10)] }).await;
    assert!(matches!(refused, Err(AskError::Rejected(third::Refused { most: 9 }))), "{refused:?}");
    assert_eq!(log.take().len(), 3);
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn the_directory_lists_all_versions_and_tells_of_each_are_handled() -> callboard::Result<()> {
    let (store, log) = (Embedded::new(), Log::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    one.serve("shop", Shop::factory(&log)).await?;
    let view = one.directory().resolve(&Name::new("shop")?);
    let listed: Vec<_> = view.instances[0].messages.iter().map(|m| (&*m.name, m.version)).collect();
    assert_eq!(listed, [("order", 1), ("order", 2), ("order", 3), ("placed", 1), ("placed", 2)]);
    let oldest = two.service::<first::Api>("shop");
    until("it is visible", async || oldest.ask(pear()).await.is_ok()).await;
    log.take();
    oldest.tell(pear()).await.expect("stored");
    oldest.try_tell(pear()).expect("in the lane");
    assert_eq!(oldest.broadcast(pear()).await.expect("told").delivered().len(), 1);
    oldest.recipient::<first::Order>().tell(pear()).await.expect("stored");
    two.service::<second::Api>("shop").tell(apples(3)).await.expect("stored");
    two.publish("placed", &first::Placed(7)).await?;
    two.publish("placed", &third::Placed { number: 8, by: Some("ada".into()) }).await?;
    let mut seen = Vec::new();
    until("all are handled", async || {
        seen.extend(log.take());
        seen.len() == 7
    })
    .await;
    seen.sort();
    let pears = vec![r#"[("pear", 1)]"#; 4];
    let apples = vec![r#"[("apple", 3)]"#];
    let placed = vec![r#"placed 7 by None"#, r#"placed 8 by Some("ada")"#];
    assert_eq!(seen, [apples, pears, placed].concat());
    one.shutdown().await?;
    two.shutdown().await
}

/// Without frames on the way for what is sent within the process.
#[callboard::test]
async fn an_old_version_reaches_an_instance_of_the_same_process() -> callboard::Result<()> {
    let (system, log) = (local().await, Log::default());
    system.serve("shop", Shop::factory(&log)).await?;
    let oldest = system.service::<first::Api>("shop");
    assert_eq!(oldest.ask(pear()).await.expect("a pear"), 1);
    let recipient = oldest.recipient::<first::Order>();
    assert_eq!(recipient.ask(pear()).await.expect("a pear"), 2);
    recipient.tell(pear()).await.expect("stored");
    until("it is handled", async || log.take().iter().any(|line| line.contains("pear"))).await;
    system.shutdown().await
}
