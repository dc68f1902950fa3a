// The commands that adopt a node, and revert that.
import { type Command, Option } from 'commander';
import { addConfigOptions } from './config-options.ts';
import type { LazyAction } from './action.ts';

const collect = (text: string, previous: readonly string[] = []) => [...previous, text];

export function addAdoptionCommands(program: Command, lazyAction: LazyAction): void {
  const kubeconfig = program
    .command('kubeconfig')
    .description('Point kubeconfigs on this node at Fairlead, or revert them.')
    .helpCommand(false);
  addConfigOptions(kubeconfig.command('point'), ['admin'])
    .description('Change the server in kubeconfigs to Fairlead, after checking that it works.')
    .argument('[FILE...]', 'Kubeconfig files. Default: /etc/kubernetes/kubelet.conf.')
    .option('--server <URL>', "New server. Default: the configuration's first passthrough listener.")
    .option(
      '--tls-server-name <NAME>',
      'Name that clients verify. Default: set only if the certificates require it.',
    )
    .option(
      '--cluster <NAME>',
      "Cluster entry to change. Repeatable. Default: the current context's.",
      collect,
    )
    .option('--all-clusters', 'Change every cluster entry.')
    .option('--control-plane', 'Allow this on a control-plane node.')
    .option('--allow-daemonset', 'Allow kubelet to depend on an agent that a DaemonSet runs.')
    .option('--undo', 'Restore the original.')
    .option('--dry-run', 'Print the change without making it.')
    .option('--root <DIR>', "Root of the node's file system. Default: /.")
    .action(lazyAction(async () => (await import('./kubeconfig-point.ts')).kubeconfigPoint))
    .addHelpText(
      'after',
      `
The new server must present a certificate that verifies against the kubeconfig's own CA; so must every API
server that the running agent knows. Only server and tls-server-name change. The original is kept in the same
directory with the suffix .fairlead-backup.

Examples:
  fairlead kubeconfig point --dry-run
  fairlead kubeconfig point && systemctl restart kubelet
  fairlead kubeconfig point --server https://localhost:6443 /root/.kube/config
  fairlead kubeconfig point --undo && systemctl restart kubelet`,
    );

  program
    .command('endpoint')
    .description(
      "Print the API server address that results from Kubespray's variables for a role, and warn about pitfalls.",
    )
    .requiredOption('--vars <FILE>', 'Group variables (YAML). Repeatable; later ones win.', collect)
    .addOption(
      new Option(
        '--role <ROLE>',
        'Role that needs the address. For etcd: the addresses at which API servers reach etcd.',
      )
        .choices(['control-plane', 'worker', 'external', 'etcd'])
        .makeOptionMandatory(),
    )
    .option('--first-control-plane <ADDRESS>', 'access_ip of the first control-plane node, or its ip.')
    .option('--unmanaged-lb <HOST[:PORT]>', 'Load balancer that is not in the variables.')
    .option('--json', 'Print JSON.')
    .action(lazyAction(async () => (await import('./endpoint.ts')).endpoint))
    .addHelpText(
      'after',
      `
Prints the address that works (one per line if there are two). Warns if Kubespray itself would write an
address that does not work.

Examples:
  fairlead endpoint --vars inventory/mycluster/group_vars/all/all.yml --role worker
  fairlead endpoint --vars all.yml --vars k8s-cluster.yml --role external --first-control-plane 10.0.0.1`,
    );

  program
    .command('import')
    .description('Convert an nginx or HAProxy configuration to a Fairlead configuration.')
    .argument('<FILE>', 'nginx.conf or haproxy.cfg.')
    .addOption(
      new Option('--type <TYPE>', 'File format. Default: detected from its contents.').choices([
        'nginx',
        'haproxy',
      ]),
    )
    .option(
      '--kubeconfig <FILE>',
      'Kubeconfig from which the new configuration takes the CA and credentials.',
    )
    .option('--keep-checks', "Apply the file's health checks instead of Fairlead's own.")
    .action(lazyAction(async () => (await import('./import-config.ts')).importConfig))
    .addHelpText(
      'after',
      `
Prints the configuration to standard output. Standard error lists every directive, with its line number, that needs
manual work (todo), is applied with a difference (changed), has no equivalent (dropped), or is handled by
Fairlead in another way (covered).

Examples:
  fairlead import /etc/nginx/nginx.conf --kubeconfig /etc/kubernetes/kubelet.conf > fairlead.yaml
  fairlead import /etc/haproxy/haproxy.cfg > fairlead.yaml && fairlead config check --config fairlead.yaml`,
    );

  addConfigOptions(program.command('doctor'))
    .description('Examine this node for problems that affect Fairlead or its clients.')
    .option('--root <DIR>', "Root of the node's file system. Default: /.")
    .option('--json', 'Print JSON.')
    .action(lazyAction(async () => (await import('./doctor.ts')).doctor))
    .addHelpText(
      'after',
      `
Read-only. Run it before and after adopting a node. Without configured credentials it uses kubelet's
(/etc/kubernetes/kubelet.conf). docs/doctor.md lists the checks.

Examples:
  fairlead doctor
  fairlead doctor --config /etc/fairlead/fairlead.yaml --json
  fairlead doctor --endpoints 10.0.0.1:6443 --kubeconfig /etc/kubernetes/kubelet.conf`,
    );

  program
    .command('cert')
    .description('Create a serving certificate for a listener of type http.')
    .requiredOption('--cert-file <FILE>', 'Output file for the certificate (PEM).')
    .requiredOption('--key-file <FILE>', 'Output file for its key (PEM, mode 0600).')
    .option(
      '--name <NAME>',
      'DNS name or IP address. Repeatable. Default: localhost, 127.0.0.1, ::1.',
      collect,
    )
    .option('--ca-cert <FILE>', 'CA that signs it; requires --ca-key. Default: self-signed.')
    .option('--ca-key <FILE>', 'Key of the CA.')
    .option('--days <DAYS>', 'Validity in days, limited by that of the CA. Default: 365.')
    .option('--force', 'Overwrite existing files.')
    .action(lazyAction(async () => (await import('./cert.ts')).cert))
    .addHelpText(
      'after',
      `
A running agent reloads a renewed certificate. docs/http.md describes the listener.

Examples:
  fairlead cert --cert-file /etc/fairlead/tls.crt --key-file /etc/fairlead/tls.key
  fairlead cert --cert-file tls.crt --key-file tls.key --ca-cert ca.crt --ca-key ca.key --days 30 --force`,
    );

  program
    .command('hosts')
    .description("Map the load balancer's name to this node in /etc/hosts, or undo that.")
    .option('--name <NAME>', 'Name to resolve. Default: lb-apiserver.kubernetes.local.')
    .option('--address <ADDRESS>', 'Address it should resolve to. Repeatable. Default: 127.0.0.1.', collect)
    .option('--undo', 'Restore the file.')
    .option('--dry-run', 'Print the change without making it.')
    .option('--root <DIR>', "Root of the node's file system. Default: /.")
    .action(lazyAction(async () => (await import('./hosts.ts')).hosts))
    .addHelpText(
      'after',
      `
Other lines with the name become comments. Fairlead marks each line that it writes, so --undo needs no backup.
The API servers' certificates must contain the name; fairlead doctor checks that.

Examples:
  fairlead hosts --dry-run
  fairlead hosts --name api.example.com --address 127.0.0.1 --address ::1
  fairlead hosts --undo`,
    );
}
