// `--server`: where clients are to be pointed.
import { formatHostPort, type HostPort, parseHostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';

export function urlOf(address: HostPort): { address: HostPort; server: string } {
  return { address, server: `https://${formatHostPort(address)}` };
}

export function parseServer(text: string): { address: HostPort; server: string } {
  // A bare IPv6 address would be read as an address and no port: 443 is not what was meant.
  const bare = /^(?:https:\/\/)?(\[[^\]]*\](?::\d+)?|[^/:]+(?::\d+)?)\/?$/.exec(text)?.[1] ?? '';
  const parsed = parseHostPort(bare, { defaultPort: 443 });
  if (parsed.ok) return urlOf(parsed.value);
  const found = JSON.stringify(text);
  throw new FairleadError(
    'CONFIG_INVALID',
    `--server must be https://HOST:PORT, with an IPv6 address in brackets; found ${found}`,
  );
}
