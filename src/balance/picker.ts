// Which endpoints a new client connection tries, best first, by the configured policy. Called once per
// connection: it allocates at most one small array.
import type { TrafficReader } from '../model/outcome.ts';
import type { JudgedEndpoint, Picker, Snapshot, SnapshotSource } from '../model/snapshot.ts';

export type BalancePolicy = 'rendezvous' | 'least-connections' | 'round-robin';

/**
 * The policy orders the usable endpoints of the best class, favoured ones if there are any, else those of the best
 * tier; all others keep the snapshot's order.
 */
function bestCount({ endpoints, usableCount }: Snapshot): number {
  const [first] = endpoints;
  const isOfClass = (judged: JudgedEndpoint | undefined) =>
    judged?.isFavoured === first?.isFavoured &&
    judged?.isUnverified === first?.isUnverified &&
    judged?.demotedFor === first?.demotedFor &&
    judged?.endpoint.tier === first?.endpoint.tier;
  let count = 0;
  while (count < usableCount && isOfClass(endpoints[count])) count += 1;
  return count;
}

export function makePicker(policy: BalancePolicy, snapshots: SnapshotSource, traffic: TrafficReader): Picker {
  if (policy === 'rendezvous') return () => snapshots.current;
  if (policy === 'round-robin') {
    let turn = 0;
    return () => {
      const snapshot = snapshots.current;
      const count = bestCount(snapshot);
      if (count < 2) return snapshot;
      turn = (turn + 1) % count;
      const { candidates, usableCount } = snapshot;
      const rotated = [
        ...candidates.slice(turn, count),
        ...candidates.slice(0, turn),
        ...candidates.slice(count),
      ];
      return { candidates: rotated, usableCount };
    };
  }
  return () => {
    const snapshot = snapshots.current;
    const count = bestCount(snapshot);
    if (count < 2) return snapshot;
    const { candidates, usableCount } = snapshot;
    // Array.sort is stable: among equals the node's own order holds.
    const best = candidates
      .slice(0, count)
      .sort((a, b) => traffic.traffic(a.id).activeTunnels - traffic.traffic(b.id).activeTunnels);
    return { candidates: [...best, ...candidates.slice(count)], usableCount };
  };
}
