// Runs all checks and test suites in turn and ends with one line: N passed, N failed. A check counts as one.
// Usage: node scripts/check.ts [--full] [NAME ...]   (names as printed; none: all; --full: with the long variants)
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface JestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numFailedTestSuites: number;
  success: boolean;
}

const scratch = mkdtempSync(join(tmpdir(), 'fairlead-check-'));

function run(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}

function check(command: string, ...args: string[]): () => Counts {
  return () => {
    const isGood = run(command, args);
    return { passed: isGood ? 1 : 0, failed: isGood ? 0 : 1, skipped: 0 };
  };
}

function suite(project: string): () => Counts {
  return () => {
    const report = join(scratch, `${project}.json`);
    const jest = ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];
    run('node', [
      ...jest,
      '--selectProjects',
      project,
      '--json',
      `--outputFile=${report}`,
      '--silent=false',
      // Tests with real sockets mostly wait; each file has ports, or a network, of its own.
      '--maxWorkers=2',
    ]);
    const result = JSON.parse(readFileSync(report, 'utf8')) as JestReport;
    // A suite that does not even load, or a run that fails for another reason, has no failed test to count.
    const failed = Math.max(result.numFailedTests, result.numFailedTestSuites, result.success ? 0 : 1);
    return { passed: result.numPassedTests, failed, skipped: result.numPendingTests };
  };
}

const stages: Readonly<Record<string, () => Counts>> = {
  format: check('biome', 'format', '.'),
  'lint and import cycles': check('biome', 'lint', '--error-on-warnings', '.'),
  types: check('tsc', '--noEmit'),
  build: check('npm', 'run', '--silent', 'build'),
  unit: suite('unit'),
  integration: suite('integration'),
  faults: suite('faults'),
  hostile: suite('hostile'),
};

const args = process.argv.slice(2);
if (args.includes('--full')) process.env.FAIRLEAD_TEST_FULL = '1';
const wanted = args.filter((arg) => arg !== '--full');
const unknown = wanted.filter((name) => !(name in stages));
if (unknown.length > 0) {
  console.error(`unknown check: ${unknown.join(', ')}; known: ${Object.keys(stages).join(', ')}, --full`);
  process.exit(2);
}
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
for (const [name, stage] of Object.entries(stages)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`\n== ${name}`);
  const startedMs = performance.now();
  const counts = stage();
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(
    `== ${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped (${seconds} s)`,
  );
}
rmSync(scratch, { recursive: true, force: true });
console.log(
  `\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`,
);
process.exitCode = total.failed > 0 ? 1 : 0;
