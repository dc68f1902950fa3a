// The EndpointSlices of the control plane as a source: what the watch hears, read and proposed.
import type { Logger } from 'pino';
import { SliceWatch } from '../kubernetes/slice-watch.ts';
import type { SliceWatchOptions, SliceWatchState } from '../kubernetes/slice-watch-options.ts';
import { RateLimitedLog } from '../lib/rate-limited-log.ts';
import { TokenBucket } from '../lib/token-bucket.ts';
import type { Timer } from '../model/clock.ts';
import { isLoopback } from '../model/host.ts';
import { SliceSet } from './endpointslices.ts';
import type { Propose, Source } from './source.ts';

export interface WatchSource extends Source {
  readonly state: SliceWatchState;
  kick(): void;
}

export interface WatchSourceOptions extends Omit<SliceWatchOptions, 'sink'> {
  /** Which port of the slices is the API server's. */
  readonly portName: string;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
}

/**
 * A control plane that changes is told at once. A list that changes without end (a broken controller, an attacker) makes each
 * node check new endpoints, and that is not to be faster than once a second.
 */
const changesAtOnce = 5;
const changeEveryMs = 1_000;

export function watchSource({ portName, ...options }: WatchSourceOptions): WatchSource {
  const { log } = options;
  const slices = new SliceSet(portName);
  let propose: Propose | undefined;
  const bucket = new TokenBucket({ clock: options.clock, burst: changesAtOnce, everyMs: changeEveryMs });
  let later: Timer | undefined;
  let heardMs = 0;
  let warned = '';
  const limit = new RateLimitedLog(options.clock, 30_000, 3);

  /** The latest state, at once or as soon as it may be. */
  function hear(atMs: number): void {
    heardMs = atMs;
    if (later) return;
    if (bucket.take()) tell(atMs);
    else
      later = options.clock.schedule(changeEveryMs, () => {
        later = undefined;
        hear(heardMs);
      });
  }

  function tell(atMs: number): void {
    const { endpoints, problems } = slices.read();
    // An API server that goes as the last one leaves an empty slice behind; the merge keeps what was good.
    const all = endpoints.length > 0 ? problems : [...problems, 'no slice lists a usable endpoint'];
    const text = all.join('\n');
    if (text !== warned && text !== '') {
      limit.write((leftOut) => {
        const fields = { problems: all, ...(leftOut > 0 && { linesLeftOut: leftOut }) };
        log.warn(fields, 'EndpointSlices have problems');
      });
    }
    warned = text;
    propose?.({ source: 'watch', endpoints, syncedAtMs: atMs });
  }

  const watch = new SliceWatch({
    ...options,
    sink: {
      listed(objects, atMs, from) {
        slices.replace(objects, { mayBeLoopback: isLoopback(from.host) });
        hear(atMs);
      },
      changed(change, object, atMs, from) {
        slices.apply(change, object, { mayBeLoopback: isLoopback(from.host) });
        hear(atMs);
      },
      confirmed() {},
    },
  });
  return {
    get state() {
      return watch.state;
    },
    kick: () => watch.kick(),
    start(to) {
      propose = to;
      watch.start();
    },
    async stop() {
      propose = undefined;
      later?.cancel();
      await watch.stop();
      later?.cancel();
    },
  };
}
