// CPU time and memory of a process and its children, as Linux counts them.
import { readdir, readFile } from 'node:fs/promises';

export interface Memory {
  /** Resident, with the pages of mapped files; shared pages count once for each process. */
  readonly rssMiB: number;
  /** Resident and anonymous: heap and stacks, the honest figure where a big binary is mapped. */
  readonly anonymousMiB: number;
  /** Resident, each shared page divided by the number of those who map it. */
  readonly pssMiB: number;
}

async function readOrEmpty(path: string): Promise<string> {
  // A process or thread may end between listing and reading it.
  return readFile(path, 'utf8').catch(() => '');
}

/** `pid` and all its descendants that live now. */
export async function processTree(pid: number): Promise<readonly number[]> {
  const tree = [pid];
  for (const parent of tree) {
    for (const thread of await readdir(`/proc/${parent}/task`).catch(() => [])) {
      const children = await readOrEmpty(`/proc/${parent}/task/${thread}/children`);
      tree.push(...children.split(' ').filter(Boolean).map(Number));
    }
  }
  return tree;
}

/** User and system time from /proc/PID/stat, in clock ticks of 10 ms; undefined when the process is gone. */
function statSeconds(stat: string): number | undefined {
  // The command name may hold spaces and parentheses: fields are counted from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [fields[11], fields[12]];
  return user === undefined || system === undefined ? undefined : (Number(user) + Number(system)) / 100;
}

/**
 * CPU seconds of the tree so far. /proc/PID/task/TID/schedstat counts nanoseconds, where the kernel has
 * it; /proc/PID/stat only ticks of 10 ms, but also those of threads that have ended.
 */
export async function cpuSeconds(pid: number): Promise<number> {
  let total = 0;
  for (const member of await processTree(pid)) {
    let nanoseconds = 0;
    for (const thread of await readdir(`/proc/${member}/task`).catch(() => [])) {
      nanoseconds += Number(
        (await readOrEmpty(`/proc/${member}/task/${thread}/schedstat`)).split(' ')[0] ?? 0,
      );
    }
    const ticked = statSeconds(await readOrEmpty(`/proc/${member}/stat`)) ?? 0;
    // Ended threads leave the tick count more than a rounding error ahead.
    total += nanoseconds === 0 || ticked - nanoseconds / 1e9 > 0.05 ? ticked : nanoseconds / 1e9;
  }
  return total;
}

function field(text: string, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text);
  return match ? Number(match[1]) / 1024 : 0;
}

export async function memory(pid: number): Promise<Memory> {
  let rssMiB = 0;
  let anonymousMiB = 0;
  let pssMiB = 0;
  for (const member of await processTree(pid)) {
    const status = await readOrEmpty(`/proc/${member}/status`);
    rssMiB += field(status, 'VmRSS');
    anonymousMiB += field(status, 'RssAnon');
    pssMiB += field(await readOrEmpty(`/proc/${member}/smaps_rollup`), 'Pss');
  }
  return { rssMiB, anonymousMiB, pssMiB };
}
