use super::{
    Case, LogFactory, case, ensure_eq,
    stage::{Stage, Verdict, bytes, end, handled, mark, step},
};
use crate::log::{
    BuryRequest, EntryId, Fence, LogError, Owner, Ownership, PostponeRequest, StreamName, Totals,
};

pub(super) const CASES: &[Case] =
    &[case!(a_fence_only_rises), case!(fence_raised_under_a_reader_makes_it_stale)];

fn holder(epoch: u64, owner: &str) -> Owner {
    Owner::Fence { epoch, owner: owner.into() }
}

async fn a_fence_only_rises(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let refused = |epoch, owner: &str| Fence::Refused { epoch, owner: owner.into() };
    for (epoch, owner, expected) in [
        (3, "a", Fence::Raised),
        (3, "a", Fence::Raised),
        (3, "b", refused(3, "a")),
        (2, "a", refused(3, "a")),
        (2, "b", refused(3, "a")),
        (10, "b", Fence::Raised),
        (9, "a", refused(10, "b")),
        // Epochs are whole numbers of 64 bits, also where numbers lose their last digits.
        ((1 << 53) + 1, "c", Fence::Raised),
        (1 << 53, "c", refused((1 << 53) + 1, "c")),
        ((1 << 53) + 2, "d", Fence::Raised),
    ] {
        let fence = stage.log.fence(&stream, epoch, owner).await?;
        ensure_eq!(fence, expected, "epoch {epoch} of {owner}");
    }
    let fence = stage.info(&stream).await?.fence;
    ensure_eq!(fence, Some(((1 << 53) + 2, "d".to_owned())), "the fence that stands");
    let other = stage.log.fence(&stage.service("others"), 1, "a").await?;
    ensure_eq!(other, Fence::Raised, "the fence of another stream");
    Ok(())
}

async fn fence_raised_under_a_reader_makes_it_stale(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let (old, new) = (holder(1, "a"), holder(2, "b"));
    let first = stage.put(&stream, 1, 4).await?;
    let second = stage.put(&stream, 5, 1).await?;
    ensure_eq!(all(&stage, &stream, &old, first).await?, [Ownership::OwnedByOther; 4], "no fence");
    stage.log.fence(&stream, 1, "a").await?;
    let stepped = stage.progress(&stream, &old, step(first, 4, &[0])).await?;
    ensure_eq!(stepped, Ownership::Done, "progress of the holder");
    ensure_eq!(stage.settle(&stream, &old, second, 1).await?, Ownership::Done, "its settle");
    let again = stage.settle(&stream, &old, second, 1).await?;
    ensure_eq!(again, Ownership::NotPending, "its settle again");
    stage.log.fence(&stream, 2, "b").await?;
    for stale in [&old, &holder(1, "b"), &holder(2, "a"), &holder(3, "b")] {
        let answers = all(&stage, &stream, stale, first).await?;
        ensure_eq!(answers, [Ownership::OwnedByOther; 4], "{stale:?} after the fence rose");
    }
    let info = stage.check_accounting(&stream).await?;
    let counted = info.accounting;
    ensure_eq!((counted.handled, counted.held, info.dead_letters), (2, 3, 0), "what it changed");
    let answers = all(&stage, &stream, &new, first).await?;
    let expected = [Ownership::Done, Ownership::Done, Ownership::Done, Ownership::Disagrees];
    ensure_eq!(answers, expected, "the new holder (whose end leaves out what it moved)");
    let totals = Totals { handled: 2, dead: 1, delayed: 1, ..Totals::default() };
    let ended = stage.settle_as(&stream, &new, end(first, 4, totals)).await?;
    ensure_eq!(ended, Ownership::Done, "its end");
    stage.check_accounting(&stream).await?;
    Ok(())
}

/// Progress, bury, postpone and settle by this owner.
async fn all(
    stage: &Stage,
    stream: &StreamName,
    owner: &Owner,
    id: EntryId,
) -> Result<[Ownership; 4], LogError> {
    let letter = bytes("letter");
    let bury = BuryRequest { mark: mark(id, 2, 4), letter: letter.clone(), into: None };
    let postpone = PostponeRequest { mark: mark(id, 3, 4), frame: letter, due_ms: u64::MAX >> 12 };
    Ok([
        stage.log.progress(stream, owner, &[step(id, 4, &[0, 1])]).await?[0],
        stage.log.bury(stream, owner, bury).await?,
        stage.log.postpone(stream, owner, postpone).await?,
        stage.log.settle(stream, owner, &[end(id, 4, handled(4))]).await?[0],
    ])
}
