// Serving certificates that go bad under running API servers, while checks stay on a connection that knows nothing of it.
import type { AgentProcess } from '../../support/agent/agent-process.ts';
import type { ApiServer } from '../../support/apiserver/api-server.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { casesOfTier } from '../../support/jest/full-tier.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { findKubectl, Kubectl } from '../../support/clients/kubectl.ts';
import {
  failed,
  kubectlClient,
  nodeClient,
  onAQuietMachine,
  type OneShot,
  type Visit,
  visitors,
} from '../../support/clients/one-shot-clients.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const suite = agentSuite();
const directory = tempDir();
const program = findKubectl();
let plane: ControlPlane;

beforeAll(async () => {
  plane = await suite.startControlPlane({ servers: 3, anonymous: 'off' });
});

const everyMs = 250;
const lateMs = 300;
const expiresAfterMs = 5_000;

const faults = {
  expired: (server: ApiServer) => server.misbehave({ tls: 'expired' }),
  'of another CA': (server: ApiServer) => server.misbehave({ tls: 'unknown-ca' }),
  'for another name': (server: ApiServer) => server.misbehave({ tls: 'wrong-name' }),
  'that expires in five seconds': async (server: ApiServer) => {
    // Whole seconds are all that a certificate knows.
    const notAfter = new Date(Math.ceil((Date.now() + expiresAfterMs) / 1000) * 1000);
    const sans = ['localhost', '127.0.0.1', server.host];
    await server.replaceCertificate(
      await plane.pki.ca.issue({ commonName: 'kube-apiserver', sans, notAfter }),
    );
  },
} as const;

interface Trial {
  readonly failures: number;
  /** Failures of clients that came later than 300 ms after the last one that had to tell. */
  readonly late: readonly Visit[];
  readonly reason: string;
}

/** `running`: the process ids of its agents while it lasts. `signs`: how many clients have to fail before the agent can know. */
async function trial(
  makeClient: (agent: AgentProcess) => OneShot | Promise<OneShot>,
  fault: keyof typeof faults,
  signs: number,
  running: number[],
): Promise<Trial> {
  const kubeconfig = await plane.writeKubeconfig({ user: 'fairlead' });
  const agent = await suite.startAgent({ nodeName: 'node-1', kubeconfig });
  running.push(agent.pid);
  await agent.untilReady(3);
  const server = plane.named(await H2Tunnel.askOnce(agent.address, plane.pki));
  const good = await plane.pki.ca.issue({
    commonName: 'kube-apiserver',
    sans: ['localhost', '127.0.0.1', server.host],
  });
  await server.replaceCertificate(good);
  const client = await makeClient(agent);
  await client();
  try {
    await faults[fault](server);
    const count = fault === 'that expires in five seconds' ? 32 : 12;
    const visits = await visitors(client, everyMs, ({ length }) => length < count);
    const failures = failed(visits);
    const toldMs = failures[Math.min(signs, failures.length) - 1]?.endedMs ?? Number.POSITIVE_INFINITY;
    const { verdict, reason, tunnels: left } = (await agent.endpoint(server.address)) ?? {};
    expect(left).toBe(0);
    return {
      failures: failures.length,
      late: failures.filter(({ startedMs }) => startedMs > toldMs + lateMs),
      reason: `${verdict} ${reason}`,
    };
  } finally {
    await server.behave();
    await server.replaceCertificate(good);
    await agent.kill();
  }
}

const reasons: Readonly<Record<keyof typeof faults, RegExp>> = {
  expired: /^unready L6\w+ .*expired/,
  'of another CA': /^unready L6\w+ .*unknown authority/,
  'for another name': /^unready L6\w+ .*not valid for/,
  'that expires in five seconds': /^unready L6\w+ .*expired/,
};

function theMusts(
  name: string,
  makeClient: (agent: AgentProcess) => OneShot | Promise<OneShot>,
  signs: number,
  quick: readonly (keyof typeof faults)[],
) {
  const all = Object.keys(faults) as (keyof typeof faults)[];
  test.each(casesOfTier(all, (fault) => quick.includes(fault)))(
    `${name}: a certificate %s costs few clients and nobody who comes later`,
    async (fault) => {
      const running: number[] = [];
      const isGood = ({ failures, late }: Trial) => failures <= 3 && late.length === 0;
      const { failures, late, reason } = await onAQuietMachine(
        () => running,
        () => trial(makeClient, fault, signs, running),
        isGood,
      );
      expect(late).toEqual([]);
      expect(failures).toBeLessThanOrEqual(3);
      // An agent that knows when the certificate expires may lose nobody.
      if (fault !== 'that expires in five seconds') expect(failures).toBeGreaterThanOrEqual(1);
      expect(reason).toMatch(reasons[fault]);
    },
    120_000,
  );
}

if (program === undefined) skipLoudly('certificates that kubectl refuses', 'no kubectl on PATH');
else {
  const makeClient = async (agent: AgentProcess) => {
    const kubeconfig = await plane.writeKubeconfig({ user: 'admin', server: `https://${agent.address}` });
    return kubectlClient(new Kubectl({ program, kubeconfig, home: directory }));
  };
  theMusts('kubectl', makeClient, 1, ['expired', 'for another name']);
}
theMusts('Node', (agent) => nodeClient(agent.address, plane.pki, () => plane.pki.ca.cert), 2, [
  'of another CA',
  'that expires in five seconds',
]);
