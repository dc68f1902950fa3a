// Says whether a suite has left sockets, servers or child processes behind.
import { eventually } from './eventually.ts';

const kinds = ['TCPServerWrap', 'TCPSocketWrap', 'TLSWrap', 'PipeServerWrap', 'ProcessWrap'];

function open(): number {
  return process.getActiveResourcesInfo().filter((name) => kinds.includes(name)).length;
}

/** Call at the start of a file; call what it returns when everything is closed. */
export function watchForLeaks(): () => Promise<void> {
  const before = open();
  return async () => {
    await eventually(
      () => `only ${before} sockets and processes left; open: ${process.getActiveResourcesInfo().join(' ')}`,
      () => open() <= before,
      5_000,
    );
  };
}
