// Says whether what a client has sent first may be sent to a second endpoint as well: a complete TLS
// ClientHello without early data, and nothing after it. Pure and bounded; knows no more of TLS than that.
// RFC 8446 sections 4.1.2, 4.2.10 and 5.1.

/** First flights longer than this are not kept. */
export const maxFirstFlightBytes = 64 * 1024;

/** A ClientHello in more records than this is not taken for an honest one. */
const maxRecords = 64;

const recordHeaderBytes = 5;
const handshakeHeaderBytes = 4;
const maxRecordBytes = 16 * 1024;
const handshakeRecord = 22;
const clientHello = 1;
const earlyDataExtension = 42;

/**
 * `partial`: so far it can become a ClientHello; nothing can change before `neededBytes` have come.
 * `complete`: exactly one ClientHello, safe to send twice.
 * `unsafe`: must reach one endpoint only: not TLS, early data (0-RTT), or bytes after the ClientHello.
 */
export type FlightVerdict =
  | { readonly kind: 'partial'; readonly neededBytes: number }
  | { readonly kind: 'complete' }
  | { readonly kind: 'unsafe'; readonly why: 'not-tls' | 'early-data' | 'more-than-hello' | 'too-long' };

const complete: FlightVerdict = { kind: 'complete' };
const notTls: FlightVerdict = { kind: 'unsafe', why: 'not-tls' };
const earlyData: FlightVerdict = { kind: 'unsafe', why: 'early-data' };
const moreThanHello: FlightVerdict = { kind: 'unsafe', why: 'more-than-hello' };
const tooLong: FlightVerdict = { kind: 'unsafe', why: 'too-long' };

function partial(neededBytes: number): FlightVerdict {
  return neededBytes > maxFirstFlightBytes ? tooLong : { kind: 'partial', neededBytes };
}

/** Judges all bytes that the client has sent so far. */
export function judgeFirstFlight(flight: Buffer): FlightVerdict {
  if (flight.length > maxFirstFlightBytes) return tooLong;
  const fragments: Buffer[] = [];
  let helloBytes = 0;
  let offset = 0;
  let messageBytes: number | undefined;
  while (messageBytes === undefined || helloBytes < messageBytes) {
    if (fragments.length === maxRecords) return notTls;
    const header = judgeRecordHeader(flight, offset);
    if (header !== undefined) return header;
    const recordBytes = flight.readUInt16BE(offset + 3);
    const end = offset + recordHeaderBytes + recordBytes;
    const fragment = flight.subarray(offset + recordHeaderBytes, end);
    if (fragments.length === 0) {
      if (fragment.length === 0) return partial(offset + recordHeaderBytes + 1);
      if (fragment[0] !== clientHello) return notTls;
    }
    if (flight.length < end) return partial(end);
    fragments.push(fragment);
    helloBytes += recordBytes;
    offset = end;
    if (messageBytes === undefined && helloBytes >= handshakeHeaderBytes) {
      const start = fragments.length === 1 ? fragment : Buffer.concat(fragments);
      messageBytes = handshakeHeaderBytes + start.readUIntBE(1, 3);
      if (messageBytes > maxFirstFlightBytes) return tooLong;
    }
  }
  if (helloBytes > messageBytes || offset < flight.length) return moreThanHello;
  const first = fragments[0];
  return judgeHello(fragments.length === 1 && first ? first : Buffer.concat(fragments));
}

/** Undefined when a whole, plausible record header is at `offset`. Judges each byte as soon as it is there. */
function judgeRecordHeader(flight: Buffer, offset: number): FlightVerdict | undefined {
  const have = flight.length - offset;
  if (have >= 1 && flight[offset] !== handshakeRecord) return offset === 0 ? notTls : moreThanHello;
  if (have >= 2 && flight[offset + 1] !== 3) return notTls;
  if (have < recordHeaderBytes) return partial(offset + (have < 2 ? have + 1 : recordHeaderBytes));
  const recordBytes = flight.readUInt16BE(offset + 3);
  return recordBytes === 0 || recordBytes > maxRecordBytes ? notTls : undefined;
}

/** `hello` is the whole handshake message with its header. */
function judgeHello(hello: Buffer): FlightVerdict {
  let offset = handshakeHeaderBytes + 2 + 32; // legacy_version, random
  if (offset >= hello.length) return notTls;
  offset += 1 + hello.readUInt8(offset); // legacy_session_id
  if (offset + 2 > hello.length) return notTls;
  offset += 2 + hello.readUInt16BE(offset); // cipher_suites
  if (offset >= hello.length) return notTls;
  offset += 1 + hello.readUInt8(offset); // legacy_compression_methods
  if (offset === hello.length) return complete; // TLS 1.2 allows a hello without extensions
  if (offset + 2 > hello.length || offset + 2 + hello.readUInt16BE(offset) !== hello.length) return notTls;
  offset += 2;
  while (offset < hello.length) {
    if (offset + 4 > hello.length) return notTls;
    if (hello.readUInt16BE(offset) === earlyDataExtension) return earlyData;
    offset += 4 + hello.readUInt16BE(offset + 2);
  }
  return offset === hello.length ? complete : notTls;
}
