// What connectors and their dials share within a pool. The tunnel table makes it and owns it.
import type { Clock, Random } from '../../model/clock.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import type { OutcomeReporter } from '../../model/outcome.ts';
import type { Connection } from '../socket/connection.ts';
import type { ConnectionFactory } from '../socket/connection-factory.ts';
import type { DataPathCounters } from '../tunnel/counters.ts';
import type { PassthroughOptions } from '../tunnel/options.ts';
import type { Tunnel, TunnelRecord } from '../tunnel/tunnel.ts';
import type { FlightBuffers } from './flight-buffers.ts';
import type { DeadlineQueue } from './deadline-queue.ts';
import type { ReplayBudget } from './replay-budget.ts';

export interface DialContext {
  readonly connections: Pick<ConnectionFactory, 'connect'>;
  /** Deadlines of dials in a race, and of first flights without an answer. */
  readonly raceDelays: DeadlineQueue;
  readonly flightDelays: DeadlineQueue;
  halfOpenDials: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly outcomes: OutcomeReporter;
  readonly options: PassthroughOptions;
  readonly counters: DataPathCounters;
  readonly budget: ReplayBudget;
  readonly flightBuffers: FlightBuffers;
  record(id: string): TunnelRecord;
  /** The tunnel has, or no longer has, a connection to the endpoint. */
  carries(tunnel: Tunnel, record: TunnelRecord): void;
  leaves(tunnel: Tunnel, record: TunnelRecord): void;
  /** The endpoint is one of our own listeners; counts and logs it. */
  isOwnAddress(endpoint: Endpoint): boolean;
  keepAlive(connection: Connection): void;
  /** The dial was answered by its own socket (TCP simultaneous open); counts and logs it. */
  isConnectedToItself(endpoint: Endpoint, connection: Connection): boolean;
}
