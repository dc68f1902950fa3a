// The least that a relay on Node can be, as a yardstick for what the runtime itself costs: accept, connect to
// the first endpoint, pipe both ways. No health, no choice.
import { connect, createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { parseHostPort } from '../../src/model/endpoint.ts';

const { values } = parseArgs({
  options: { listen: { type: 'string', multiple: true }, endpoints: { type: 'string' } },
  strict: false,
});
const [listenText] = Array.isArray(values.listen) ? values.listen : [values.listen];
const listen = parseHostPort(String(listenText));
const upstream = parseHostPort(String(values.endpoints).split(',')[0] ?? '');
if (!listen.ok) throw new Error(listen.problem);
if (!upstream.ok) throw new Error(upstream.problem);

createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const server = connect({ ...upstream.value, allowHalfOpen: true, noDelay: true });
  client.pipe(server);
  server.pipe(client);
  client.on('error', () => server.destroy());
  server.on('error', () => client.destroy());
}).listen({ ...listen.value, backlog: 4096 });
