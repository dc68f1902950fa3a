// A discovery over a stand-in control plane, with the deadlines of a test and a record of all it has said.
import { type Discovery, type DiscoveryOptions, startDiscovery } from '../../../src/discovery/discovery.ts';
import type { CredentialOptions } from '../../../src/kubernetes/load-credentials.ts';
import { defaultWatchTimings, type SliceWatchTimings } from '../../../src/kubernetes/slice-watch-options.ts';
import { type CredentialWatch, watchCredentials } from '../../../src/kubernetes/watch-credentials.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { type HostPort, parseHostPort } from '../../../src/model/endpoint.ts';
import type { EndpointSet } from '../../../src/model/snapshot.ts';
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from '../../support/apiserver/control-plane.ts';
import { keyOf } from '../../support/apiserver/kinds.ts';
import type { KubeObject } from '../../support/apiserver/objects.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

/** Short enough for tests, long enough for a machine that is busy. */
export const testTimings: SliceWatchTimings = {
  ...defaultWatchTimings,
  connectMs: 1_000,
  tlsMs: 1_000,
  answerMs: 1_000,
  bodyMs: 1_500,
  kickJitterMs: 10,
  forbiddenMs: 1_000,
  goodWatchMs: 500,
  backoff: { firstMs: 50, capMs: 300 },
};

export function hostPort(text: string): HostPort {
  const parsed = parseHostPort(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}

export interface Rig {
  readonly plane: ControlPlane;
  readonly discovery: Discovery;
  readonly credentials: CredentialWatch;
  readonly log: ReturnType<typeof recordingLog>;
  /** Every set that was published, the first one first. */
  readonly published: EndpointSet[];
  ids(): string[];
  /** Ids of tier `discovered`. */
  discovered(): string[];
  synced(): Promise<void>;
  stop(): Promise<void>;
}

interface RigOptions {
  readonly plane?: ControlPlaneOptions;
  readonly credentials?: (plane: ControlPlane) => Promise<CredentialOptions>;
  readonly discovery?: (plane: ControlPlane) => Partial<DiscoveryOptions>;
  readonly pollMs?: number;
}

/** By default the first API server is the only configured endpoint. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const plane = await startControlPlane(options.plane);
  const log = recordingLog();
  const dependencies = { clock: systemClock, random: Math.random, log };
  const credentials = watchCredentials(
    (await options.credentials?.(plane)) ?? { kubeconfig: await plane.writeKubeconfig() },
    { ...dependencies, pollMs: options.pollMs ?? 10_000 },
  );
  const discovery = startDiscovery({
    ...dependencies,
    credentials,
    endpoints: [hostPort(plane.endpoints[0]!)],
    options: {
      watch: true,
      namespace: 'default',
      service: 'kubernetes',
      portName: 'https',
      dnsIntervalMs: 30_000,
      rememberForMs: 604_800_000,
    },
    isOwnListener: () => false,
    watchTimings: testTimings,
    ...options.discovery?.(plane),
  });
  const published: EndpointSet[] = [discovery.current];
  discovery.subscribe((next) => published.push(next));
  return {
    plane,
    discovery,
    credentials,
    log,
    published,
    ids: () => discovery.current.endpoints.map(({ id }) => id),
    discovered: () => discovery.current.endpoints.filter((e) => e.tier === 'discovered').map(({ id }) => id),
    synced: async () => {
      await eventually('the watch has synced', () => discovery.watchState.state === 'synced');
    },
    async stop() {
      await discovery.stop();
      await credentials.stop();
      await plane.stop();
    },
  };
}

/** The requests for EndpointSlices that all API servers have had. */
export function sliceRequests(plane: ControlPlane): number {
  const path = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
  return plane.servers.reduce((sum, server) => sum + (server.stats().requestsByPath[path] ?? 0), 0);
}

export const sliceKey = (name: string) =>
  keyOf({ group: 'discovery.k8s.io', resource: 'endpointslices' }, 'default', name);

/** Adds or replaces a slice beside the one that the API servers keep. */
export async function putSlice(
  plane: ControlPlane,
  name: string,
  over: Record<string, unknown>,
): Promise<void> {
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.250.0.1'], conditions: { ready: true } }],
    ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
    ...over,
  };
  await plane.store.put(sliceKey(name), slice as unknown as KubeObject);
}
