// The command `run`: the only one that the agent's own bundle has.
import type { Command } from 'commander';
import type { Action, LazyAction } from './action.ts';
import { addConfigOptions } from './config-options.ts';

export function addRunCommand(program: Command, lazyAction: LazyAction, load: () => Promise<Action>): void {
  addConfigOptions(program.command('run'))
    .description('Run the agent until SIGTERM or SIGINT.')
    .action(lazyAction(load))
    .addHelpText(
      'after',
      `
Every setting can be set in the file, and most also with an environment variable (for example,
FAIRLEAD_HEALTH_INTERVAL for health.interval). Flags override the environment, which overrides the file.
SIGHUP or a change to the file reloads the configuration without closing tunnels.

Examples:
  fairlead run --listen 127.0.0.1:6443 --endpoints 10.0.0.1:6443,10.0.0.2:6443 --ca-file ca.crt
  fairlead run --kubeconfig /etc/kubernetes/kubelet.conf --cache-file /var/lib/fairlead/endpoints.json
  fairlead run --config /etc/fairlead/fairlead.yaml --log-level debug`,
    );
}
