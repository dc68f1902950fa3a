// The agent as a node runs it: static list, kubeconfig with a client certificate, watch, health checks,
// admin server, cache; and the same with parts left out, to see what each part costs.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatHostPort } from '../../src/model/endpoint.ts';
import type { TargetKind } from '../backend.ts';
import { freePorts } from '../processes.ts';
import { writeKubeconfig } from '../workspace.ts';
import { agentSettled } from './agent-status.ts';
import { type Field, type Peer, type RunningPeer, startChild } from './peer.ts';
import { startScraper } from './scraper.ts';

/** Which parts run. `isScraped` needs `hasAdmin`. */
export interface Parts {
  readonly hasWatch: boolean;
  readonly hasHttpsCheck: boolean;
  readonly hasAdmin: boolean;
  readonly isScraped: boolean;
}

export const allParts: Parts = { hasWatch: true, hasHttpsCheck: true, hasAdmin: true, isScraped: true };

/** `node [flags] script run`, when the command is Node's. */
function withNodeFlags({ fairlead, nodeFlags }: Field): readonly string[] {
  const [program = '', ...rest] = fairlead;
  return nodeFlags.length ? [program, ...nodeFlags, ...rest] : fairlead;
}

export function fairleadWith(name: string, parts: Parts): Peer {
  return {
    name,
    async start(field: Field, target: TargetKind): Promise<RunningPeer> {
      const { dir } = field.workspace;
      const [port = 0, adminPort = 0, poolPort = 0] = await freePorts(3);
      const address = { host: '127.0.0.1', port };
      const admin = { host: '127.0.0.1', port: adminPort };
      const { endpoints } = field.backend;
      const flags = ['--endpoints', endpoints.tls.map(formatHostPort).join(','), '--node-name', 'bench'];
      // What is plain goes through a pool of its own, beside the API servers': it cannot answer their checks, and the
      // agent runs with everything on.
      const plainPool = {
        listeners: [`127.0.0.1:${poolPort}`, { address: formatHostPort(address), pool: 'plain' }],
        pools: { plain: { endpoints: endpoints.plain.map(formatHostPort) } },
      };
      if (target === 'tls') flags.push('--listen', formatHostPort(address));
      if (parts.hasWatch || parts.hasHttpsCheck) {
        const server = `https://${formatHostPort(address)}`;
        flags.push('--kubeconfig', await writeKubeconfig(field.workspace, `kubeconfig-${port}`, server));
      }
      flags.push('--cache-file', join(dir, `cache-${port}.json`));
      // A file only for what has no flag: the flags alone make the whole agent.
      const settings = {
        ...(target === 'plain' ? plainPool : {}),
        ...(parts.hasHttpsCheck ? {} : { health: { check: 'tcp' } }),
        ...(parts.hasWatch ? {} : { discovery: { watch: false } }),
        ...(parts.hasAdmin ? {} : { admin: false }),
      };
      if (Object.keys(settings).length) {
        const config = join(dir, `fairlead-${port}.yaml`);
        await writeFile(config, JSON.stringify(settings));
        flags.push('--config', config);
      }
      if (parts.hasAdmin) flags.push('--admin', formatHostPort(admin));
      // As the image and the systemd unit start it.
      const command = ['env', 'MALLOC_ARENA_MAX=1', ...withNodeFlags(field), ...flags];
      const running = await startChild(field, { name, target, address, command });
      if (parts.hasAdmin) {
        const watch = parts.hasWatch ? 'synced' : 'off';
        const reason = parts.hasHttpsCheck ? 'L7OK/200' : 'L4OK';
        const endpointCount = endpoints.tls.length;
        await agentSettled(admin, { watch, reason, endpointCount }).catch(async (error: unknown) => {
          await running.stop();
          throw error;
        });
      }
      const scraper = parts.isScraped ? startScraper(admin) : undefined;
      return {
        ...running,
        async stop() {
          await scraper?.stop();
          await running.stop();
        },
      };
    },
  };
}

export const fairlead = fairleadWith('fairlead', allParts);
