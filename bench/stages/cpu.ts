// CPU time that a peer's processes spend while something else runs.
import type { RunningPeer } from '../peers/peer.ts';
import { cpuSeconds } from '../usage.ts';

/** `seconds` is undefined where there is no process in the way. */
export async function withCpu<T>(
  { pid }: RunningPeer,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly seconds: number | undefined }> {
  if (pid === undefined) return { result: await work(), seconds: undefined };
  const before = await cpuSeconds(pid);
  const result = await work();
  return { result, seconds: (await cpuSeconds(pid)) - before };
}
