// The records that real clients sent through a relay after their hello (kubectl 1.32, curl and Python 3 with OpenSSL
// 3.0.19, wget with GnuTLS, OpenJDK 17, Node 26, against Node and OpenSSL servers), as type:length.
import fc from 'fast-check';
import { TlsCloseSign } from '../../../src/passthrough/tls/tls-close-sign.ts';

function recordsOf(text: string): Buffer {
  const records = text.split(' ').filter((part) => part !== '');
  return Buffer.concat(
    records.map((record) => {
      const [type = 0, length = 0] = record.split(':').map(Number);
      return Buffer.concat([Buffer.of(type, 3, 3, length >> 8, length & 255), Buffer.alloc(length, 0xab)]);
    }),
  );
}

/** What is said of a client that sends this in pieces of `pieceBytes` and closes. */
function outcomeOf(bytes: Buffer, pieceBytes = bytes.length, isAnswered = true) {
  const sign = new TlsCloseSign();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    const verdict = sign.read(piece, piece.length);
    if (verdict !== 'undecided') return verdict;
  }
  return sign.clientClosed(isAnswered) ?? 'nothing';
}

const measured: readonly [records: string, outcome: string, who: string][] = [
  // TLS 1.3, certificate refused: expired, other CA, other name.
  ['20:1 23:19', 'refused', 'kubectl'],
  ['21:2', 'refused', 'curl, Python, openssl'],
  ['20:1 23:35', 'refused', 'Java'],
  ['', 'doubtful', 'Node'],
  ['20:1 23:25 23:69', 'doubtful', 'wget'],
  ['20:1 23:69 23:19', 'doubtful', 'curl, other name'],
  ['20:1 23:25 23:69 23:19', 'doubtful', 'curl, other name, asked for a certificate'],
  ['20:1 23:784 23:97 23:69 23:19', 'doubtful', 'curl, other name, with a certificate'],
  // The same after the server has asked for another hello.
  ['20:1 22:365 23:19', 'refused', 'kubectl, second hello'],
  ['20:1 22:512 21:2', 'refused', 'curl, second hello'],
  ['20:1 22:345', 'doubtful', 'Node, second hello'],
  ['20:1 22:512 23:69 23:19', 'doubtful', 'curl, other name, second hello'],
  // TLS 1.2.
  ['21:2', 'refused', 'kubectl, curl, Python, openssl, Java'],
  ['22:37 20:1 22:40', 'doubtful', 'Node, wget'],
  ['22:762 22:37 22:79 20:1 22:40', 'doubtful', 'Node with a certificate'],
  ['22:7 22:37 20:1 22:40 21:26', 'doubtful', 'curl, other name'],
  // Good requests.
  ['20:1 23:69 23:304', 'accepted', 'kubectl'],
  ['20:1 23:25 23:69 23:237', 'accepted', 'kubectl, asked for a certificate'],
  ['20:1 23:428 23:97 23:69 23:277', 'accepted', 'kubectl with a certificate'],
  ['20:1 23:784 23:95 23:69 23:103', 'accepted', 'curl with a certificate'],
  ['20:1 23:69 23:84', 'accepted', 'Node'],
  ['20:1 23:69 23:42', 'accepted', 'openssl, a request of 20 bytes'],
  ['20:1 23:41 23:85 23:185', 'accepted', 'Java, asked for a certificate'],
  ['20:1 22:365 23:69 23:237', 'accepted', 'kubectl, second hello'],
  ['20:1 22:345 23:69 23:84', 'accepted', 'Node, second hello'],
  ['22:37 20:1 22:40 23:91', 'accepted', 'Node, TLS 1.2'],
  ['22:408 22:37 22:79 20:1 22:40 23:284', 'accepted', 'kubectl with a certificate, TLS 1.2'],
];

test.each(measured)('%j means %s (%s), in one piece or byte by byte', (records, outcome) => {
  const bytes = recordsOf(records);
  for (const pieceBytes of [bytes.length, 1, 3, 5, 6]) expect(outcomeOf(bytes, pieceBytes)).toBe(outcome);
});

