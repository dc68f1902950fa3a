// Relays on the same Node that are less than the agent, to see where its cost comes from: a pipe of twenty
// lines (what the runtime costs) and our data path alone (what the rest of the agent adds). Bundled first, as
// the agent is, so that no TypeScript loader counts.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { formatHostPort } from '../../src/model/endpoint.ts';
import { defaultPassthroughOptions } from '../../test/support/agent/default-options.ts';
import { freePort } from '../processes.ts';
import { type Peer, startChild } from './peer.ts';

function yardstick(name: 'pipe' | 'datapath', moreFlags: readonly string[] = []): Peer {
  return {
    name,
    async start(field, target) {
      const outfile = join(field.workspace.dir, `${name}.mjs`);
      await build({
        entryPoints: [fileURLToPath(new URL(`./${name}-relay.ts`, import.meta.url))],
        outfile,
        bundle: true,
        platform: 'node',
        format: 'esm',
        target: 'node24',
        logLevel: 'error',
      });
      const address = { host: '127.0.0.1', port: await freePort() };
      const endpoints = field.backend.endpoints[target].map(formatHostPort).join(',');
      const flags = ['--listen', formatHostPort(address), '--endpoints', endpoints, ...moreFlags];
      const command = [process.execPath, ...field.nodeFlags, outfile, ...flags];
      return startChild(field, { name, target, address, command });
    },
  };
}

export const pipe = yardstick('pipe');
export const datapath = yardstick('datapath', ['--options', JSON.stringify(defaultPassthroughOptions())]);
