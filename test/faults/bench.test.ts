// The fault bench works from end to end: it starts its peers, breaks something, measures and writes both files.
// It says nothing about who wins.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { neededTools } from '../../bench/faults/bench.ts';
import type { FaultBenchResult } from '../../bench/faults/results.ts';
import { installLine, missingTools } from '../../bench/tools.ts';
import { namespacesUnavailable } from '../support/faults/netns.ts';

const peers = ['fairlead', 'haproxy-tuned'] as const;
const missing = await missingTools(neededTools({ peers }));
const why = missing.length ? `install with: ${installLine(missing)}` : namespacesUnavailable();
if (why) process.stderr.write(`\n  FAULT BENCH TEST SKIPPED: ${why}\n\n`);

(why ? test.skip : test)(
  'a run of one scenario measures both peers, writes its files and leaves nothing behind',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'fairlead-fault-bench-'));
    try {
      const flags = ['--only', 'kill', '--peers', peers.join(','), '--out', dir, '--name', 'smoke'];
      const run = spawn(process.execPath, ['bench/faults/run.ts', ...flags], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const [stderr] = await Promise.all([text(run.stderr), once(run, 'exit')]);
      expect(stderr).toContain('written:');
      const result = JSON.parse(await readFile(join(dir, 'smoke-faults.json'), 'utf8')) as FaultBenchResult;
      expect([result.schema, result.isPartial, result.peers]).toEqual([1, false, peers]);
      const [kill] = result.scenarios;
      expect(kill?.rows.map(({ metric }) => metric)).toEqual(['failedNew', 'slowestNew', 'gap']);
      for (const { cells } of kill?.rows ?? []) {
        expect(Object.keys(cells)).toEqual(peers);
        expect(cells['haproxy-tuned']?.verdict).toBeDefined();
      }
      // Who asks every 200 ms cannot have had a shorter gap: the clients did ask.
      const gaps = kill?.rows[2]?.cells;
      for (const peer of peers) expect(gaps?.[peer]?.figure.value).toBeGreaterThanOrEqual(190);
      expect(await readFile(join(dir, 'smoke-faults.md'), 'utf8')).toContain('| HAProxy, tuned |');
      const left = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
      expect(left).not.toContain(`flt-${run.pid}-`);
    } finally {
      await rm(dir, { recursive: true });
    }
  },
  60_000,
);