test('however the records are cut, they mean the same', () => {
  fc.assert(
    fc.property(fc.constantFrom(...measured), fc.array(fc.nat()), ([records, outcome], cuts) => {
      const bytes = recordsOf(records);
      const sign = new TlsCloseSign();
      const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
      let from = 0;
      let verdict: string = 'undecided';
      for (const end of ends) {
        if (verdict !== 'undecided') break;
        verdict = sign.read(bytes.subarray(from, end), end - from);
        from = end;
      }
      expect(verdict === 'undecided' ? sign.clientClosed(true) : verdict).toBe(outcome);
    }),
  );
});

test.each(measured)(
  'an endpoint that closes first after %j: only an alert makes it the client that closed',
  (records, outcome) => {
    const bytes = recordsOf(records);
    const sign = new TlsCloseSign();
    if (sign.read(bytes, bytes.length) === 'accepted') return;
    const isAlertLast = / ?(21:\d+|23:19|23:35)$/.test(records);
    expect(sign.endpointClosed()).toBe(isAlertLast ? outcome : undefined);
  },
);

test('data is noticed with the header of its record, before the rest has come', () => {
  const sign = new TlsCloseSign();
  const finished = recordsOf('20:1 23:69');
  expect(sign.read(finished, finished.length)).toBe('undecided');
  expect(sign.read(Buffer.of(23, 3, 3, 1), 4)).toBe('undecided');
  expect(sign.read(Buffer.of(0), 1)).toBe('accepted');
});

test('bytes behind `byteCount` are not looked at', () => {
  const sign = new TlsCloseSign();
  expect(sign.read(Buffer.of(0xff, 0xff, 0xff), 0)).toBe('undecided');
  const alert = recordsOf('21:2 23:500');
  expect(sign.read(alert, 7)).toBe('undecided');
  expect(sign.clientClosed(true)).toBe('refused');
});

test.each([
  ['two alerts are not a sign of their own', '21:2 21:2', 'doubtful'],
  ['a Certificate alone is not the end of a handshake', '20:1 23:784', 'nothing'],
  ['a client whose handshake is one record, with data', '20:1 23:900 23:210', 'accepted'],
  ['the same with more data', '20:1 23:900 23:210 23:60', 'accepted'],
  ['data behind an alert', '20:1 23:19 23:300', 'unknown'],
  ['a long alert', '21:300', 'unknown'],
  ['a second change of cipher', '20:1 20:1', 'unknown'],
  ['a change of cipher of two bytes', '20:2', 'unknown'],
  ['a heartbeat', '24:20', 'unknown'],
  ['a handshake without an end', '22:10 '.repeat(17), 'unknown'],
])('%s: %j', (_name, records, outcome) => {
  expect(outcomeOf(recordsOf(records))).toBe(outcome);
});

test('what is not TLS, or longer than TLS allows, is left alone', () => {
  expect(outcomeOf(Buffer.from('GET / HTTP/1.1\r\n'))).toBe('unknown');
  expect(outcomeOf(Buffer.of(23, 3, 3, 0xff, 0xff))).toBe('unknown');
});

test('a client that closes in the middle of a record says nothing, with half an alert neither', () => {
  for (const bytes of ['20:1 23:19', '21:2', '22:37 20:1 22:40'].map(recordsOf)) {
    for (let length = 1; length < bytes.length; length += 1) {
      const isBetweenRecords = [6, 42, 48].includes(length);
      if (!isBetweenRecords) expect(outcomeOf(bytes.subarray(0, length))).toBe('nothing');
    }
  }
});

test('a handshake message that the server has not answered is waited for, not doubted', () => {
  expect(outcomeOf(recordsOf('20:1 22:365'), 10, false)).toBe('nothing');
  expect(outcomeOf(recordsOf('20:1 22:365'), 10, true)).toBe('doubtful');
  // In TLS 1.3 the client is the last to finish.
  expect(outcomeOf(recordsOf('20:1 23:69'), 10, false)).toBe('doubtful');
});
