// The agent and its clients are in trouble themselves: clients that vanish by the thousand, an agent that stands still.
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/jest/eventually.ts';
import { counted, holds, noNewFailed, nothingClosed } from '../support/faults/bounds.ts';
import { Fairlead, type RunningFairlead } from '../support/faults/fairlead.ts';
import { describeFaults } from '../support/faults/suite.ts';
import { type Footprint, runTrial, type Script } from '../support/faults/trial.ts';

const timeoutMs = 180_000;
type FairleadScript = Script<RunningFairlead>;

describeFaults('the agent and its clients', {}, (lab) => {
  test(
    '1,000 clients that are killed leave no socket behind, on either side',
    () => {
      const crowdSize = 1_000;
      const prints: Record<string, Footprint> = {};
      let tunnelsBefore = 0;
      let tunnelsWith = 0;
      let tunnelsAfter = 0;
      let serverBefore = 0;
      let serverAfter = 0;
      const script: FairleadScript = async ({ subject, victim, footprint, mark }) => {
        const tunnels = async () => (await subject.status()).tunnels.active;
        const atServer = async () => (await victim.stats()).connectionsOpen;
        await sleep(1_000);
        prints.before = footprint();
        tunnelsBefore = await tunnels();
        serverBefore = await atServer();
        const crowd = await lab().startClients();
        try {
          await crowd.do({ op: 'target', target: lab().target() });
          const handle = await crowd.do({ op: 'start-crowd' });
          const open = await crowd.do({ op: 'grow-crowd', handle, count: crowdSize });
          expect(open).toBe(crowdSize);
          tunnelsWith = await tunnels();
          prints.with = footprint();
        } finally {
          mark('fault');
          await crowd.kill();
        }
        await eventually('the tunnels of the killed are gone', async () => (await tunnels()) < 100, 10_000);
        mark('gone');
        await sleep(1_000);
        tunnelsAfter = await tunnels();
        serverAfter = await atServer();
        prints.after = footprint();
      };
      return holds(
        '1,000 clients killed',
        () => runTrial(lab(), new Fairlead(), script),
        (seen) => {
          const { before, after } = prints;
          if (!before || !after) throw new Error('no footprints');
          expect(tunnelsWith).toBeGreaterThanOrEqual(crowdSize);
          const detail = JSON.stringify(prints);
          // New connections come and go all the time: a few more or less.
          return [
            noNewFailed(seen),
            ...nothingClosed(seen),
            counted(seen, 'tunnels left', tunnelsAfter - tunnelsBefore, 4),
            counted(seen, 'connections left at the API server', serverAfter - serverBefore, 6),
            counted(seen, 'descriptors left', after.descriptors - before.descriptors, 8, detail),
          ];
        },
      );
    },
    timeoutMs,
  );

  test(
    'an agent that is stopped for 5 s judges nobody and closes nothing',
    () => {
      let judged: string[] = [];
      const script: FairleadScript = async ({ subject, victim, mark }) => {
        await sleep(1_000);
        // Stopped with a probe under way, whose deadline and answer are both there when it goes on.
        await victim.misbehave({ delaysMs: { '/readyz': 150 } });
        const probes = async () => (await victim.stats()).requestsByPath['/readyz'] ?? 0;
        const before = await probes();
        await eventually('a probe is under way', async () => (await probes()) > before);
        const from = subject.log.length;
        mark('fault');
        subject.signal('SIGSTOP');
        await sleep(5_000);
        subject.signal('SIGCONT');
        mark('struck');
        await sleep(4_000);
        judged = subject.log.slice(from).filter((line) => line.includes('"verdict"'));
      };
      return holds(
        'agent stopped for 5 s',
        () => runTrial(lab(), new Fairlead(), script),
        (seen) => {
          const { struck = 0 } = seen.marks;
          const waited = seen.newConnections.filter(
            ({ askedMs, doneMs }) => askedMs < struck && doneMs > struck,
          );
          // The clients that came meanwhile waited in the kernel's queue.
          expect(waited.length).toBeGreaterThan(50);
          const bad = seen.newConnections.filter(({ error }) => error !== undefined);
          return [
            counted(seen, 'failed new connections', bad.length, 0, JSON.stringify(bad.slice(0, 5))),
            ...nothingClosed(seen),
            counted(seen, 'changes of verdict', judged.length, 0, judged.join('\n')),
          ];
        },
      );
    },
    timeoutMs,
  );
});
