// Carries clients on bare handles once Node has passed the check; those of the first milliseconds are carried the ordinary way.
// A check that failed for want of something that may come (loopback is not up yet, no descriptor was free) is repeated.
import type { Logger } from 'pino';
import { grownMs } from '../lib/backoff.ts';
import { socketFailure } from '../lib/errno.ts';
import type { Clock, Timer } from '../model/clock.ts';
import type { FoundHandles, NodeHandles } from '../passthrough/socket/node-handles.ts';

/** One check is a connection over loopback, and some milliseconds of CPU time. */
const backoff = { firstMs: 5_000, capMs: 300_000 };

export interface UseHandlesDeps {
  readonly clock: Pick<Clock, 'schedule'>;
  readonly log: Pick<Logger, 'info' | 'debug'>;
  /** Never rejects. */
  check(): Promise<FoundHandles>;
  use(handles: NodeHandles): void;
}

/** Begins to check; nothing happens after the function that is returned has been called. */
export function useHandles({ clock, log, check, use }: UseHandlesDeps): () => void {
  const node = process.version;
  let isStopped = false;
  let timer: Timer | undefined;
  const run = async (failures: number): Promise<void> => {
    const found = await check();
    if (isStopped) return;
    if (found.ok) {
      use(found.value);
      log[failures > 0 ? 'info' : 'debug']({ node }, 'using bare TCP handles');
      return;
    }
    const { problem, code } = found;
    const failure = socketFailure(code);
    const isRepeated = failure !== undefined && failure !== 'reset';
    if (failures === 0)
      log.info({ node, problem, isRepeated }, 'not using bare TCP handles: connections cost more CPU time');
    if (isRepeated) timer = clock.schedule(grownMs(failures + 1, backoff), () => void run(failures + 1));
  };
  void run(0);
  return () => {
    isStopped = true;
    timer?.cancel();
  };
}
