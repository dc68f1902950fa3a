// The command that prints manifests.
import { Argument, type Command } from 'commander';
import { manifestNames } from '../manifest/manifests.ts';
import type { LazyAction } from './action.ts';

const collect = (text: string, previous: readonly string[] = []) => [...previous, text];

export function addManifestCommand(program: Command, lazyAction: LazyAction): void {
  program
    .command('manifest')
    .description('Print a manifest for Kubernetes, with your image and API servers. Changes nothing.')
    .addArgument(new Argument('<NAME>', 'What to print.').choices(manifestNames))
    .option(
      '--image <IMAGE>',
      'Image that the nodes run, preferably with its digest. Required except for monitoring.',
    )
    .option(
      '--endpoints <HOST:PORT>',
      'API servers that agents start with. Repeatable or comma-separated. The installers need none.',
      collect,
    )
    .option(
      '--config <FILE>',
      "The agent's configuration. Default: the one in the manifest's folder below manifests/.",
    )
    .action(lazyAction(async () => (await import('./manifest.ts')).manifest))
    .addHelpText(
      'after',
      `
static-pod               static pod for one node; with --endpoints it needs no other file on the node
installer                puts the static pod on every worker and keeps it there
installer-replace-proxy  the same, in place of Kubespray's nginx-proxy or haproxy
point-kubelets           the installer, which then points kubelets at their agents, node by node
remove                   removes Fairlead from every worker
agent                    DaemonSet for clients other than kubelet
monitoring               PodMonitor and alerts for the Prometheus operator

Examples:
  fairlead manifest installer --image registry.example/fairlead@sha256:... > install.yaml
  fairlead manifest static-pod --image registry.example/fairlead@sha256:... --endpoints 10.0.0.11:6443`,
    );
}
