// The bench harness works from end to end: every stage runs, its output checks pass and the result files have
// their shape. It says nothing about speed, and asserts nothing about time.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:net';
import { startBackend } from '../../bench/backend.ts';
import { neededTools } from '../../bench/bench.ts';
import { checkOutput } from '../../bench/check.ts';
import { recordClientHello } from '../../bench/load/client-hello.ts';
import type { BenchResult } from '../../bench/results.ts';
import { installLine, missingTools } from '../../bench/tools.ts';
import { makeWorkspace } from '../../bench/workspace.ts';

const peers = ['haproxy', 'nginx', 'direct', 'datapath'] as const;
const missing = await missingTools(neededTools({ peers, pin: true }));
if (missing.length) {
  console.warn(`SKIPPED: the bench needs ${missing.join(', ')}; install with: ${installLine(missing)}`);
}
const withTools = missing.length ? test.skip : test;

const stages = ['startup', 'memory', 'latency', 'connections', 'bulk', 'parallel', 'http'];

describe('bench harness', () => {
  withTools(
    'a smoke run measures every peer in every stage and writes both files',
    async () => {
      const dir = await mkdtemp(join(tmpdir(), 'fairlead-bench-test-'));
      try {
        const flags = [
          '--quick',
          '--rounds',
          '1',
          '--out',
          dir,
          '--name',
          'smoke',
          '--only',
          stages.join(','),
        ];
        const command = ['bench/run.ts', ...flags, '--peers', peers.join(',')];
        const run = spawnSync(process.execPath, command, { encoding: 'utf8', timeout: 240_000 });
        expect([run.status, run.stderr]).toEqual([0, expect.stringContaining('written:')]);
        const result = JSON.parse(await readFile(join(dir, 'smoke.json'), 'utf8')) as BenchResult;
        expect(result.schema).toBe(1);
        expect(result.host.versions.haproxy).toMatch(/^\d+\.\d+/);
        expect(result.stages.map(({ name }) => name)).toEqual(stages);
        for (const stage of result.stages) {
          for (const { id } of stage.metrics) {
            for (const peer of stage.participants) {
              const values = stage.samples[id]?.[peer] ?? [];
              // Only "direct" has figures that make no sense: CPU time and memory of a proxy that is not there.
              const wanted = peer === 'direct' && /Cpu|Anon|Rss/.test(id) ? 0 : 1;
              expect([stage.name, id, peer, values.length]).toEqual([stage.name, id, peer, wanted]);
              for (const value of values) expect(value).toBeGreaterThanOrEqual(0);
            }
          }
        }
        expect(readFileSync(join(dir, 'smoke.md'), 'utf8')).toContain('## latency');
      } finally {
        await rm(dir, { recursive: true });
      }
    },
    300_000,
  );

  withTools('a relay that changes one byte is found out before anything is timed', async () => {
    const workspace = await makeWorkspace();
    const none = { proxy: undefined, backend: undefined, load: undefined };
    const backend = await startBackend(workspace, none);
    const [direct] = backend.endpoints.plain;
    if (direct === undefined) throw new Error('no endpoint');
    let changeAt = Number.POSITIVE_INFINITY;
    const relay = createServer((client) => {
      const server = connect(direct);
      let seen = 0;
      client.pipe(server);
      server.on('data', (chunk: Buffer) => {
        const index = changeAt - seen;
        if (index >= 0 && index < chunk.length) chunk[index] = (chunk[index] ?? 0) ^ 1;
        seen += chunk.length;
        client.write(chunk);
      });
      server.on('end', () => client.end());
      for (const socket of [client, server]) socket.on('error', () => {}).on('close', () => server.destroy());
    });
    try {
      await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
      const bound = relay.address();
      if (bound === null || typeof bound === 'string') throw new Error('no address');
      const address = { host: '127.0.0.1', port: bound.port };
      const hello = await recordClientHello();
      const check = () => checkOutput('relay', { workspace, target: 'plain', address, direct, hello });
      await check();
      changeAt = 30_000_000;
      await expect(check()).rejects.toThrow('hash of /bulk');
      changeAt = 9;
      await expect(check()).rejects.toThrow('relay: status of /small');
    } finally {
      relay.close();
      await backend.stop();
      await workspace.remove();
    }
  });
});
