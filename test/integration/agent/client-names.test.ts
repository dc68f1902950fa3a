// An API server whose certificate lacks a name that clients verify is used after those that have it.
import { type AgentProcess, freePort } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import type { ApiServer } from '../../support/apiserver/api-server.ts';
import { eventually } from '../../support/jest/eventually.ts';

const suite = agentSuite();
const usual = ['kubernetes.default.svc', 'kubernetes'];

/** `server` shows a certificate that is valid for `names` and the usual ones. */
async function show({ pki }: ControlPlane, server: ApiServer | undefined, names: readonly string[]) {
  const sans = [...usual, ...names];
  await server?.replaceCertificate(await pki.ca.issue({ commonName: 'kube-apiserver', sans }));
}

/** Sees soon what the test replaces. */
const fast = {
  FAIRLEAD_HEALTH_INTERVAL: '1s',
  FAIRLEAD_HEALTH_STANDBY_INTERVAL: '1s',
  FAIRLEAD_HEALTH_RECONNECT: '1s',
};

const demoted = async (agent: AgentProcess) =>
  (await agent.status()).endpoints.flatMap(({ id, demotedFor }) =>
    demotedFor === undefined ? [] : [`${id} ${demotedFor}`],
  );

test('a configured name that one API server lacks puts it behind the others, and one that all lack changes nothing', async () => {
  const plane = await suite.startControlPlane({ servers: 3 });
  const { servers } = plane;
  const agent = await suite.startAgent({
    endpoints: plane.endpoints,
    kubeconfig: await plane.writeKubeconfig(),
    env: { ...fast, FAIRLEAD_HEALTH_CLIENT_NAMES: '10.9.9.9' },
  });
  for (const server of servers) await show(plane, server, ['10.9.9.9']);
  await eventually('all are first class', async () => {
    const status = await agent.status();
    return status.endpoints.every(({ verdict }) => verdict === 'ready') && !('missingClientNames' in status);
  });
  const [first] = (await agent.status()).endpoints;
  const lacking = servers.find(({ address }) => address === first?.id);
  await show(plane, lacking, []);
  await eventually('it goes last', async () => (await agent.status()).endpoints.at(-1)?.id === first?.id);
  expect(await demoted(agent)).toEqual([`${first?.id} certificate is not valid for 10.9.9.9`]);
  expect((await agent.status()).endpoints.every(({ usable }) => usable)).toBe(true);
  const text = await agent.metrics();
  expect(text).toContain(`fairlead_endpoint_demoted{endpoint="${first?.id}",reason="client-name"} 1`);
  expect(text).toMatch(
    /fairlead_endpoint_certificate_not_after_timestamp_seconds\{endpoint="[^"]+"\} \d{10}/,
  );
  expect(text).toMatch(/fairlead_client_certificate_not_after_timestamp_seconds \d{10}/);
  expect(text).toMatch(/fairlead_ca_certificate_not_after_timestamp_seconds \d{10}/);
  for (const server of servers) await show(plane, server, []);
  await eventually(
    'the order is as before',
    async () => (await agent.status()).endpoints[0]?.id === first?.id,
  );
  await eventually('the name is reported', async () => {
    const { missingClientNames } = await agent.status();
    return missingClientNames?.join() === '10.9.9.9';
  });
  expect(await demoted(agent)).toEqual([]);
});

test('where the kubeconfig leads to the agent, its host is what clients verify', async () => {
  const plane = await suite.startControlPlane({ servers: 3 });
  const { servers } = plane;
  for (const server of servers) await show(plane, server, ['127.0.0.1']);
  await show(plane, servers[1], []);
  const listen = `127.0.0.1:${await freePort()}`;
  const kubeconfig = await plane.writeKubeconfig({ server: `https://${listen}` });
  const agent = await suite.startAgent({ listen, endpoints: plane.endpoints, kubeconfig, env: fast });
  // Its place alone says nothing: it may be the last one without this.
  await eventually('one is demoted', async () => (await demoted(agent)).length > 0);
  const { endpoints } = await agent.status();
  expect(endpoints.at(-1)?.id).toBe(servers[1]?.address);
  expect(endpoints.every(({ usable }) => usable)).toBe(true);
  expect(await demoted(agent)).toEqual([`${servers[1]?.address} certificate is not valid for 127.0.0.1`]);
});
