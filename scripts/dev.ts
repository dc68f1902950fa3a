// For development: the agent from its source in front of a stand-in control plane, restarted when a file of src/
// changes. Its address and the kubeconfig stay the same. Started by `npm run dev`; ends with Ctrl-C.
import { runDev } from './dev-parts/run.ts';

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  process.stdout.write(`Usage: npm run dev [-- FLAG ...]

Starts three stand-in API servers and the agent in front of them, all on loopback, and restarts the agent when a file
of src/ changes. Prints a kubeconfig, which stays valid across restarts, and the agent's log. Ends with Ctrl-C.

Further flags go to \`fairlead run\`, for example: npm run dev -- --log-level debug
`);
  process.exit(0);
}
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort());
// `npm run dev | head`: the reader has gone.
process.stdout.on('error', () => stopping.abort());
process.exit(await runDev({ agentFlags: args, signal: stopping.signal }));
