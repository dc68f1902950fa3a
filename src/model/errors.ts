// Every coded error of Fairlead, in one registry. docs/errors.md lists them; a test compares.
import type { ProblemKind } from './problems.ts';

/** Where an error came from. */
export type ErrorOrigin = 'client' | 'upstream' | 'kubernetes' | 'config' | 'internal';

interface ErrorKind extends ProblemKind {
  readonly origin: ErrorOrigin;
  /** The same operation may be tried again without harm. */
  readonly isRetrySafe: boolean;
}

export const errorKinds = {
  CONFIG_INVALID: {
    origin: 'config',
    isRetrySafe: false,
    summary:
      'The configuration has problems; the message lists each with its path, its value and the expected value.',
    fix: "Fix every problem listed. For the agent's configuration, `fairlead config check` prints the same list without starting it.",
  },
  CONFIG_UNREADABLE: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'The configuration file cannot be read or is not YAML.',
    fix: 'Check the path, its permissions and the line named in the message.',
  },
  KUBECONFIG_INVALID: {
    origin: 'config',
    isRetrySafe: true,
    summary:
      'The kubeconfig, or a file that it refers to, cannot be read or is inconsistent (for example, the key does not match the certificate).',
    fix: 'Check the file named in the message with `kubectl config view --kubeconfig FILE`.',
  },
  LISTEN_IN_USE: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'Another process is already listening on a configured address.',
    fix: 'Stop that process, or choose another address with --listen. The message names the process where it is visible; otherwise run `ss -ltnp` as root on the node.',
  },
  LISTEN_FAILED: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'A configured address cannot be bound.',
    fix: 'Check that this host has the address and that this user may bind the port.',
  },
  CERTIFICATE_INVALID: {
    origin: 'config',
    isRetrySafe: true,
    summary:
      'The serving certificate of an http listener, its key or its client CA cannot be read, or the key does not match the certificate.',
    fix: 'Check the file named in the message. `fairlead cert` creates a working pair.',
  },
  STATUS_UNREACHABLE: {
    origin: 'internal',
    isRetrySafe: true,
    summary: 'No agent is answering on the admin address.',
    fix: 'Check that the agent is running and that --admin is its admin address.',
  },
  SERVER_UNVERIFIED: {
    origin: 'upstream',
    isRetrySafe: true,
    summary: 'The new server address does not answer, or its certificate would fail verification by clients.',
    fix: 'Nothing was changed. Check that Fairlead is running there (`fairlead status`), then run `fairlead doctor`.',
  },
  KUBELET_UNSAFE: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'The agent runs in a DaemonSet. A kubelet pointed at it could not start it after a reboot.',
    fix: 'Nothing was changed. Run the agent for kubelet as a static pod or a systemd unit; docs/manifests.md explains why.',
  },
  FILE_EXISTS: {
    origin: 'config',
    isRetrySafe: false,
    summary: 'A file that `fairlead cert` would write already exists. Nothing was changed.',
    fix: 'Choose another file name, or overwrite the file with --force.',
  },
  FILE_NOT_WRITTEN: {
    origin: 'internal',
    isRetrySafe: true,
    summary: 'A file on the node could not be replaced. It is either unchanged or completely written.',
    fix: 'Check the permissions and that the file system is writable, then run the command again.',
  },
  INSTALL_REFUSED: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'The installation would not work on this node. Nothing was changed.',
    fix: 'Fix the problem named in the message, then run the command again.',
  },
  INSTALL_FAILED: {
    origin: 'internal',
    isRetrySafe: true,
    summary:
      'The new agent on this node is not serving. If an agent was already running, it is still serving.',
    fix: "Read the agent's log (`kubectl -n fairlead-system logs fairlead-a-NODE`, or crictl logs on the node), then run the command again.",
  },
  CLUSTER_REFUSED: {
    origin: 'config',
    isRetrySafe: true,
    summary:
      'The cluster change would not work, the object to be changed does not exist, or another client modified it at the same time.',
    fix: 'The object named in the message was not changed. Fix the problem, then run the command again.',
  },
  API_REFUSED: {
    origin: 'kubernetes',
    isRetrySafe: true,
    summary: 'No API server answered, or one refused the request.',
    fix: 'Check the credentials and their permissions. The message contains the request and the answer.',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

/** An expected failure with a code of the registry. `cause` keeps what led to it. */
export class FairleadError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'FairleadError';
    this.code = code;
  }

  get fix(): string {
    return errorKinds[this.code].fix;
  }
}
