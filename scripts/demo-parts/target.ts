// Where the clients of the demo connect, and as whom.

/** The address of Fairlead's listener, the cluster's CA, and a client certificate. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** As long as client-go waits for a TLS handshake. */
export const deadlineMs = 10_000;

/** The stand-in names itself in this header, so that the demo can show who answered. */
export function answeredBy(headers: Readonly<Record<string, unknown>>): string {
  const name = headers['x-stand-in'];
  return typeof name === 'string' ? name : '?';
}

export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code && !error.message.includes(code) ? `${code}: ${error.message}` : error.message;
}
