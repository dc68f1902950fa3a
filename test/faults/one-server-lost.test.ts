// One of three API servers is lost, in every way in which a process or a host can be lost.
import { setTimeout as sleep } from 'node:timers/promises';
import { gapsWithin, holds, noneFailed, slowestWithin } from '../support/faults/bounds.ts';
import { Fairlead } from '../support/faults/fairlead.ts';
import { isGood } from '../support/faults/clients/target.ts';
import { describeFaults } from '../support/faults/suite.ts';
import { runTrial, type Script } from '../support/faults/trial.ts';

const timeoutMs = 120_000;

describeFaults('one API server of three is lost', {}, (lab) => {
  const losing =
    (lose: Script, forMs: number): Script =>
    async (trial) => {
      await sleep(1_000);
      trial.mark('fault');
      await lose(trial);
      await sleep(forMs);
    };

  test(
    'a killed API server loses no new connection and 0.3 s of an established client',
    async () => {
      const script = losing(({ victim }) => lab().kill(victim), 2_500);
      await holds(
        'kill',
        () => runTrial(lab(), new Fairlead(), script),
        (seen) => [
          noneFailed('failed new connections', seen.newConnections),
          slowestWithin(seen.newConnections, 1_000),
          ...gapsWithin(seen, 300),
        ],
      );
    },
    timeoutMs,
  );

  test(
    'a black hole loses no new connection and 2.5 s of an established client',
    async () => {
      const script = losing(({ victim }) => lab().wire.unplug(lab().hostOf(victim)), 5_000);
      await holds(
        'black hole',
        () => runTrial(lab(), new Fairlead(), script),
        (seen) => [
          noneFailed('failed new connections', seen.newConnections),
          slowestWithin(seen.newConnections, 2_500),
          ...gapsWithin(seen, 2_500),
        ],
      );
    },
    timeoutMs,
  );

  test(
    'a host whose link is down loses no new connection and 2.5 s of an established client',
    async () => {
      const script = losing(({ victim }) => lab().wire.linkDown(lab().hostOf(victim)), 5_000);
      await holds(
        'link down',
        () => runTrial(lab(), new Fairlead(), script),
        (seen) => [
          noneFailed('failed new connections', seen.newConnections),
          slowestWithin(seen.newConnections, 2_500),
          ...gapsWithin(seen, 2_500),
        ],
      );
    },
    timeoutMs,
  );

  test(
    'a frozen API server loses no new connection and 2.5 s of an established client',
    async () => {
      const script = losing(({ victim }) => victim.freeze(), 5_000);
      await holds(
        'freeze',
        () => runTrial(lab(), new Fairlead(), script),
        (seen) => [
          noneFailed('failed new connections', seen.newConnections),
          slowestWithin(seen.newConnections, 2_500),
          ...gapsWithin(seen, 2_500),
        ],
      );
    },
    timeoutMs,
  );

  test(
    'an API server that has lost etcd gets no new connection later than 2.5 s after its readyz turned 500',
    async () => {
      const loseEtcd = losing(
        // TCP and TLS work as before, reads hang, readyz says so.
        ({ victim }) =>
          victim.misbehave({ failReadyz: ['etcd', 'etcd-readiness'], delaysMs: { '/api': 60_000 } }),
        5_500,
      );
      const load = { path: '/api/v1/namespaces/default', newTimeoutMs: 4_000 };
      await holds(
        'unready',
        () => runTrial(lab(), new Fairlead(), loseEtcd, { load }),
        (seen) => {
          const { fault = 0 } = seen.marks;
          const late = seen.newConnections.filter(({ askedMs }) => askedMs > fault + 2_500);
          expect(late.filter(isGood).length).toBeGreaterThan(20);
          return [
            noneFailed('failed new connections after 2.5 s', late),
            noneFailed(
              'failed before the fault',
              seen.newConnections.filter(({ doneMs }) => doneMs < fault),
            ),
          ];
        },
      );
    },
    timeoutMs,
  );
});
