// Points a kubeconfig, or undoes it, and kills itself with SIGKILL before the step that it is told.
// Usage: node point-child.ts ROOT FILE point|undo STEP
import { applyPlan, planPointing, planRestoring } from '../../../src/adopt/point.ts';

const [root = '', file = '', action, stepText] = process.argv.slice(2);
let left = Number(stepText);
const options = {
  root,
  files: [file],
  address: { host: '127.0.0.1', port: 6443 },
  server: 'https://127.0.0.1:6443',
  tlsServerName: { name: 'kubernetes' },
  clusters: 'current',
  endpoints: [],
  chooseName: async () => ({ ok: true, name: 'kubernetes', warnings: [] }) as const,
} as const;
const plans = action === 'undo' ? await planRestoring(options) : await planPointing(options);
for (const plan of plans) {
  await applyPlan(plan, {
    nowMs: Date.now(),
    onStep: () => {
      if (left === 0) process.kill(process.pid, 'SIGKILL');
      left -= 1;
    },
  });
}
