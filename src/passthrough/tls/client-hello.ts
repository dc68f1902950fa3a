// Says whether what a client has sent first may be sent to a second endpoint as well: a complete TLS
// ClientHello without early data, and nothing after it. Pure and bounded; knows no more of TLS than that.
// RFC 8446 sections 4.1.2, 4.2.10 and 5.1.

/** First flights longer than this are not kept. A hello with post-quantum keys and a large ticket has 4 KiB. */
export const maxFirstFlightBytes = 16 * 1024;

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
  const header = judgeRecordHeader(flight, 0);
  if (header !== undefined) return header;
  const firstByte = flight[recordHeaderBytes];
  if (firstByte === undefined) return partial(recordHeaderBytes + 1);
  if (firstByte !== clientHello) return notTls;
  const end = recordHeaderBytes + flight.readUInt16BE(3);
  if (flight.length < end) return partial(end);
  // Nearly every hello is one record that is all there is: it is read where it stands.
  const isWhole =
    end >= recordHeaderBytes + handshakeHeaderBytes &&
    end === recordHeaderBytes + handshakeHeaderBytes + flight.readUIntBE(recordHeaderBytes + 1, 3);
  if (isWhole) return flight.length === end ? judgeHello(flight, recordHeaderBytes, end) : moreThanHello;
  return judgeRecords(flight);
}

/** The same for a hello that is not, or not yet, exactly one record. */
function judgeRecords(flight: Buffer): FlightVerdict {
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
    if (flight.length < end) return partial(end);
    fragments.push(flight.subarray(offset + recordHeaderBytes, end));
    helloBytes += recordBytes;
    offset = end;
    if (messageBytes === undefined && helloBytes >= handshakeHeaderBytes) {
      messageBytes = handshakeHeaderBytes + Buffer.concat(fragments).readUIntBE(1, 3);
      if (messageBytes > maxFirstFlightBytes) return tooLong;
    }
  }
  if (helloBytes > messageBytes || offset < flight.length) return moreThanHello;
  return judgeHello(Buffer.concat(fragments), 0, helloBytes);
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

/** The whole handshake message with its header, from `start` to `end` of `bytes`. */
function judgeHello(bytes: Buffer, start: number, end: number): FlightVerdict {
  let offset = start + handshakeHeaderBytes + 2 + 32; // legacy_version, random
  if (offset >= end) return notTls;
  offset += 1 + bytes.readUInt8(offset); // legacy_session_id
  if (offset + 2 > end) return notTls;
  offset += 2 + bytes.readUInt16BE(offset); // cipher_suites
  if (offset >= end) return notTls;
  offset += 1 + bytes.readUInt8(offset); // legacy_compression_methods
  if (offset === end) return complete; // TLS 1.2 allows a hello without extensions
  if (offset + 2 > end || offset + 2 + bytes.readUInt16BE(offset) !== end) return notTls;
  offset += 2;
  while (offset < end) {
    if (offset + 4 > end) return notTls;
    if (bytes.readUInt16BE(offset) === earlyDataExtension) return earlyData;
    offset += 4 + bytes.readUInt16BE(offset + 2);
  }
  return offset === end ? complete : notTls;
}
