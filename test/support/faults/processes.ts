// What /proc says of processes.
import { readdirSync, readFileSync } from 'node:fs';

/** Milliseconds that the main thread was ready to run and had no CPU, so far; undefined when it is gone. */
export function waitedForCpuMs(pid: number): number | undefined {
  try {
    // "time on the CPU, time on the run queue, time slices", in nanoseconds (Documentation/scheduler/sched-stats.rst).
    const [, waitedNs = '0'] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ');
    return Number(waitedNs) / 1e6;
  } catch {
    return undefined;
  }
}

/** Anonymous resident memory (MB): most of the rest is the mapped binary. */
export function anonymousMb(pid: number): number {
  const kb = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1024;
}

export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
