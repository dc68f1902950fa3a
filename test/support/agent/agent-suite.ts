// The set-up of a suite that starts agents: control planes, agents and client connections that stop by themselves.
//
//   const suite = agentSuite();
//   beforeAll(async () => { plane = await suite.startControlPlane({ servers: 2 }); });
//   test('...', async () => {
//     const agent = await suite.startAgent({ endpoints: plane.endpoints, args: ['--reuse-port'] });
//     const tunnel = await suite.openTunnel(agent.address, plane);
//   });
//
// What a test or its `beforeEach` starts is stopped after that test; what `beforeAll` starts, after the suite. Tests that run
// side by side (`test.concurrent`) share a suite's hooks, so each of them takes an `AgentScope` of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from '../apiserver/control-plane.ts';
import {
  type ProcessControlPlane,
  type ProcessControlPlaneOptions,
  startProcessControlPlane,
} from '../apiserver/control-plane-processes.ts';
import type { ControlPlanePki } from '../apiserver/pki-files.ts';
import { H2Tunnel } from '../clients/h2-tunnel.ts';
import { watchForLeaks } from '../jest/leaks.ts';
import { AgentProcess, type AgentProcessOptions } from './agent-process.ts';
import { replaceConfig } from './config-file.ts';

export interface AgentOptions extends AgentProcessOptions {
  /** `--config`: with a file, `listen` and `admin` have no default, as the file names its own. */
  readonly config?: string;
  /** `--listen`, once for each; default: a free port of 127.0.0.1. */
  readonly listen?: string | readonly string[];
  /** `--admin`; default: a free port of 127.0.0.1. */
  readonly admin?: string;
  readonly nodeName?: string;
  readonly endpoints?: readonly string[];
  /** `--kubeconfig`: a file. */
  readonly kubeconfig?: string;
  /** Further flags. */
  readonly args?: readonly string[];
}

/** The flags of `fairlead run` that stand for `options`. */
export function agentFlags({
  config,
  listen = config === undefined ? '127.0.0.1:0' : [],
  admin = config === undefined ? '127.0.0.1:0' : undefined,
  nodeName,
  endpoints,
  kubeconfig,
  args = [],
}: AgentOptions): string[] {
  const flags = {
    '--config': config,
    '--admin': admin,
    '--node-name': nodeName,
    '--endpoints': endpoints?.join(','),
    '--kubeconfig': kubeconfig,
  };
  return [
    ...[listen].flat().flatMap((address) => ['--listen', address]),
    ...Object.entries(flags).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value])),
    ...args,
  ];
}

/** Starts things, and stops them in reverse order. */
export class AgentScope {
  readonly #stops: (() => unknown)[] = [];
  #directory: string | undefined;
  #files = 0;

  /** Called when the scope stops, before whatever was started earlier is stopped. */
  onStop(stop: () => unknown): void {
    this.#stops.push(stop);
  }

  async startControlPlane(options?: ControlPlaneOptions): Promise<ControlPlane> {
    const plane = await startControlPlane(options);
    this.onStop(() => plane.stop());
    return plane;
  }

  /** With a process for each API server. */
  async startProcessControlPlane(options?: ProcessControlPlaneOptions): Promise<ProcessControlPlane> {
    const plane = await startProcessControlPlane(options);
    this.onStop(() => plane.stop());
    return plane;
  }

  /** Starts `fairlead run` and waits for nothing. */
  spawnAgent(options: AgentOptions): AgentProcess {
    const agent = new AgentProcess(agentFlags(options), options);
    this.onStop(() => agent.kill());
    return agent;
  }

  /** Starts `fairlead run` and resolves when it listens. */
  async startAgent(options: AgentOptions): Promise<AgentProcess> {
    const agent = this.spawnAgent(options);
    await agent.listening();
    return agent;
  }

  /** A client connection to `address` as the administrator of `plane`. */
  async openTunnel(address: string, plane: { readonly pki: ControlPlanePki }): Promise<H2Tunnel> {
    const tunnel = await H2Tunnel.open(address, plane.pki);
    this.onStop(() => tunnel.destroy());
    return tunnel;
  }

  /** Writes a configuration file, for `config`; returns its path. `replaceConfig` changes it. */
  writeConfig(content: unknown): string {
    if (this.#directory === undefined) {
      const directory = mkdtempSync(join(tmpdir(), 'fairlead-agent-'));
      this.#directory = directory;
      this.onStop(() => {
        rmSync(directory, { recursive: true, force: true });
        this.#directory = undefined;
      });
    }
    this.#files += 1;
    const file = join(this.#directory, `fairlead-${this.#files}.yaml`);
    replaceConfig(file, content);
    return file;
  }

  /** How many things it has started that still run. */
  get size(): number {
    return this.#stops.length;
  }

  /** Stops everything but the first `size` things, also when one of them fails to stop. */
  async stop(size = 0): Promise<void> {
    const failures: unknown[] = [];
    for (const stop of this.#stops.splice(size).reverse()) {
      try {
        await stop();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** Call once in a file or `describe`, before its own hooks. The suite fails when it leaves a socket or a process behind. */
export function agentSuite(): AgentScope {
  const leftNothing = watchForLeaks();
  const scope = new AgentScope();
  let ofSuite = 0;
  beforeEach(() => {
    ofSuite = scope.size;
  });
  afterEach(() => scope.stop(ofSuite));
  afterAll(async () => {
    await scope.stop();
    await leftNothing();
  });
  return scope;
}
