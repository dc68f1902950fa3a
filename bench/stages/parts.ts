// What each part of the agent costs: the same agent with parts switched on one after the other.
import { setTimeout as sleep } from 'node:timers/promises';
import { allParts, fairleadWith } from '../peers/fairlead.ts';
import { datapath, pipe } from '../peers/yardsticks.ts';
import { cpuSeconds, memory } from '../usage.ts';
import type { Stage } from './stage.ts';

const nothing = { hasWatch: false, hasHttpsCheck: false, hasAdmin: false, isScraped: false };

const variants = [
  pipe,
  datapath,
  fairleadWith('relay only', nothing),
  fairleadWith('+ HTTPS checks', { ...nothing, hasHttpsCheck: true }),
  fairleadWith('+ admin server', { ...nothing, hasHttpsCheck: true, hasAdmin: true }),
  fairleadWith('+ scrape each 1 s', { ...allParts, hasWatch: false }),
  fairleadWith('+ watch (all)', allParts),
];

export const parts: Stage = {
  name: 'parts',
  note:
    'Idle processes. "pipe" is a relay of twenty lines on the same Node, "datapath" our relay alone. The others are ' +
    'Fairlead, each column with one part more than the one before, from a static list with TCP checks on.',
  metrics: [
    { id: 'startMs', title: 'start to listening', unit: 'ms', better: 'lower' },
    { id: 'idleCpuPercent', title: 'idle CPU', unit: '% of a CPU', better: 'lower' },
    { id: 'rss', title: 'resident', unit: 'MiB', better: 'lower' },
    { id: 'anon', title: 'anonymous', unit: 'MiB', better: 'lower' },
  ],
  rounds: ({ rounds }) => Math.min(rounds, 3),
  participants: (peers) => (peers.some(({ name }) => name === 'fairlead') ? variants : []),
  async measure({ field, sizes }, peer) {
    const running = await peer.start(field, 'tls');
    try {
      if (running.pid === undefined) return {};
      await sleep(sizes.settleMs);
      const before = await cpuSeconds(running.pid);
      await sleep(sizes.partsSeconds * 1_000);
      const spent = (await cpuSeconds(running.pid)) - before;
      const { rssMiB, anonymousMiB } = await memory(running.pid);
      return {
        startMs: running.startMs,
        idleCpuPercent: (spent / sizes.partsSeconds) * 100,
        rss: rssMiB,
        anon: anonymousMiB,
      };
    } finally {
      await running.stop();
    }
  },
};
