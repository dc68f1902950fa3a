// What a complete ClientHello says about its client: the name that it expects of the server, and whether it has met this
// server before. Pure; judged as complete by client-hello.ts. RFC 6066 section 3, RFC 8446 section 4.2.11, RFC 5077.
import { isIP } from 'node:net';

export interface HelloFacts {
  /** The SNI in lower case; absent when there is none, or none that is a DNS name. */
  readonly serverName: string | undefined;
  /** The client offers to resume a session, and then looks at no certificate. */
  readonly offersSession: boolean;
}

const recordHeaderBytes = 5;
const handshakeHeaderBytes = 4;
const serverNameExtension = 0;
const sessionTicketExtension = 35;
const preSharedKeyExtension = 41;

/** RFC 1035 section 3.1. */
const maxNameBytes = 255;
const dnsName = /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/;

/** `flight` is exactly one ClientHello, in one record or several. */
export function readHelloFacts(flight: Buffer): HelloFacts {
  const hello = withoutRecordHeaders(flight);
  let serverName: string | undefined;
  let offersSession = false;
  let offset = handshakeHeaderBytes + 2 + 32; // legacy_version, random
  offset += 1 + hello.readUInt8(offset); // legacy_session_id
  offset += 2 + hello.readUInt16BE(offset); // cipher_suites
  offset += 1 + hello.readUInt8(offset); // legacy_compression_methods
  offset += 2; // the length of all extensions
  while (offset + 4 <= hello.length) {
    const type = hello.readUInt16BE(offset);
    const start = offset + 4;
    const end = start + hello.readUInt16BE(offset + 2);
    if (type === serverNameExtension) serverName = readServerName(hello.subarray(start, end));
    else if (type === preSharedKeyExtension) offersSession = true;
    else if (type === sessionTicketExtension) offersSession ||= end > start;
    offset = end;
  }
  return { serverName, offersSession };
}

function withoutRecordHeaders(flight: Buffer): Buffer {
  const firstEnd = recordHeaderBytes + flight.readUInt16BE(3);
  if (firstEnd === flight.length) return flight.subarray(recordHeaderBytes);
  const fragments: Buffer[] = [];
  for (let offset = 0; offset < flight.length; ) {
    const end = offset + recordHeaderBytes + flight.readUInt16BE(offset + 3);
    fragments.push(flight.subarray(offset + recordHeaderBytes, end));
    offset = end;
  }
  return Buffer.concat(fragments);
}

/** A list of names of which all clients send one, of type host_name. */
function readServerName(extension: Buffer): string | undefined {
  if (extension.length < 5 || extension[2] !== 0) return undefined;
  const nameBytes = extension.readUInt16BE(3);
  if (nameBytes > maxNameBytes || 5 + nameBytes > extension.length) return undefined;
  const name = extension.toString('latin1', 5, 5 + nameBytes).toLowerCase();
  return dnsName.test(name) && isIP(name) === 0 ? name : undefined;
}
