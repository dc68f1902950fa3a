// The lab's processes go before everything else on the machine: what a fault test times is the product, not the
// neighbours' compilers. Our own use of the CPU is small. Not allowed to: no harm, there is still the control (stalls.ts).
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

const nice = -10;

/** With autogroups the kernel shares by session first, and looks at nice values inside one only (sched(7)). */
function setNice(value: number): void {
  try {
    setPriority(value);
    writeFileSync('/proc/self/autogroup', String(value));
  } catch {
    // No such right, or a kernel without autogroups.
  }
}

/** Raises this process, and whatever it starts from now on; the returned function takes it back. */
export function takePriority(): () => void {
  setNice(nice);
  return () => setNice(0);
}
