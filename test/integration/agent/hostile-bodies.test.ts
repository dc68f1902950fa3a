// An API server that lies about EndpointSlices, or answers its health checks with a body that is made to do harm: the agent
// says what is wrong, holds little, stays responsive and serves its clients.
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { AgentProcess } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { Misbehaviour } from '../../support/apiserver/misbehaviour.ts';
import { eventually } from '../../support/jest/eventually.ts';

const suite = agentSuite();
const slicesPath = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
/** The attacks cost 270 MB to gigabytes where chunks are kept and JSON is parsed unseen. */
const maxGainBytes = 96 << 20;

/** Anonymous memory: what the agent holds, without the files that it is mapped from. */
function anonymousBytes({ pid }: AgentProcess): number {
  const [, kilobytes] = /RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

async function attacked(change: Partial<Misbehaviour>) {
  const plane = await suite.startControlPlane({ servers: 1 });
  const [server] = plane.servers;
  if (!server) throw new Error('there is one');
  const kubeconfig = await plane.writeKubeconfig({ user: 'token' });
  // The list comes first, and not again for as long as the watch goes on.
  const isAtOnce = change.slicesFor === 'list';
  if (isAtOnce) await server.misbehave(change);
  const agent = await suite.startAgent({ endpoints: plane.endpoints, kubeconfig });
  await eventually('it is at rest', async () => {
    const { discovery, endpoints } = await agent.status();
    return (isAtOnce || discovery.watch === 'synced') && endpoints[0]?.verdict === 'ready';
  });
  const restingBytes = anonymousBytes(agent);
  let peakBytes = restingBytes;
  let slowestMs = 0;
  await server.misbehave(change);
  // What the agent has open is good; what it opens from now on is not.
  await server.act('reset-watches');
  return {
    agent,
    server,
    plane,
    /** Looks at memory and at the event loop until `isOver`. */
    async until(what: string, isOver: () => Promise<boolean>) {
      await eventually(what, async () => {
        const startedMs = performance.now();
        await agent.get('/livez');
        slowestMs = Math.max(slowestMs, performance.now() - startedMs);
        peakBytes = Math.max(peakBytes, anonymousBytes(agent));
        return isOver();
      });
      return { gainBytes: peakBytes - restingBytes, slowestMs };
    },
  };
}

test.each<[Misbehaviour['slices'], Misbehaviour['slicesFor'], string]>([
  ['one-byte-chunks', 'list', 'chunks of a few bytes'],
  ['one-byte-chunks', 'watch', 'chunks of a few bytes'],
  ['endless', 'list', 'an answer larger than 1048576 bytes'],
  ['endless', 'watch', 'an event larger than 524288 bytes'],
  ['huge-lines', 'watch', 'an event larger than 524288 bytes'],
  ['deep-json', 'list', 'the list nests deeper than 64'],
  ['deep-json', 'watch', 'a line that nests deeper than 64'],
  ['wide-json', 'list', 'the list has more than 50000 objects and arrays'],
  ['wide-json', 'watch', 'a line that has more than 50000 objects and arrays'],
])('EndpointSlices of %s as a %s', async (slices, slicesFor, message) => {
  const { agent, server, plane, until } = await attacked({ slices, slicesFor });
  const { gainBytes, slowestMs } = await until(`it says: ${message}`, async () => {
    const { discovery } = await agent.status();
    return discovery.message?.includes(message) ?? false;
  });
  expect(server.stats().requestsByPath[slicesPath]).toBeGreaterThan(0);
  expect(gainBytes).toBeLessThan(maxGainBytes);
  expect(slowestMs).toBeLessThan(5_000);
  const tunnel = await suite.openTunnel(agent.address, plane);
  expect(tunnel).toBeDefined();
});

test('a health answer in chunks of one byte', async () => {
  const { agent, until, plane } = await attacked({ health: 'one-byte-chunks' });
  const { gainBytes, slowestMs } = await until('it is unready', async () => {
    const { endpoints } = await agent.status();
    return endpoints[0]?.reason.includes('answer exceeds 65536 bytes') ?? false;
  });
  expect(gainBytes).toBeLessThan(maxGainBytes);
  expect(slowestMs).toBeLessThan(5_000);
  // Nothing better is there: it stays in use.
  expect(await suite.openTunnel(agent.address, plane)).toBeDefined();
});
