// Which kubeconfigs of kube-proxy may be pointed at Fairlead.
import { kubeProxy } from '../../../../src/adopt/cluster-wide/kube-proxy.ts';
import type { KubeApi } from '../../../../src/kubernetes/kube-api.ts';

function apiWith(entry: string): KubeApi {
  const kubeconfig = `clusters:
- {name: default, cluster: {${entry}}}
contexts: [{name: default, context: {cluster: default, user: default}}]
current-context: default
`;
  const object = { metadata: { name: 'kube-proxy' }, data: { 'kubeconfig.conf': kubeconfig } };
  return { find: async () => object } as unknown as KubeApi;
}

test.each([
  ['proxy-url: http://10.0.0.9:3128, server: "https://10.0.0.1:6443"', 'proxy-url'],
  ['server: "https://10.0.0.1:6443/clusters/root"', 'a path'],
  ['insecure-skip-tls-verify: true, server: "https://10.0.0.1:6443"', 'insecure-skip-tls-verify'],
])('%s is refused', async (entry, message) => {
  const planned = kubeProxy.plan(apiWith(entry), {
    address: { host: '127.0.0.1', port: 6443 },
    server: 'https://127.0.0.1:6443',
    verifiedName: async () => ({ name: '127.0.0.1', warnings: [] }),
    isForced: true,
  });
  await expect(planned).rejects.toThrow(message);
});
