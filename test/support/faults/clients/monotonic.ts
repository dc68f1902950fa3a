// Time that all processes of a machine share (CLOCK_MONOTONIC), so that what clients, tests and faults note
// down can be compared.

export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
