// Nothing of the control plane is well: etcd is away, every API server is down, or the node itself is cut off.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { rendezvousOrder } from '../../src/balance/pick-order.ts';
import { encodeCache } from '../../src/discovery/cache-format.ts';
import { makeEndpoint } from '../../src/model/endpoint.ts';
import { eventually } from '../support/jest/eventually.ts';
import {
  counted,
  firstSuccessWithin,
  holds,
  noneFailed,
  nothingClosed,
  slowestWithin,
} from '../support/faults/bounds.ts';
import { isGood } from '../support/faults/clients/target.ts';
import { Fairlead, type RunningFairlead } from '../support/faults/fairlead.ts';
import type { Inspection } from '../support/faults/inspector.ts';
import * as scenarios from '../support/faults/scenarios.ts';
import { describeFaults } from '../support/faults/suite.ts';
import { type Footprint, runTrial, type Script } from '../support/faults/trial.ts';

const timeoutMs = 180_000;
type FairleadScript = Script<RunningFairlead>;

describeFaults('the whole control plane is in trouble', {}, (lab) => {
  test(
    'etcd lost and back, with API servers that recover one after the other, closes no tunnel',
    () => {
      const script: FairleadScript = async ({ subject, mark }) => {
        const verdicts = async () => (await subject.status()).endpoints.map(({ verdict }) => verdict);
        await sleep(1_000);
        mark('fault');
        lab().plane.storeProcess.signal('SIGSTOP');
        await eventually('every endpoint is unready', async () =>
          (await verdicts()).every((verdict) => verdict === 'unready'),
        );
        mark('unready');
        await sleep(3_000);
        for (const server of lab().servers) await server.misbehave({ failReadyz: ['etcd'] });
        lab().plane.storeProcess.signal('SIGCONT');
        for (const server of lab().servers) {
          await server.misbehave({ failReadyz: [] });
          await sleep(2_000);
        }
        mark('back');
        await eventually('every endpoint is ready', async () =>
          (await verdicts()).every((verdict) => verdict === 'ready'),
        );
        await sleep(1_000);
      };
      return holds(
        'etcd lost and back',
        () => runTrial(lab(), new Fairlead(), script),
        (seen) => [
          noneFailed('failed new connections', seen.newConnections),
          slowestWithin(seen.newConnections, 2_500),
          ...nothingClosed(seen),
        ],
      );
    },
    timeoutMs,
  );

  test(
    'with every API server down clients are reset within about 2 s, 1,000 of them leave nothing behind, and the first to come back serves within 1 s',
    () => {
      const prints: Record<string, Inspection & Footprint> = {};
      const script: FairleadScript = async ({ subject, mark, footprint }) => {
        // Descriptors first: an inspection stops the agent, and right after it has all who came meanwhile.
        const look = async () => {
          const print = footprint();
          return { ...(await subject.inspect()), ...print };
        };
        await sleep(1_000);
        prints.before = await look();
        const [first, second, third] = lab().servers;
        if (!first || !second || !third) throw new Error('three API servers');
        mark('fault');
        await Promise.all([lab().kill(first), lab().kill(second), lab().wire.unplug(lab().hostOf(third))]);
        mark('down');
        await sleep(8_000);
        mark('earlyLook');
        prints.early = await look();
        mark('earlyLooked');
        await sleep(12_000);
        mark('lateLook');
        prints.late = await look();
        await lab().startServer(second);
        mark('back');
        await sleep(4_000);
        await eventually('the clients of the outage are gone', async () => {
          const { tunnels } = await subject.status();
          return tunnels.active < 20;
        });
        prints.after = await look();
      };
      const load = { newEveryMs: 20 };
      return holds(
        'all down for 20 s',
        () => runTrial(lab(), new Fairlead({ isInspectable: true }), script, { load }),
        (seen) => {
          const { down = 0, back = 0 } = seen.marks;
          const { before, early, late, after } = prints;
          if (!before || !early || !late || !after) throw new Error('no footprints');
          const detail = JSON.stringify(prints);
          // A look stops the agent for half a second: whoever came then has an excuse.
          const { earlyLook = 0, earlyLooked = 0, lateLook = 0 } = seen.marks;
          const during = seen.newConnections.filter(
            ({ askedMs, doneMs }) =>
              (askedMs > down && doneMs < earlyLook) || (askedMs > earlyLooked && doneMs < lateLook),
          );
          expect(during.length).toBeGreaterThan(500);
          expect(during.filter(isGood)).toEqual([]);
          const later = seen.newConnections.filter(({ askedMs }) => askedMs > back + 1_000);
          return [
            slowestWithin(during, 3_000),
            firstSuccessWithin(seen, back, 1_000),
            noneFailed('failed 1 s after the return', later),
            counted(seen, 'descriptors gained', late.descriptors - early.descriptors, 60, detail),
            counted(seen, 'descriptors left over', after.descriptors - before.descriptors, 12, detail),
            counted(seen, 'timers gained', late.timers - early.timers, 60, detail),
            counted(seen, 'timers left over', after.timers - before.timers, 12, detail),
            counted(seen, 'sockets left over', after.sockets - before.sockets, 12, detail),
            counted(seen, 'live heap gained (MB)', late.liveHeapMb - early.liveHeapMb, 1, detail),
          ];
        },
      );
    },
    timeoutMs,
  );

  test(
    "the node's own network down for 8 s closes no tunnel",
    () =>
      holds(
        'own network down',
        () => runTrial(lab(), new Fairlead(), scenarios.ownNetworkDown.script),
        (seen) => {
          const { back = 0 } = seen.marks;
          const later = seen.newConnections.filter(({ askedMs }) => askedMs > back + 1_000);
          return [
            ...nothingClosed(seen),
            slowestWithin(seen.newConnections, 3_000),
            firstSuccessWithin(seen, back, 1_000),
            noneFailed('failed 1 s after the return', later),
          ];
        },
      ),
    timeoutMs,
  );

  test(
    'a start from the cache with two of three dead loses no new connection',
    () => {
      const script: Script = () => sleep(2_000);
      const beforeStart = async ({
        directory,
        endpoints,
      }: {
        directory: string;
        endpoints: readonly string[];
      }) => {
        const order = rendezvousOrder('node-1', endpoints);
        const [first, second] = order.map((id) => lab().servers.find(({ address }) => address === id));
        if (!first || !second) throw new Error('the servers are the endpoints');
        await lab().wire.unplug(lab().hostOf(first));
        await second.freeze();
        const cache = {
          endpoints: lab().servers.map(({ host, port }) => ({
            endpoint: makeEndpoint(host, port),
            origin: 'watch' as const,
          })),
          lastPick: first.address,
        };
        await writeFile(join(directory, 'endpoints.json'), encodeCache(cache));
        return {};
      };
      const run = () =>
        runTrial(lab(), new Fairlead({ endpoints: [] }), script, { startsEarly: true, beforeStart });
      return holds('cold start', run, (seen) => {
        const accepted = seen.newConnections.filter(({ error }) => error !== 'ECONNREFUSED');
        const { length } = seen.newConnections;
        // Some came before the agent listened; they saw the moment at which it began to.
        expect(accepted.length).toBeLessThan(length);
        return [noneFailed('failed new connections', accepted), slowestWithin(accepted, 2_500)];
      });
    },
    timeoutMs,
  );
});
