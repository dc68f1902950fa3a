// The Status objects of a kube-apiserver, with its wording: clients, and people, read them.

export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Record<string, unknown>;
  readonly status: 'Failure' | 'Success';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: Record<string, unknown>;
  readonly code?: number;
}

/** Ends a request with a Status; `headers` go with it. */
export class StatusError extends Error {
  readonly status: Status;
  readonly headers: Record<string, string>;

  constructor(status: Status, headers: Record<string, string> = {}) {
    super(status.message ?? status.reason ?? 'failure');
    this.status = status;
    this.headers = headers;
  }
}

export function failure(
  code: number,
  reason: string,
  message: string,
  details?: Record<string, unknown>,
): Status {
  const head = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' } as const;
  return { ...head, message, reason, ...(details && { details }), code };
}

export const unauthorized = failure(401, 'Unauthorized', 'Unauthorized');

/** `resource` with its group, as kubectl prints it: `endpointslices.discovery.k8s.io`. */
export interface ResourceName {
  readonly group: string;
  readonly resource: string;
}

export function qualified({ group, resource }: ResourceName): string {
  return group ? `${resource}.${group}` : resource;
}

function about({ group, resource }: ResourceName, name: string): Record<string, unknown> {
  return { name, ...(group && { group }), kind: resource };
}

export function notFound(resource: ResourceName, name: string): Status {
  return failure(404, 'NotFound', `${qualified(resource)} "${name}" not found`, about(resource, name));
}

export function alreadyExists(resource: ResourceName, name: string): Status {
  const message = `${qualified(resource)} "${name}" already exists`;
  return failure(409, 'AlreadyExists', message, about(resource, name));
}

export function conflict(resource: ResourceName, name: string): Status {
  const message = `Operation cannot be fulfilled on ${qualified(resource)} "${name}": the object has been modified; please apply your changes to the latest version and try again`;
  return failure(409, 'Conflict', message, about(resource, name));
}

export function expired(asked: string | number, current: number): Status {
  return failure(410, 'Expired', `too old resource version: ${asked} (${current})`);
}

export function badRequest(message: string): Status {
  return failure(400, 'BadRequest', message);
}

export function timedOut(message: string): Status {
  return failure(504, 'Timeout', message, {});
}

export const pathNotFound = '404 page not found\n';
