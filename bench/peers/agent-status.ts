// Asks the agent's admin server whether everything that is to be measured with it really runs.
import { setTimeout as sleep } from 'node:timers/promises';
import { formatHostPort, type HostPort } from '../../src/model/endpoint.ts';
import type { Status } from '../../src/model/status.ts';

export interface Wanted {
  readonly watch: Status['discovery']['watch'];
  /** Every endpoint is ready for this reason: `L7OK/200` with HTTPS checks. */
  readonly reason: string;
  readonly endpointCount: number;
}

function shortcoming(status: Status, { watch, reason, endpointCount }: Wanted): string | undefined {
  const { discovery, endpoints } = status;
  if (discovery.watch !== watch) return `watch is ${discovery.watch} (${discovery.message ?? 'no message'})`;
  if (endpoints.length !== endpointCount) return `${endpoints.length} endpoints instead of ${endpointCount}`;
  const other = endpoints.find((endpoint) => endpoint.reason !== reason);
  return other && `${other.id} is ${other.reason}`;
}

async function currentProblem(admin: HostPort, wanted: Wanted): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${formatHostPort(admin)}/status`);
    return shortcoming((await response.json()) as Status, wanted);
  } catch (error) {
    // The admin server starts after the listeners.
    return error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
  }
}

/** Waits until the agent's status is as wanted; fails, saying what is missing, when it does not become so. */
export async function agentSettled(admin: HostPort, wanted: Wanted, withinMs = 20_000): Promise<void> {
  const giveUpMs = performance.now() + withinMs;
  for (;;) {
    const problem = await currentProblem(admin, wanted);
    if (problem === undefined) return;
    if (performance.now() > giveUpMs) throw new Error(`the agent under test does not settle: ${problem}`);
    await sleep(50);
  }
}
