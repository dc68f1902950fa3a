// Clients that come one after the other, each with a connection of its own: kubectl (Go) and Node.
import { get } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../faults/clients/monotonic.ts';
import { StallWatch } from '../faults/stalls.ts';
import type { Kubectl } from './kubectl.ts';
import type { ControlPlanePki } from '../apiserver/pki-files.ts';

/** One request on a connection of its own; rejects when it fails. */
export type OneShot = () => Promise<void>;

export interface Visit {
  readonly startedMs: number;
  readonly endedMs: number;
  /** Why it failed; undefined when it was served. */
  readonly problem?: string;
}

export function kubectlClient(kubectl: Kubectl): OneShot {
  return async () => void (await kubectl.ok('get --raw /version --request-timeout=5s'));
}

/** `ca` is read for each client, as it may change. */
export function nodeClient(address: string, { clients }: ControlPlanePki, ca: () => string): OneShot {
  return () =>
    new Promise((resolve, reject) => {
      const options = { ...clients.admin, ca: ca(), agent: false as const, timeout: 5_000 };
      const request = get(`https://${address}/version`, options, (response) => {
        response.resume();
        response.once('end', () =>
          response.statusCode === 200 ? resolve() : reject(new Error(`answered ${response.statusCode}`)),
        );
        response.once('error', reject);
      });
      request.once('timeout', () => request.destroy(new Error('no answer within 5 s')));
      request.once('error', reject);
    });
}

async function visit(client: OneShot): Promise<Visit> {
  const startedMs = monotonicMs();
  const problem = await client().then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  return { startedMs, endedMs: monotonicMs(), ...(problem !== undefined && { problem }) };
}

/** Runs clients in sequence, at most one each `everyMs`, for as long as `goesOn` says after each. */
export async function visitors(
  client: OneShot,
  everyMs: number,
  goesOn: (visits: readonly Visit[]) => boolean,
): Promise<readonly Visit[]> {
  const visits: Visit[] = [];
  do {
    const one = await visit(client);
    visits.push(one);
    await sleep(Math.max(0, one.startedMs + everyMs - monotonicMs()));
  } while (goesOn(visits));
  return visits;
}

export function failed(visits: readonly Visit[]): Visit[] {
  return visits.filter(({ problem }) => problem !== undefined);
}

/**
 * Repeats `trial` when its numbers are spoilt by a machine on which the processes got no CPU for `mostStallMs` in all in
 * half a second; the last of `attempts` counts as it is.
 */
export async function onAQuietMachine<T>(
  pids: () => readonly number[],
  trial: () => Promise<T>,
  isGood: (result: T) => boolean,
  { attempts = 5, mostStallMs = 50 } = {},
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const stalls = new StallWatch(pids);
    const fromMs = monotonicMs();
    try {
      const result = await trial();
      if (isGood(result) || attempt === attempts) return result;
      if (stalls.worstBetween(fromMs, monotonicMs()) < mostStallMs) return result;
    } finally {
      stalls.stop();
    }
  }
}
