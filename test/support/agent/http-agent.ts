// A running agent with an http listener, its serving certificate and kubeconfigs that lead to it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentProcess } from './agent-process.ts';
import type { AgentScope } from './agent-suite.ts';
import type { ControlPlane } from '../apiserver/control-plane.ts';
import { base64, writeKubeconfig } from '../credentials/kubeconfig.ts';
import { makeCa, type TestCa } from '../credentials/pki.ts';

export interface HttpAgent {
  readonly agent: AgentProcess;
  readonly ca: TestCa;
  readonly port: number;
  readonly certFile: string;
  readonly keyFile: string;
  /** For the http listener, with this token. */
  kubeconfig(token: string): string;
}

let count = 0;

export interface HttpAgentOptions {
  /** Stops it. */
  readonly scope: AgentScope;
  /** For its certificate and kubeconfigs. */
  readonly directory: string;
  /** Further settings, as in the file. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
}

export async function startHttpAgent(
  plane: ControlPlane,
  { scope, directory, settings = {}, env = {} }: HttpAgentOptions,
): Promise<HttpAgent> {
  count += 1;
  const name = (end: string) => join(directory, `http-agent-${count}.${end}`);
  const ca = await makeCa('fairlead-local');
  const [certFile, keyFile] = [name('crt'), name('key')];
  const { cert, key } = await ca.issue({ commonName: 'fairlead', sans: ['localhost', '127.0.0.1'] });
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const config = {
    nodeName: 'node-1',
    listeners: ['127.0.0.1:0', { address: '127.0.0.1:0', type: 'http', tls: { certFile, keyFile } }],
    admin: '127.0.0.1:0',
    endpoints: plane.endpoints,
    credentials: { kubeconfig: await plane.writeKubeconfig({ user: 'fairlead' }) },
    ...settings,
  };
  const agent = await scope.startAgent({ config: scope.writeConfig(config), env });
  await agent.untilReady(plane.endpoints.length);
  const { listeners } = await agent.status();
  const address = listeners.find(({ type }) => type === 'http')?.address ?? '';
  return {
    agent,
    ca,
    certFile,
    keyFile,
    port: Number(address.split(':').at(-1)),
    kubeconfig(token) {
      count += 1;
      return writeKubeconfig(name('kubeconfig'), {
        cluster: { server: `https://${address}`, 'certificate-authority-data': base64(ca.cert) },
        user: { token },
      });
    },
  };
}
