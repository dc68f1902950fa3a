// What an unknown thrown value says, for messages. By its shape, not by `instanceof`: errors of the
// runtime come from another realm in tests, and anything may be thrown.

function member(error: unknown, name: 'code' | 'message'): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const value = (error as Record<string, unknown>)[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The message, whatever was thrown. */
export function messageOf(error: unknown): string {
  return member(error, 'message') ?? String(error);
}

/** The code of a system, TLS or coded error (`ENOENT`), when it has one. */
export function codeOf(error: unknown): string | undefined {
  return member(error, 'code');
}

/** The shortest thing that says why, for a log: the code, else the message. */
export function codeOrMessage(error: unknown): string {
  return codeOf(error) ?? messageOf(error);
}
