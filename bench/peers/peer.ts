// What is compared: anything that carries clients to the backend.
import type { HostPort } from '../../src/model/endpoint.ts';
import type { Backend, TargetKind } from '../backend.ts';
import type { PeerName } from '../options.ts';
import { Child, type Pinning, pinned } from '../processes.ts';
import { cpuSeconds } from '../usage.ts';
import type { Workspace } from '../workspace.ts';

/** What a peer is started with. */
export interface Field {
  readonly workspace: Workspace;
  readonly backend: Backend;
  readonly pinning: Pinning;
  readonly fairlead: readonly string[];
  readonly nodeFlags: readonly string[];
}

/** A peer that accepts clients. */
export interface RunningPeer {
  readonly name: string;
  readonly target: TargetKind;
  readonly address: HostPort;
  /** Root of its process tree; undefined when there is no process in the way (direct). */
  readonly pid: number | undefined;
  /** From spawn to the first accepted connection. */
  readonly startMs: number;
  /** CPU time that it had used by then. */
  readonly startCpuMs: number;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: PeerName | (string & {});
  start(field: Field, target: TargetKind): Promise<RunningPeer>;
}

/** Starts `command` on the proxy's CPU and waits until it accepts on `address`. */
export async function startChild(
  field: Field,
  {
    name,
    target,
    address,
    command,
  }: {
    readonly name: string;
    readonly target: TargetKind;
    readonly address: HostPort;
    readonly command: readonly string[];
  },
): Promise<RunningPeer> {
  const startedMs = performance.now();
  const child = new Child(name, pinned(field.pinning.proxy, command));
  await child.listening(address.host, address.port, { everyMs: 2 });
  const startMs = performance.now() - startedMs;
  const startCpuMs = (await cpuSeconds(child.pid)) * 1_000;
  return { name, target, address, pid: child.pid, startMs, startCpuMs, stop: () => child.stop() };
}
