// API servers that the cluster no longer lists serve again when the last listed one is gone. kube-apiserver's own
// timing: a lease of 15 s, looked at every 10 s.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { realisticTimings } from '../support/apiserver/timings.ts';
import { eventually } from '../support/jest/eventually.ts';
import { monotonicMs } from '../support/faults/clients/monotonic.ts';
import { isGood } from '../support/faults/clients/target.ts';
import { Fairlead, type RunningFairlead } from '../support/faults/fairlead.ts';
import { StallWatch } from '../support/faults/stalls.ts';
import type { SubjectPlace } from '../support/faults/subject.ts';
import { describeFaults } from '../support/faults/suite.ts';

const timeoutMs = 240_000;
const { silentMs, forbiddenMs, hooksMs, registerMs } = realisticTimings;

describeFaults(
  'API servers that the cluster no longer lists',
  { timings: { silentMs, forbiddenMs, hooksMs, registerMs } },
  (lab) => {
    test(
      'two die, the third dies 20 s later, the two come back: they serve at once, after a restart and a reboot too',
      async () => {
        const [first, second, third] = lab().servers;
        if (!first || !second || !third) throw new Error('three API servers');
        const clients = await lab().startClients();
        // Three agents of one node, so that the slow part is waited for once.
        const nodes = await Promise.all(
          ['127.0.0.2', '127.0.0.3', '127.0.0.4'].map(async (host) => {
            const place = await lab().place(clients, { host });
            const fairlead = new Fairlead({ endpoints: [third.address] });
            return { host, place: place as SubjectPlace, remove: place.remove, fairlead };
          }),
        );
        const agents: RunningFairlead[] = [];
        const stalls = new StallWatch(() => [clients.pid, ...lab().pids(), ...agents.map(({ pid }) => pid)]);
        const handles: number[] = [];
        const tiers = async (agent: RunningFairlead): Promise<string[]> => {
          const { endpoints } = await agent.status();
          return endpoints.map(({ tier, verdict }) => `${tier} ${verdict}`).sort();
        };
        const directories: string[] = [];
        try {
          for (const { fairlead, place, host } of nodes) {
            agents.push(await fairlead.start(place));
            await clients.do({ op: 'target', target: { ...lab().target(), host } });
            const options = { everyMs: 100, path: '/version', timeoutMs: 10_000 };
            handles.push(await clients.do({ op: 'start-new', options }));
          }
          for (const agent of agents) {
            await eventually('all three are found', async () => {
              const seen = await tiers(agent);
              return seen.length === 3 && seen.every((one) => one === 'discovered ready');
            });
          }
          // Longer than the cache waits for further changes.
          await sleep(2_500);
          await Promise.all([lab().kill(first), lab().kill(second)]);
          const deadMs = monotonicMs();
          for (const agent of agents) {
            await eventually(
              'the dead have left the list',
              async () => (await tiers(agent)).filter((one) => one.startsWith('remembered')).length === 2,
              40_000,
            );
          }
          await sleep(Math.max(2_500, 20_000 - (monotonicMs() - deadMs)));
          await lab().kill(third);
          await sleep(2_000);

          const [, restarted, rebooted] = nodes;
          const [, oldRestarted, oldRebooted] = agents;
          if (!restarted || !rebooted || !oldRestarted || !oldRebooted) throw new Error('three nodes');
          oldRestarted.signal('SIGTERM');
          await eventually('the agent has stopped', () => !oldRestarted.isRunning, 40_000);
          agents[1] = await restarted.fairlead.start(restarted.place);
          // A reboot: nothing is left but the directory of the cache.
          await oldRebooted.stop();
          const directory = await mkdtemp(join(tmpdir(), 'fairlead-fault-'));
          directories.push(directory);
          await cp(rebooted.place.directory, directory, { recursive: true });

          await Promise.all([lab().startServer(first), lab().startServer(second)]);
          await Promise.race([first.ready(), second.ready()]);
          const readyMs = monotonicMs();
          await Promise.all([first.ready(), second.ready()]);
          const bootMs = monotonicMs();
          agents[2] = await rebooted.fairlead.start({ ...rebooted.place, directory });
          await sleep(4_000);

          const firstGood = async (index: number, sinceMs: number): Promise<number> => {
            const calls = await clients.do({ op: 'peek-new', handle: handles[index] ?? -1, last: 1_000 });
            const good = calls.filter((call) => isGood(call) && call.doneMs > sinceMs);
            return Math.round(Math.min(...good.map(({ doneMs }) => doneMs)) - sinceMs);
          };
          const measured = {
            plain: await firstGood(0, readyMs),
            restarted: await firstGood(1, readyMs),
            rebooted: await firstGood(2, bootMs),
            stalledMs: stalls.between(readyMs, monotonicMs()),
          };
          process.stdout.write(`  first success after the return (ms): ${JSON.stringify(measured)}\n`);
          const excuseMs = measured.stalledMs;
          const detail = () =>
            JSON.stringify({ measured, logs: agents.map(({ log }) => log.slice(-20)) }, null, 1);
          if (
            measured.plain > 1_000 + excuseMs ||
            measured.restarted > 1_000 + excuseMs ||
            measured.rebooted > 3_000 + excuseMs
          )
            throw new Error(`the returning API servers served too late: ${detail()}`);
        } finally {
          stalls.stop();
          for (const agent of agents) await agent.stop();
          await clients.kill();
          for (const { remove } of nodes) await remove();
          for (const directory of directories) await rm(directory, { recursive: true, force: true });
          await lab().heal();
        }
      },
      timeoutMs,
    );
  },
);
