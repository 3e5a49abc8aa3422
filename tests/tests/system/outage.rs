//! The directory's store does not answer for a while: nobody may notice.

use callboard::{Embedded, Name, directory::DirectoryEvent, prelude::*};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Add, Counter, Get, connected, until};

#[callboard::test]
async fn an_outage_of_ten_seconds_fails_no_call() -> callboard::Result<()> {
    for size in [2, 4] {
        let store = Embedded::new();
        let mut systems = Vec::new();
        for n in 0..size {
            let (system, line) = connected(&format!("n{n}"), &store).await;
            system.serve("counter", Counter::default).await?;
            systems.push((system, line));
        }
        let name = Name::new("counter")?;
        let mut calls = Vec::new();
        for (system, _) in &systems {
            let seen = async || system.directory().resolve(&name).instances.len() == size;
            until("all are visible", seen).await;
            let (counter, name, system) =
                (system.service::<Counter>("counter"), name.clone(), system.clone());
            calls.push(tokio::task::spawn_local(async move {
                let start = Instant::now();
                while start.elapsed() < Duration::from_secs(40) {
                    counter.ask(Add(1)).timeout(Duration::from_secs(5)).await.expect("an answer");
                    assert_eq!(system.directory().resolve(&name).instances.len(), size);
                    sleep(Duration::from_millis(20)).await;
                }
            }));
        }
        let mut events = systems[0].0.directory().watch(&name);
        sleep(Duration::from_secs(2)).await;
        systems.iter().for_each(|(_, line)| line.freeze());
        sleep(Duration::from_secs(10)).await;
        systems.iter().for_each(|(_, line)| line.thaw());
        sleep(Duration::from_secs(5)).await;
        let view = systems[1].0.directory().resolve(&name);
        assert!(view.suspects.is_empty(), "all are registered again: {:?}", view.suspects);
        for call in calls {
            call.await.expect("no call failed");
        }
        while let Ok(Some(event)) = timeout(Duration::from_millis(100), events.next()).await {
            assert!(!matches!(event, DirectoryEvent::Down { .. }), "{event:?}");
        }
        for (system, _) in systems {
            system.shutdown().await?;
        }
    }
    Ok(())
}

#[callboard::test]
async fn a_system_whose_directory_is_away_ends_all_the_same() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, line) = connected("one", &store).await;
    one.serve("counter", Counter::default).await?;
    one.service::<Counter>("counter").ask(Get).await?;
    line.freeze();
    let start = Instant::now();
    one.shutdown().await.expect_err("it could not say bye");
    assert!(start.elapsed() <= Duration::from_secs(60), "{:?}", start.elapsed());
    Ok(())
}
