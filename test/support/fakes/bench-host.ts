// The host of a bench result that was never run.
import type { HostFacts } from '../../../bench/host.ts';

export const benchHost: HostFacts = {
  date: '2026-01-01T00:00:00.000Z',
  host: 'h',
  cpu: 'CPU',
  cpuCount: 2,
  memoryGiB: 4,
  kernel: '6',
  distribution: 'Debian',
  node: 'v26',
  commit: 'abc',
  isDirty: false,
  loadAverage: 0.5,
  versions: { haproxy: '2.6' },
};
