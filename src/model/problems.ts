// What the configuration asks for and a running agent does not have: stable codes for the status, the metrics and
// the installer. docs/errors.md lists them; a test compares.

/** An entry of a registry of codes: of the errors, and of what an agent lacks. */
export interface ProblemKind {
  /** What happened or is missing, in one line, for docs/errors.md. */
  readonly summary: string;
  /** What the operator can do about it. */
  readonly fix: string;
}

export const problemKinds = {
  KUBECONFIG_UNREADABLE: {
    summary: 'The configured kubeconfig cannot be read, so it provides no CA, credentials or server.',
    fix: 'Check the path (--kubeconfig) and that this user may read the file; in a pod, mount its directory.',
  },
  CA_UNREADABLE: {
    summary: 'The configured CA cannot be read.',
    fix: 'Restore the file, or name another CA with --ca-file.',
  },
  CA_MISSING: {
    summary: 'The kubeconfig has neither a CA nor a user, so no API server can be verified.',
    fix: 'Set the CA in the kubeconfig (certificate-authority) or with --ca-file.',
  },
  CREDENTIALS_UNREADABLE: {
    summary: 'The configured client certificate, key, token or exec plugin cannot be used. The CA is usable.',
    fix: 'Restore the file named in the message. kubelet recreates its own files after `systemctl restart kubelet`.',
  },
  WATCH_NOT_SYNCED: {
    summary: 'The EndpointSlice watch has never worked since the agent started.',
    fix: 'On HTTP 403, grant the permissions (docs/credentials.md#rights-for-the-watch). Otherwise find out why no API server answers. To run without the watch, set discovery.watch: false.',
  },
  ENDPOINTS_UNVERIFIED: {
    summary:
      'The configuration requires verified API servers, but none has been verified since the agent started.',
    fix: 'If API servers answer, check the CA (--ca-file), the name (--server-name) and the certificates shown by `fairlead doctor`. If none answers, find out why.',
  },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof problemKinds;

/** Something that is wrong: a problem of an agent, a file that cannot be read, a finding of the doctor. */
export interface Problem {
  /** What is wrong, with the file, address or name that is meant. */
  readonly message: string;
  /** What to do about it, exactly; absent where nothing needs fixing, or where the kind says it. */
  readonly fix?: string;
}

/** Something that is missing, with its place. */
export interface AgentProblem extends Problem {
  readonly code: ProblemCode;
}
