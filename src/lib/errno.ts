// What the codes of system errors mean, and what they are called in messages. TLS certificates have a table of their
// own (model/certificate-fault.ts), because it says what a fault proves.
import { certificateText } from '../model/certificate-fault.ts';
import { codeOf, messageOf } from '../model/error-text.ts';

/**
 * Why a connection failed. `exhausted`: our own shortage (descriptors, buffers, local ports), which says nothing about the
 * other side.
 */
export type SocketFailure = 'refused' | 'timeout' | 'reset' | 'unreachable' | 'exhausted';

interface Meaning {
  readonly failure?: SocketFailure;
  /** Where the code alone says less. */
  readonly text?: string;
}

const notTls = 'not TLS, or no common version';
// Node says ECONNRESET also for a connection that ends before the answer.
const closed = 'connection closed';

const connections: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: { failure: 'refused', text: 'no process listens there (connection refused)' },
  ETIMEDOUT: { failure: 'timeout', text: 'connection timed out' },
  ECONNRESET: { failure: 'reset', text: closed },
  ECONNABORTED: { failure: 'reset', text: closed },
  EPIPE: { failure: 'reset', text: closed },
  EHOSTUNREACH: { failure: 'unreachable', text: 'no route to the host' },
  ENETUNREACH: { failure: 'unreachable', text: 'no route to the network' },
  ENETDOWN: { failure: 'unreachable', text: 'the network is down' },
  EHOSTDOWN: { failure: 'unreachable', text: 'the host is down' },
  ENOTFOUND: { text: 'the name does not resolve' },
  EPROTO: { text: notTls },
  ERR_SSL_WRONG_VERSION_NUMBER: { text: notTls },
  ERR_SSL_PACKET_LENGTH_TOO_LONG: { text: notTls },
  EMFILE: { failure: 'exhausted' },
  ENFILE: { failure: 'exhausted' },
  ENOBUFS: { failure: 'exhausted' },
  ENOMEM: { failure: 'exhausted' },
  EAGAIN: { failure: 'exhausted' },
  EADDRNOTAVAIL: { failure: 'exhausted' },
  EADDRINUSE: { failure: 'exhausted' },
};

/** Undefined for a code that says nothing of the kind, such as those of TLS. */
export function socketFailure(code: string | undefined): SocketFailure | undefined {
  return code === undefined ? undefined : connections[code]?.failure;
}

/** What an error of a connection says. A name with several addresses gives an AggregateError: its first member says why. */
export function connectionErrorText(error: unknown): string {
  const [first] = aggregated(error);
  const code = codeOf(error) ?? codeOf(first);
  const known = code === undefined ? undefined : (certificateText(code) ?? connections[code]?.text);
  return known ?? messageOf(first ?? error);
}

function aggregated(error: unknown): readonly unknown[] {
  return typeof error === 'object' && error !== null && 'errors' in error && Array.isArray(error.errors)
    ? error.errors
    : [];
}

const files: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'cannot be read by this user',
  EPERM: 'cannot be read by this user',
  EISDIR: 'is a directory, not a file',
  ELOOP: 'is a loop of symlinks',
};

/** What is wrong with a file that cannot be read, to be written behind its name; undefined for a rarer reason. */
export function fileErrorText(error: unknown): string | undefined {
  return files[codeOf(error) ?? ''];
}

/** There is no such file, or something on the way to it is not a directory. */
export function isMissingFile(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** This host does not have the address to listen on, or not its family. */
export function lacksAddress(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT';
}
