// What a request is about: the verb and resource that Kubernetes reads from method, path and query
// (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go).
import type { Attributes } from './access.ts';

export interface RequestInfo extends Attributes {
  /** The API version of a resource request. */
  readonly version?: string;
}

const collectionVerbs: Record<string, string> = {
  GET: 'list',
  HEAD: 'list',
  POST: 'create',
  DELETE: 'deletecollection',
};
const objectVerbs: Record<string, string> = {
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
  POST: 'create',
};

export function requestInfo(method: string, path: string, isWatch: boolean): RequestInfo {
  const plainRequest = { verb: method.toLowerCase(), path };
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  let group = '';
  let version: string | undefined;
  let rest: string[];
  if (parts[0] === 'api') {
    [, version, ...rest] = parts;
  } else if (parts[0] === 'apis') {
    [, group = '', version, ...rest] = parts;
  } else {
    return plainRequest;
  }
  if (!version || rest.length === 0) return plainRequest;
  let namespace: string | undefined;
  // /namespaces/x is a namespace; /namespaces/x/things are the things in it.
  if (rest[0] === 'namespaces' && rest[1] !== undefined) {
    namespace = rest[1];
    if (rest.length > 2 && rest[2] !== 'status' && rest[2] !== 'finalize') rest = rest.slice(2);
  }
  const [resource = '', name, subresource] = rest;
  const verb = (name === undefined ? collectionVerbs : objectVerbs)[method] ?? method.toLowerCase();
  return {
    verb: verb === 'list' && isWatch ? 'watch' : verb,
    path,
    version,
    resource: {
      group,
      resource,
      ...(namespace !== undefined && { namespace }),
      ...(name !== undefined && { name }),
      ...(subresource !== undefined && { subresource }),
    },
  };
}
