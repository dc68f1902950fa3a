// The demo: three stand-in API servers, Fairlead in front, two clients, and a story. Started by scripts/demo.
import { readOptions } from './demo-parts/options.ts';
import { runDemo } from './demo-parts/run.ts';

const options = readOptions(process.argv.slice(2));
if ('text' in options) {
  process.stdout.write(options.text);
  process.exit(options.exitCode);
}
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort());
// `scripts/demo | head`: the reader has left.
process.stdout.on('error', () => stopping.abort());
process.exit(await runDemo(options, stopping.signal));
