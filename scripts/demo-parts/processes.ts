// What the system says of a process: read from /proc, so that the demo shows what is, also when someone
// kills or freezes a process by hand.
import { readFileSync } from 'node:fs';

export type ProcessState = 'running' | 'frozen' | 'gone';

export function processState(pid: number | undefined): ProcessState {
  if (pid === undefined) return 'gone';
  try {
    // The name in brackets may hold anything, the state is the first letter behind it (proc_pid_stat(5)).
    const letter = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] ?? 'X';
    if (letter === 'T' || letter === 't') return 'frozen';
    return letter === 'Z' || letter === 'X' ? 'gone' : 'running';
  } catch {
    return 'gone';
  }
}
