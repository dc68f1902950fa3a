// From spawn to the first accepted connection, each time a new process.
import { type Stage, withoutDirect } from './stage.ts';

export const startup: Stage = {
  name: 'startup',
  note: 'From the spawn of the process to the first accepted connection, and the CPU time that this took.',
  metrics: [
    { id: 'startMs', title: 'start to listening', unit: 'ms', better: 'lower' },
    { id: 'startCpuMs', title: 'CPU time until it listens', unit: 'ms', better: 'lower' },
  ],
  rounds: ({ rounds }) => rounds,
  participants: withoutDirect,
  async warmUp({ field }, peer) {
    await (await peer.start(field, 'tls')).stop();
  },
  async measure({ field }, peer) {
    const running = await peer.start(field, 'tls');
    await running.stop();
    return { startMs: running.startMs, startCpuMs: running.startCpuMs };
  },
};
