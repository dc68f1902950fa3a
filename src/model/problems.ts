// What the configuration asks for and a running agent does not have: stable codes for the status, the metrics and
// the installer. docs/errors.md lists them; a test compares.

interface ProblemKind {
  /** What is missing, in one line, for docs/errors.md. */
  readonly summary: string;
  /** What the operator can do about it. */
  readonly fix: string;
}

export const problemKinds = {
  KUBECONFIG_UNREADABLE: {
    summary: 'The configured kubeconfig cannot be read: it gives neither CA nor credentials nor a server.',
    fix: 'Check the path (--kubeconfig) and that this user may read the file; in a pod its directory has to be mounted.',
  },
  CA_UNREADABLE: {
    summary: 'The configured CA cannot be read.',
    fix: 'Restore the file, or name another CA with --ca-file.',
  },
  CA_MISSING: {
    summary: 'The kubeconfig has neither a CA nor a user, so that no API server can be verified.',
    fix: 'Give the CA in the kubeconfig (certificate-authority), or with --ca-file.',
  },
  CREDENTIALS_UNREADABLE: {
    summary:
      'The configured client certificate, key, token or exec plugin cannot be used; the CA beside it can.',
    fix: 'Restore the file that the message names; kubelet writes its own again after `systemctl restart kubelet`.',
  },
  WATCH_NOT_SYNCED: {
    summary: 'The watch of the EndpointSlices has not worked since the agent started.',
    fix: 'With HTTP 403 grant the rights (docs/credentials.md#rights-for-the-watch); else see why no API server answers. To do without the watch: discovery.watch: false.',
  },
  ENDPOINTS_UNVERIFIED: {
    summary:
      'The configuration asks for verified API servers, and none has been verified since the agent started.',
    fix: 'Where API servers answer, check the CA (--ca-file), the name (--server-name) and the certificates that `fairlead doctor` shows; where none does, see why.',
  },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof problemKinds;

/** Something that is missing, with its place. */
export interface AgentProblem {
  readonly code: ProblemCode;
  readonly message: string;
}
