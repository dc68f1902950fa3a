// Makes, from a Kubespray inventory's variables, what a worker gets in place of nginx-proxy: Fairlead's
// configuration on the same port and health port, its static pod, and a playbook that brings both to the nodes.
// Usage: node scripts/kubespray.ts --vars FILE... --control-plane ADDRESS... --image IMAGE@sha256:... --out DIRECTORY
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseDocument, stringify } from 'yaml';
import { formatProblem } from '../src/config/problem.ts';
import { type KubesprayVars, readVars } from '../src/import/kubespray/vars.ts';
import { formatHostPort } from '../src/model/endpoint.ts';

const defaultAdminPort = 6442;

export interface NodeFilesInput {
  readonly vars: KubesprayVars;
  /** access_ip, else ip, of each control-plane node. */
  readonly controlPlane: readonly string[];
  readonly image: string;
  /** manifests/static-pod/fairlead.yaml. */
  readonly template: string;
}

/** The files by name. */
export function kubesprayFiles({
  vars,
  controlPlane,
  image,
  template,
}: NodeFilesInput): Record<string, string> {
  const { securePort = 6443, localPort = securePort, healthPort = defaultAdminPort } = vars;
  const config = {
    listeners: [`127.0.0.1:${localPort}`, { address: `[::1]:${localPort}`, optional: true }],
    admin: `127.0.0.1:${healthPort}`,
    endpoints: controlPlane.map((host) => formatHostPort({ host, port: securePort })),
    credentials: { kubeconfig: '/etc/kubernetes/kubelet.conf' },
    discovery: { cacheFile: '/var/lib/fairlead/endpoints.json' },
  };
  const pod = parseDocument(template.replaceAll(String(defaultAdminPort), String(healthPort)));
  const container = ['spec', 'containers', 0];
  pod.setIn([...container, 'image'], image);
  // nginx-proxy may still hold the port; its manifest goes when this pod is there.
  pod.setIn([...container, 'args'], ['run', '--config', '/etc/fairlead/config.yaml', '--wait-for-port']);
  return { 'config.yaml': stringify(config), 'fairlead.yml': pod.toString({ lineWidth: 0 }) };
}

function main(): void {
  const { values } = parseArgs({
    options: {
      vars: { type: 'string', multiple: true, default: [] },
      'control-plane': { type: 'string', multiple: true, default: [] },
      image: { type: 'string', default: '' },
      out: { type: 'string', default: '' },
    },
  });
  const { vars: files, image, out } = values;
  const controlPlane = values['control-plane'].flatMap((text) => text.split(','));
  if (files.length === 0 || controlPlane.length === 0 || image === '' || out === '') {
    process.stderr.write(
      'usage: node scripts/kubespray.ts --vars FILE... --control-plane ADDRESS,... --image IMAGE --out DIRECTORY\n',
    );
    process.exitCode = 2;
    return;
  }
  const reading = readVars(files.map((name) => ({ name, text: readFileSync(name, 'utf8') })));
  if (!reading.ok) {
    process.stderr.write(`${reading.problems.map(formatProblem).join('\n')}\n`);
    process.exitCode = 2;
    return;
  }
  const here = import.meta.dirname;
  const template = readFileSync(join(here, '../manifests/static-pod/fairlead.yaml'), 'utf8');
  const made = kubesprayFiles({ vars: reading.value, controlPlane, image, template });
  const playbook = readFileSync(join(here, 'kubespray-parts/playbook.yml'), 'utf8');
  mkdirSync(out, { recursive: true });
  for (const [name, text] of Object.entries({ ...made, 'playbook.yml': playbook })) {
    writeFileSync(join(out, name), text);
    process.stdout.write(`${join(out, name)}\n`);
  }
}

if (import.meta.main) main();
