// Every coded error of Fairlead, in one registry. docs/errors.md lists them; a test compares.

/** Where an error came from. */
export type ErrorOrigin = 'client' | 'upstream' | 'kubernetes' | 'config' | 'internal';

interface ErrorKind {
  readonly origin: ErrorOrigin;
  /** The same operation may be tried again without harm. */
  readonly isRetrySafe: boolean;
  /** What happened, in one line, for docs/errors.md. */
  readonly summary: string;
  /** What the operator can do about it. */
  readonly mend: string;
}

export const errorKinds = {
  CONFIG_INVALID: {
    origin: 'config',
    isRetrySafe: false,
    summary: 'The configuration has problems; each is listed with its path, value and what would be right.',
    mend: 'Mend every listed problem; `fairlead config check` shows the same list without starting.',
  },
  CONFIG_UNREADABLE: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'The configuration file cannot be read or is not YAML.',
    mend: 'Check the path, its permissions and the line that the message names.',
  },
  KUBECONFIG_INVALID: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'The kubeconfig, or a file that it names, cannot be read or does not hold together.',
    mend: 'Check the file that the message names with `kubectl config view --kubeconfig FILE`.',
  },
  LISTEN_IN_USE: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'Another process already listens on a configured address.',
    mend: 'The message has what can be seen of it; `ss -ltnp` as root on the node shows the rest. Stop it, or choose another address with --listen.',
  },
  LISTEN_FAILED: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'A configured address cannot be bound.',
    mend: 'Check that the address exists on this host and that the port may be bound by this user.',
  },
  CERTIFICATE_INVALID: {
    origin: 'config',
    isRetrySafe: true,
    summary:
      'The serving certificate of an http listener, its key or its client CA cannot be read or does not hold together.',
    mend: 'Check the file that the message names; `fairlead cert` makes a pair that works.',
  },
  STATUS_UNREACHABLE: {
    origin: 'internal',
    isRetrySafe: true,
    summary: 'No agent answers on the admin address.',
    mend: 'Check that the agent runs and that --admin names its admin address.',
  },
  SERVER_UNVERIFIED: {
    origin: 'upstream',
    isRetrySafe: true,
    summary:
      'The address that clients were to be pointed at does not answer, or not with a certificate that they could verify.',
    mend: 'Nothing was changed. See that Fairlead runs there (`fairlead status`), then ask `fairlead doctor` what is amiss.',
  },
  KUBELET_UNSAFE: {
    origin: 'config',
    isRetrySafe: true,
    summary:
      'kubelet was to be pointed at an agent that a DaemonSet runs, which a rebooted node could not start.',
    mend: 'Nothing was changed. Serve kubelet by the static pod or the systemd unit; docs/manifests.md says why.',
  },
  FILE_EXISTS: {
    origin: 'config',
    isRetrySafe: false,
    summary: '`fairlead cert` was to write a file that exists already; nothing was changed.',
    mend: 'Choose another name, or replace it with --force.',
  },
  FILE_NOT_WRITTEN: {
    origin: 'internal',
    isRetrySafe: true,
    summary: 'A file of the node could not be replaced; it is as it was, or whole in its new state.',
    mend: 'Check the permissions and that the file system is writable, then run the same command again.',
  },
  INSTALL_REFUSED: {
    origin: 'config',
    isRetrySafe: true,
    summary: 'What was to be installed on the node could not work there; nothing was changed.',
    mend: 'Mend what the message names, then run the same command again.',
  },
  INSTALL_FAILED: {
    origin: 'internal',
    isRetrySafe: true,
    summary: 'What was installed on the node does not serve; what served before still does.',
    mend: "Read the agent's log (`kubectl -n fairlead-system logs fairlead-a-NODE`, or crictl logs on the node), then run the same command again.",
  },
  CLUSTER_REFUSED: {
    origin: 'config',
    isRetrySafe: true,
    summary:
      'What was to be changed for the whole cluster would not work, is not there, or was changed by somebody else meanwhile.',
    mend: 'The object that the message names is as it was. Mend what the message says, then run the same command again.',
  },
  API_REFUSED: {
    origin: 'kubernetes',
    isRetrySafe: true,
    summary: 'No API server answered, or one refused what was asked.',
    mend: 'Check the credentials and their rights; the message has what was asked and the answer.',
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

  get mend(): string {
    return errorKinds[this.code].mend;
  }
}
