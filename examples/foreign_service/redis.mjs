// A service for Arvo in another language, over Redis Streams: it reads its topic in the group `arvo`,
// sends the answer to the namespace's door, and only then acknowledges. No package is needed.
//   node redis.mjs PORT NAMESPACE [EVENT]   EVENT: JSON of an event to send first, through the door
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { once } from 'node:events';

const [port, namespace, first] = process.argv.slice(2);
const TOPIC = 'com.price.quote', key = topic => `{${namespace}:${topic}:0}:s`;
const socket = connect(Number(port));
let buffer = Buffer.alloc(0);

async function line() {
  let end;
  while ((end = buffer.indexOf('\r\n')) < 0) buffer = Buffer.concat([buffer, (await once(socket, 'data'))[0]]);
  const found = buffer.subarray(0, end).toString();
  buffer = buffer.subarray(end + 2);
  return found;
}
async function reply() {
  const head = await line(), length = Number(head.slice(1));
  if (head[0] === '-') throw new Error(head);
  if (head[0] !== '$' && head[0] !== '*') return head.slice(1);
  if (length < 0) return null;
  if (head[0] === '*') { const all = []; for (let i = 0; i < length; i++) all.push(await reply()); return all; }
  while (buffer.length < length + 2) buffer = Buffer.concat([buffer, (await once(socket, 'data'))[0]]);
  const text = buffer.subarray(0, length).toString();
  buffer = buffer.subarray(length + 2);
  return text;
}
function redis(...words) {
  socket.write(`*${words.length}\r\n` + words.map(w => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join(''));
  return reply();
}

await redis('XGROUP', 'CREATE', key(TOPIC), 'arvo', '0', 'MKSTREAM').catch(() => {});  // there already
if (first) await redis('XADD', key('in'), '*', 'event', first);
for (;;) {
  const read = await redis('XREADGROUP', 'GROUP', 'arvo', 'node', 'COUNT', '1', 'BLOCK', '0', 'STREAMS', key(TOPIC), '>');
  const [id, fields] = read[0][1][0];
  const request = JSON.parse(fields[fields.indexOf('event') + 1]);
  const answer = {
    specversion: '1.0', id: randomUUID(), time: new Date().toISOString(), datacontenttype: request.datacontenttype,
    source: TOPIC, type: 'evt.price.quote.success', dataschema: request.dataschema,
    subject: request.subject, parentid: request.id, to: request.redirectto ?? request.source,
    data: { price: 5 * request.data.items },
  };
  await redis('XADD', key('in'), '*', 'event', JSON.stringify(answer));
  await redis('XACK', key(TOPIC), 'arvo', id);
  await redis('XDEL', key(TOPIC), id);
}
