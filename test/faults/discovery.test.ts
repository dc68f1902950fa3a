// API servers are added and removed while clients are served; nobody configures anything.
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/jest/eventually.ts';
import { holds, noNewFailed, noQuestionFailed } from '../support/faults/bounds.ts';
import { Fairlead, type RunningFairlead } from '../support/faults/fairlead.ts';
import { describeFaults } from '../support/faults/suite.ts';
import { runTrial, type Script } from '../support/faults/trial.ts';

const timeoutMs = 180_000;

describeFaults('the control plane changes', { timings: { drainMs: 3_000 } }, (lab) => {
  test(
    'an API server that joins is used, one that leaves is not, and no request fails',
    () => {
      const [first, second, third] = lab().servers;
      if (!first || !second || !third) throw new Error('three API servers');
      const servedBy = new Map<string, Set<string | undefined>>();
      const script: Script<RunningFairlead> = async ({ subject, latestNew, mark }) => {
        const endpoint = async (id: string) =>
          (await subject.status()).endpoints.find((candidate) => candidate.id === id);
        const note = async (when: string) => {
          await sleep(1_000);
          servedBy.set(when, new Set((await latestNew(10)).map(({ server }) => server)));
        };
        mark('fault');
        // Only the first is configured; the second is found.
        await eventually('the second is found', async () => {
          return (await endpoint(second.address))?.verdict === 'ready';
        });
        await lab().startServer(third);
        await eventually('the third is found', async () => {
          return (await endpoint(third.address))?.verdict === 'ready';
        });
        await lab().terminate(first, { delayMs: 1_000 });
        await eventually('the first has left', async () => (await endpoint(first.address))?.tier === 'seed');
        await note('without the first');
        await lab().terminate(second, { delayMs: 1_000 });
        await eventually(
          'the second has left',
          async () => (await endpoint(second.address))?.tier === 'remembered',
        );
        await note('only the third');
      };
      const beforeStart = async () => {
        await lab().terminate(third, { delayMs: 0 });
        return {};
      };
      const run = () =>
        runTrial(lab(), new Fairlead({ endpoints: [first.address] }), script, { beforeStart });
      return holds('joins and leaves', run, (seen) => {
        expect(servedBy.get('without the first')).not.toContain(first.name);
        expect([...(servedBy.get('only the third') ?? [])]).toEqual([third.name]);
        return [noNewFailed(seen), noQuestionFailed(seen)];
      });
    },
    timeoutMs,
  );
});
