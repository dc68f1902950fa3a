// How a client met the certificate of its endpoint, as far as a relay can see: the headers of the TLS records that it
// sends between the server's first flight and its first data, and whether it closes instead. Content is never looked at.
// Pure; one small state for each tunnel until the client is decided, then none. The sequences of real clients, and what
// they mean, are in docs/data-path.md and, as data, in the unit test.
import type { ClientTlsOutcome } from '../../model/outcome.ts';

/** `undecided`: more is needed. `accepted`: the client sends data. `unknown`: not a client that says anything here. */
export type RecordsVerdict = 'undecided' | 'accepted' | 'unknown';

const recordHeaderBytes = 5;
const changeCipherSpec = 20;
const alert = 21;
const handshake = 22;
const applicationData = 23;

/** Longer than any record (RFC 5246 section 6.2.3). */
const maxRecordBytes = 16 * 1024 + 2048;
/** An alert has two bytes; encrypted in TLS 1.2 it has at most 66 (CBC with SHA-384). */
const maxAlertBytes = 80;
const plainAlertBytes = 2;
/** Alerts in TLS 1.3 have a type byte and a tag of 16; Java pads records with another 16 bytes. */
const encryptedAlertBytes: ReadonlySet<number> = new Set([19, 35]);
/**
 * Finished messages in TLS 1.3: 4 bytes and a hash of 32 or 48, a type byte and a tag; with Java's padding; and behind an
 * empty Certificate in the same record (8 bytes).
 */
const finishedBytes: ReadonlySet<number> = new Set([53, 69, 85, 61, 77]);
/** Certificate and CertificateVerify come before it. */
const maxRecordsBeforeFinished = 2;
/** Certificate, ClientKeyExchange, CertificateVerify and Finished, each in some records. */
const maxHandshakeRecords = 16;

/** Follows one client from the end of its ClientHello on; the server has begun to answer. */
export class TlsCloseSign {
  /** Bytes of the present record that have not come. */
  #bodyLeft = 0;
  #headerHave = 0;
  #type = 0;
  #length = 0;
  /** The last record was a plain handshake message, which the server has to answer before the client can judge. */
  #endsWithHandshake = false;
  /** The last record was an alert, plain or encrypted. */
  #endsWithAlert = false;
  #handshakes = 0;
  #hasCipherSpec = false;
  /** TLS 1.2: a handshake record on either side of the change of cipher. */
  #isOldFinished = false;
  #beforeFinished = 0;
  #hasFinished = false;
  #alerts = 0;

  /** The client's next bytes: the first `byteCount` of `buffer`. After another verdict than `undecided` the state is done. */
  read(buffer: Uint8Array, byteCount: number): RecordsVerdict {
    let at = 0;
    while (at < byteCount) {
      if (this.#bodyLeft > 0) {
        const step = Math.min(this.#bodyLeft, byteCount - at);
        this.#bodyLeft -= step;
        at += step;
        continue;
      }
      const verdict = this.#headerByte(buffer[at] as number);
      if (verdict !== 'undecided') return verdict;
      at += 1;
    }
    return 'undecided';
  }

  #headerByte(byte: number): RecordsVerdict {
    switch (this.#headerHave) {
      case 0:
        this.#type = byte;
        break;
      case 1:
        if (byte !== 3) return 'unknown';
        break;
      case 3:
        this.#length = byte << 8;
        break;
      case 4:
        this.#length |= byte;
        break;
    }
    this.#headerHave += 1;
    if (this.#headerHave < recordHeaderBytes) return 'undecided';
    this.#headerHave = 0;
    this.#bodyLeft = this.#length;
    if (this.#length > maxRecordBytes) return 'unknown';
    return this.#record(this.#type, this.#length);
  }

  #record(type: number, length: number): RecordsVerdict {
    this.#endsWithHandshake = type === handshake;
    this.#endsWithAlert = type === alert || (type === applicationData && encryptedAlertBytes.has(length));
    switch (type) {
      case changeCipherSpec:
        if (length !== 1 || this.#hasCipherSpec) return 'unknown';
        this.#hasCipherSpec = true;
        return 'undecided';
      case alert:
        return this.#alertRecord(length);
      case handshake:
        return this.#handshakeRecord();
      case applicationData:
        return this.#encryptedRecord(length);
      default:
        return 'unknown';
    }
  }

  #alertRecord(length: number): RecordsVerdict {
    if (length > maxAlertBytes) return 'unknown';
    // Behind the handshake alerts are encrypted, and the only one without an error is the notice that the client closes.
    const isEncrypted = length !== plainAlertBytes && this.#handshakes > 0;
    if (isEncrypted) this.#hasFinished = true;
    else this.#alerts += 1;
    return 'undecided';
  }

  /** TLS 1.2, or the second hello that a server has asked for. */
  #handshakeRecord(): RecordsVerdict {
    if (this.#alerts > 0 || this.#beforeFinished > 0 || this.#hasFinished) return 'unknown';
    if (this.#hasCipherSpec && this.#handshakes > 0) this.#isOldFinished = true;
    this.#handshakes += 1;
    return this.#handshakes > maxHandshakeRecords ? 'unknown' : 'undecided';
  }

  /** In TLS 1.3 everything behind the hello looks like data; lengths and order distinguish it. */
  #encryptedRecord(length: number): RecordsVerdict {
    if (this.#isOldFinished) return 'accepted';
    if (encryptedAlertBytes.has(length)) {
      if (!this.#hasFinished && this.#beforeFinished === 0) this.#alerts += 1;
      return 'undecided';
    }
    if (this.#alerts > 0) return 'unknown';
    if (this.#hasFinished) return 'accepted';
    if (finishedBytes.has(length)) this.#hasFinished = true;
    else this.#beforeFinished += 1;
    return this.#beforeFinished > maxRecordsBeforeFinished ? 'accepted' : 'undecided';
  }

  /**
   * The client has closed, with a FIN or a RST, before the endpoint did. `isAnswered`: the endpoint has said something
   * since the client's last bytes.
   */
  clientClosed(isAnswered: boolean): ClientTlsOutcome | undefined {
    if (this.#headerHave > 0 || this.#bodyLeft > 0) return undefined;
    if (this.#endsWithHandshake && !isAnswered) return undefined;
    if (this.#hasFinished || this.#isOldFinished) return 'doubtful';
    // A client that puts its whole part of the handshake into one record, and one record of data behind it.
    if (this.#beforeFinished > 0)
      return this.#beforeFinished === maxRecordsBeforeFinished ? 'accepted' : undefined;
    return this.#alerts === 1 ? 'refused' : 'doubtful';
  }

  /**
   * The endpoint has closed first. It does so on an alert, often before the client's FIN arrives: then it is the client that
   * has closed.
   */
  endpointClosed(): ClientTlsOutcome | undefined {
    return this.#endsWithAlert ? this.clientClosed(true) : undefined;
  }
}
