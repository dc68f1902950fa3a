import { maxFirstFlightBytes } from '../../../src/passthrough/tls/client-hello.ts';
import { FirstFlight } from '../../../src/passthrough/connect/first-flight.ts';

test.each([true, false])(
  'a flight that is full is never kept for another endpoint (replayNonTls %s)',
  (replay) => {
    const flight = new FirstFlight(replay);
    flight.add(Buffer.alloc(maxFirstFlightBytes - 1, 'x'), maxFirstFlightBytes - 1);
    expect(flight).toMatchObject({ isFull: false, isUnsafe: !replay });
    flight.add(Buffer.from('x'), 1);
    // Full: its client is paused until the flight has one endpoint for good.
    expect(flight).toMatchObject({ isFull: true, isUnsafe: true, isComplete: false });
  },
);
