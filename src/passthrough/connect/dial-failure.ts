// What a failed dial says, by the kernel's error code.
import type { DialResult } from '../../model/outcome.ts';

const results: Record<string, Exclude<DialResult, 'connected'>> = {
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  // Our own shortages: descriptors, buffers, local ports. They say nothing about the endpoint.
  EMFILE: 'exhausted',
  ENFILE: 'exhausted',
  ENOBUFS: 'exhausted',
  ENOMEM: 'exhausted',
  EAGAIN: 'exhausted',
  EADDRNOTAVAIL: 'exhausted',
  EADDRINUSE: 'exhausted',
};

/** Codes not listed (no route, host or network down, forbidden by a filter) mean `unreachable`. */
export function dialResultOf(code: string | undefined): Exclude<DialResult, 'connected'> {
  return (code === undefined ? undefined : results[code]) ?? 'unreachable';
}
