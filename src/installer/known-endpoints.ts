// The API servers as the API tells them: what the cache of a new agent begins with.
import type { CachedEndpoint } from '../discovery/cache-format.ts';
import { parseSlice, readSlices } from '../discovery/endpointslices.ts';
import type { KubeApi } from '../kubernetes/kube-api.ts';
import { listOf } from '../lib/guards.ts';
import { isLoopback } from '../model/host.ts';

interface Discovery {
  readonly namespace: string;
  readonly service: string;
  readonly portName: string;
}

/** Rejects with API_REFUSED. */
export async function knownEndpoints(
  api: KubeApi,
  { namespace, service, portName }: Discovery,
): Promise<CachedEndpoint[]> {
  const selector = encodeURIComponent(`kubernetes.io/service-name=${service}`);
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=${selector}`;
  const { items } = await api.must({ path });
  const mayBeLoopback = api.server !== undefined && isLoopback(api.server.host);
  const slices = listOf(items).flatMap((item) => parseSlice(item, portName, { mayBeLoopback }) ?? []);
  return readSlices(slices).endpoints.map((endpoint) => ({ endpoint, origin: 'watch' }));
}
