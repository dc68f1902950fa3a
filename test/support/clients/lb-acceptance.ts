// What users of an external load balancer for API servers count on, as one function that is run against whatever
// listens on an address: HAProxy with its own configuration, and Fairlead with what the import made of that.
import { get } from 'node:https';
import type { ControlPlane } from '../apiserver/control-plane.ts';
import { eventually } from '../jest/eventually.ts';
import { H2Tunnel } from './h2-tunnel.ts';

export interface AcceptanceTarget {
  /** `HOST:PORT` of the load balancer. */
  readonly address: string;
  readonly plane: ControlPlane;
}

/** The API server that a new client meets, or why none. */
async function ask({ address, plane }: AcceptanceTarget): Promise<string> {
  const opened = H2Tunnel.open(address, plane.pki);
  try {
    return await withLimit(opened.then((tunnel) => tunnel.ask('/version')));
  } catch (error) {
    return `failed: ${(error as Error).message}`;
  } finally {
    opened.then(
      (tunnel) => tunnel.destroy(),
      () => {},
    );
  }
}

/** A client that gives up in the end; a frozen server would hold it for ever. */
function withLimit<T>(promise: Promise<T>): Promise<T> {
  const { promise: limit, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('no answer')), 3_000);
  promise.catch(() => {});
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

async function askTimes(target: AcceptanceTarget, times: number): Promise<string[]> {
  const answers: string[] = [];
  for (let index = 0; index < times; index += 1) answers.push(await ask(target));
  return answers;
}

function countOf(answers: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
}

/** Twelve clients in a row are served, by exactly these servers and by each as often. */
async function spreadsOver(target: AcceptanceTarget, what: string, ...servers: string[]): Promise<void> {
  const each = 12 / servers.length;
  const wanted = Object.fromEntries(servers.map((name) => [name, each]));
  let last: Record<string, number> = {};
  await eventually(
    () => `${what}: ${JSON.stringify(wanted)}, was ${JSON.stringify(last)}`,
    async () => {
      last = countOf(await askTimes(target, 12));
      return servers.every((name) => last[name] === each);
    },
  );
}

/** A connection to this server, which asks once. */
async function quietTunnel({ address, plane }: AcceptanceTarget, wanted: string): Promise<H2Tunnel> {
  for (;;) {
    const tunnel = await H2Tunnel.open(address, plane.pki);
    if ((await tunnel.ask()) === wanted) return tunnel;
    tunnel.destroy();
  }
}

/** The status of a request with the administrator's certificate, or with none. */
function statusOf({ address, plane }: AcceptanceTarget, path: string, isAdmin: boolean): Promise<number> {
  const { ca, clients } = plane.pki;
  return new Promise((resolve, reject) => {
    const options = { agent: false, ca: ca.cert, ...(isAdmin && clients.admin) } as const;
    get(`https://${address}${path}`, options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on('error', reject);
  });
}

/** The same for a load balancer whose checks ask for health: `/healthz`, as Kubespray's own HAProxy does. */
export async function acceptHealthChecks(target: AcceptanceTarget): Promise<void> {
  const [one] = target.plane.servers;
  await spreadsOver(target, 'new clients go round all servers', 'cp-1', 'cp-2', 'cp-3');
  await one?.misbehave({ failReadyz: ['etcd'], failLivez: ['etcd'] });
  await spreadsOver(target, 'a server that says that it is not healthy gets nothing', 'cp-2', 'cp-3');
  await one?.behave();
  await spreadsOver(target, 'it comes back', 'cp-1', 'cp-2', 'cp-3');
}

/** Throws where the load balancer does not do what it should. The plane has three servers, all of them well. */
export async function acceptLoadBalancer(target: AcceptanceTarget): Promise<void> {
  const { plane } = target;
  const [one, two, three] = plane.servers;
  if (!one || !two || !three) throw new Error('three API servers are needed');

  await spreadsOver(target, 'new clients go round all servers', 'cp-1', 'cp-2', 'cp-3');

  // TLS passes through: the certificate of the client is what the API server sees.
  expect(await statusOf(target, '/api/v1/nodes', true)).toBe(200);
  expect(await statusOf(target, '/api/v1/nodes', false)).toBe(403);

  const quiet = await quietTunnel(target, 'cp-1');

  two.kill();
  await spreadsOver(target, 'a killed server gets nothing', 'cp-1', 'cp-3');
  await two.start();
  await spreadsOver(target, 'it comes back', 'cp-1', 'cp-2', 'cp-3');

  // It accepts connections and says nothing: a check of TCP alone would not notice.
  await three.misbehave({ freeze: true });
  await spreadsOver(target, 'a frozen server gets nothing', 'cp-1', 'cp-2');
  await three.misbehave({ freeze: false });
  await spreadsOver(target, 'it comes back', 'cp-1', 'cp-2', 'cp-3');

  // Nothing of all this has touched a connection to a server that was well, quiet as it was.
  expect(await quiet.ask()).toBe('cp-1');
  quiet.destroy();

  // A client with nothing behind the load balancer is told so, and not left waiting.
  for (const server of plane.servers) server.kill();
  await eventually('a client without any server fails', async () => (await ask(target)).startsWith('failed'));
  await Promise.all(plane.servers.map((server) => server.start()));
  await spreadsOver(target, 'all come back', 'cp-1', 'cp-2', 'cp-3');
}
