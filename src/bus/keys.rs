//! Names of the streams. The part in braces is what one slot of a Redis Cluster holds together.

use crate::{
    id::{Incarnation, Name},
    log::{StreamKind, StreamName},
};

/// The inbox of one process incarnation.
pub fn inbox(cluster: &Name, incarnation: Incarnation) -> StreamName {
    StreamName::new(StreamKind::Inbox, format!("cb:{cluster}:{{n:{incarnation}}}"))
}

/// The replies to one process incarnation.
pub fn replies(cluster: &Name, incarnation: Incarnation) -> StreamName {
    StreamName::new(StreamKind::Replies, format!("cb:{cluster}:{{r:{incarnation}}}"))
}

/// The durable tells of one partition of a service (0 when it has no partitions).
pub fn service(cluster: &Name, service: &Name, partition: u32) -> StreamName {
    StreamName::new(StreamKind::Service, format!("cb:{cluster}:{{s:{service}:{partition}}}"))
}

/// Whose durable tells a stream holds, if it is a service's.
pub fn service_of(cluster: &Name, stream: &StreamName) -> Option<Name> {
    let inner = stream.unit().strip_prefix(&format!("cb:{cluster}:{{s:"))?.strip_suffix('}')?;
    let (service, _) = inner.rsplit_once(':')?;
    if stream.kind() == StreamKind::Service { Name::new(service).ok() } else { None }
}

/// What the units of all streams of a cluster begin with.
pub fn all(cluster: &Name) -> String {
    format!("cb:{cluster}:")
}

/// A topic.
pub fn topic(cluster: &Name, topic: &Name) -> StreamName {
    StreamName::new(StreamKind::Topic, format!("cb:{cluster}:{{t:{topic}}}"))
}

/// Where dead letters of all inboxes lie, since an inbox goes with its process.
pub fn dead_letters_of_nodes(cluster: &Name) -> StreamName {
    StreamName::new(StreamKind::Service, format!("cb:{cluster}:{{dlq}}:nodes"))
}

/// What the units of all inboxes begin with.
pub fn inboxes(cluster: &Name) -> String {
    format!("cb:{cluster}:{{n:")
}

/// Whose inbox a stream is, if it is one.
pub fn owner_of_inbox(cluster: &Name, stream: &StreamName) -> Option<Incarnation> {
    let owner = stream.unit().strip_prefix(&inboxes(cluster))?.strip_suffix('}')?;
    if stream.kind() == StreamKind::Inbox { owner.parse().ok() } else { None }
}

/// What the units of all topics begin with.
pub fn topics(cluster: &Name) -> String {
    format!("cb:{cluster}:{{t:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_table() {
        let shop = Name::new("shop").unwrap();
        let orders = Name::new("orders").unwrap();
        let incarnation = Incarnation::from_u128(0xab);
        let number = "000000000000000000000000000000ab";
        assert_eq!(inbox(&shop, incarnation).to_string(), format!("cb:shop:{{n:{number}}}:in"));
        assert_eq!(replies(&shop, incarnation).to_string(), format!("cb:shop:{{r:{number}}}:rep"));
        assert_eq!(service(&shop, &orders, 3).to_string(), "cb:shop:{s:orders:3}:in");
        assert_eq!(topic(&shop, &orders).to_string(), "cb:shop:{t:orders}:log");
        assert_eq!(dead_letters_of_nodes(&shop).unit(), "cb:shop:{dlq}:nodes");
        assert!(topic(&shop, &orders).unit().starts_with(&topics(&shop)));
        assert_eq!(owner_of_inbox(&shop, &inbox(&shop, incarnation)), Some(incarnation));
        assert_eq!(owner_of_inbox(&shop, &replies(&shop, incarnation)), None);
        assert_eq!(service_of(&shop, &service(&shop, &orders, 3)), Some(orders.clone()));
        assert_eq!(service_of(&shop, &dead_letters_of_nodes(&shop)), None);
        assert!(inbox(&shop, incarnation).unit().starts_with(&all(&shop)));
        assert_eq!(owner_of_inbox(&orders, &inbox(&shop, incarnation)), None);
    }
}
